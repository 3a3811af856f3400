//! What becomes of a script's errors: for callers, in the log, and for the operator.

use libvms::rpc::{ClientError, RpcError};
use serde_json::json;

use crate::harness::{Client, Place, run};

const CODED: &str = "exports.coded = (code, data) => { throw Object.assign(new RangeError('m'), { code, data }) }
    exports.plain = () => { throw new Error('m') }
    exports.deep = (levels) => { let data = 1; while (levels--) data = [data]; throw Object.assign(new Error('m'), { data }) }";

/// The error of a call that must fail.
async fn error(client: &Client, method: &str, args: serde_json::Value) -> RpcError {
    match client.try_call(method, args).await {
        Err(ClientError::Rpc(error)) => error,
        other => panic!("{method}: {other:?}"),
    }
}

#[test]
fn an_errors_code_and_data_reach_caller_and_log() {
    let place = Place::new(CODED);
    let details = json!({ "field": "age", "of": [1, null, 0.5] });
    let cases = [
        (json!([42, details]), 42, Some(details.clone()), json!({ "code": 42, "details": details })),
        (json!([-32_000, 1]), -32_000, Some(json!(1)), json!({ "details": 1 })),
        (json!([-32_601]), -32_000, None, json!({})),
        (json!(["E_AGE", null]), -32_000, Some(json!(null)), json!({ "details": null })),
        (json!([-32_769]), -32_769, None, json!({ "code": -32_769 })),
        (json!([1.5, "text"]), -32_000, Some(json!("text")), json!({ "details": "text" })),
    ];
    run(async {
        let host = place.host();
        let client = host.client().await;
        for (args, code, details, _) in &cases {
            let RpcError { code: told_code, message, data, details: told } =
                error(&client, "coded", args.clone()).await;
            assert_eq!(
                (told_code, message.as_str(), data.as_deref()),
                (*code, "RangeError", Some("m")),
                "{args}"
            );
            assert_eq!(&told, details, "{args}");
        }
        assert!(error(&client, "deep", json!([100])).await.details.is_some());
        // The log has no place for more levels; the error itself is what matters.
        assert_eq!(
            error(&client, "deep", json!([101])).await,
            RpcError::of_script("Error".into(), "m".into())
        );
        assert_eq!(error(&client, "plain", json!([])).await, RpcError::of_script("Error".into(), "m".into()));
        assert!(host.terminate().success());
    });
    for (entry, (args, _, _, logged)) in place.log().iter().skip(1).zip(&cases) {
        let mut err = json!({ "name": "RangeError", "message": "m" });
        let members = logged.as_object().expect("an object").clone();
        err.as_object_mut().expect("an object").extend(members);
        assert_eq!(entry["result"], json!({ "err": err }), "{args}");
    }
    place.assert_agrees();
}
