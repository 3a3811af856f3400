//! Scripts as people write them today: npm packages in a bundle, and one TypeScript service as each tool writes it.
//!
//! `bundles/bundle.js` bundles each case of `bundles/cases.js` with esbuild and runs it in Node.js; the service must give the same,
//! and its log must verify. The gate runs a few; `.ci/bundles` runs all (`VMS_BUNDLES=all`, or words in a package's name).

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use libvms::audit::{Auditor, Verdict};
use libvms::engine::Sandbox;
use libvms::host::{Deployment, HostOptions, Vm};
use libvms::replay::AuditOptions;
use libvms_protocol::value::Value as Data;
use serde_json::{Value, json};

use super::interop::packages::node_with;
use crate::support::{Process, TestService, engine, run, text, vms};

const PACKAGES: &str = include_str!("bundles/package.json");
/// A package of each kind of need: a getter export, random bytes, encodings, a global `self`, a long load.
const IN_THE_GATE: [&str; 6] = ["zod", "uuid", "@ipld/dag-cbor", "joi", "mathjs", "js-yaml"];

/// What `bundle.js` makes of these cases.
fn bundled(names: &Value) -> Vec<Value> {
    made_by_node(&json!({ "names": names }))
}

fn made_by_node(wanted: &Value) -> Vec<Value> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/service/bundles/bundle.js");
    let mut node = node_with("bundles", PACKAGES, &INSTALLED);
    node.arg(path).env("TZ", "UTC").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut node = Process::start(&mut node).expect("node starts");
    let mut stdin = node.stdin.take().expect("a pipe");
    let _may_be_gone = stdin.write_all(wanted.to_string().as_bytes());
    drop(stdin);
    let output = node.wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

/// Deploys a script, calls a method, and gives the answer when the log has verified.
async fn served(code: &str, method: &str, args: Vec<Data>) -> Result<Value, String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let place = directory.path().join("data");
    let options = HostOptions { engine: engine(Sandbox::Process), ..HostOptions::default() };
    let vm =
        Vm::deploy(&place, Deployment::new(code, "bundle"), options).map_err(|error| error.to_string())?;
    let answer = vm.call(None, method, args).await.map_err(|error| error.to_string());
    vm.close().await;
    let settings = AuditOptions { engine: engine(Sandbox::Process), ..AuditOptions::default() };
    let auditor = Auditor::for_directory(&place).with_options(settings);
    let report = auditor.run(&mut |_, _| {}).map_err(|error| error.to_string())?;
    if report.verdict != Verdict::Agrees {
        return Err(format!("{:?}", report.verdict));
    }
    Ok(answer?.json.map_or(Value::Null, |json| serde_json::from_str(&json).expect("JSON")))
}

#[test]
fn packages_give_in_a_service_what_they_give_in_node() {
    let chosen = std::env::var("VMS_BUNDLES").ok();
    let names = match chosen.as_deref() {
        None => json!(IN_THE_GATE),
        Some("all") => Value::Null,
        Some(names) => json!(names.split(' ').collect::<Vec<_>>()),
    };
    let cases = bundled(&names);
    let mut wrong = vec![];
    let mut kinds = BTreeSet::new();
    run(async {
        for case in &cases {
            kinds.insert(case["kind"].to_string());
            let Some(code) = case["code"].as_str() else {
                wrong.push(format!("{}: in Node: {}", case["name"], case["failed"]));
                continue;
            };
            match served(code, "run", vec![]).await {
                Ok(found) if found == case["expected"] => {}
                Ok(found) => wrong.push(format!("{}: {found}\n    {}", case["name"], case["expected"])),
                Err(error) => wrong.push(format!("{}: {error}", case["name"])),
            }
        }
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    if chosen.as_deref() == Some("all") {
        assert!(cases.len() >= 40 && kinds.len() >= 10, "{} of {}", cases.len(), kinds.len());
    }
}

#[test]
fn one_service_is_served_alike_whatever_wrote_it() {
    for made in bundled(&json!("tools")) {
        let (tool, code) = (&made["tool"], made["code"].as_str().expect("code"));
        let place = TestService::new(code);
        run(async {
            let host = place.host();
            let mut methods: Vec<String> =
                serde_json::from_value(host.announced[0]["methods"].clone()).expect("names");
            methods.sort();
            assert_eq!(methods, ["come", "default", "guests", "list"], "{tool}");
            let client = host.client().await;
            assert_eq!(
                client.try_call("come", json!(["ann", 2])).await.expect("it is served"),
                json!(2),
                "{tool}"
            );
            assert_eq!(
                client.try_call("default", json!(["bob"])).await.expect("it is served"),
                json!(3),
                "{tool}"
            );
            let guests = json!([{ "name": "ann", "seats": 2 }, { "name": "bob", "seats": 1 }]);
            assert_eq!(client.try_call("guests", json!([])).await.expect("it is served"), guests, "{tool}");
            let refused = client.error("come", json!(["eve", 4])).await;
            assert_eq!(refused, ("RangeError".into(), "no 4 seats for eve".into()), "{tool}");
            host.signal("TERM");
            let (_, stderr) = host.wait_with_stderr();
            // These put a source map at the end: the line is that of the TypeScript file.
            if tool.as_str().is_some_and(|tool| tool.starts_with("esbuild") || tool.starts_with("tsc")) {
                assert!(stderr.contains("service.ts:11:"), "{tool}: {stderr}");
            }
        });
        place.assert_agrees();
    }
}

#[test]
fn the_example_in_typescript_is_well_typed_and_served() {
    let made = &bundled(&json!("example"))[0];
    assert_eq!(made["said"], json!([]));
    let place = TestService::new(made["code"].as_str().expect("code"));
    run(async {
        let host = place.host();
        assert_eq!(host.announced[0]["methods"], json!(["link", "order", "show"]));
        let client = host.client_of("ann").await;
        let order = json!([{ "article": "bread", "count": 2 }]);
        let id = client.try_call("order", order).await.expect("it is an order");
        let kept = client.try_call("show", json!([id])).await.expect("it was kept");
        assert_eq!(kept, json!({ "article": "bread", "count": 2, "id": id, "by": "ann" }));
        let link = client.try_call("link", json!(["a b"])).await.expect("it is served");
        assert_eq!(link, json!("https://shop.example/?order=a%20b"));
        assert_eq!(client.error("order", json!([{ "article": "", "count": 2 }])).await.1, "this is no order");
        host.signal("TERM");
        let (_, stderr) = host.wait_with_stderr();
        assert!(stderr.contains("service.ts:29:"), "{stderr}");
    });
    place.assert_agrees();
}

/// The same calls in a service and in Node.js, made from seeds, among them those that must throw.
#[test]
fn buffers_are_those_of_node() {
    const COUNT: i64 = 400;
    let code = include_str!("bundles/buffer.js");
    run(async {
        for seed in 1..=10_i64 {
            let expected = made_by_node(&json!({ "names": "buffer", "seed": seed, "count": COUNT }));
            let found =
                served(code, "run", vec![Data::Integer(seed), Data::Integer(COUNT)]).await.expect("a result");
            let found = found.as_array().expect("results");
            assert_eq!((found.len(), expected.len()), (400, 400));
            for (ours, theirs) in found.iter().zip(&expected) {
                assert_eq!(ours, theirs, "seed {seed}");
            }
        }
    });
}

#[test]
fn types_of_the_script_surface_are_those_that_vms_prints() {
    let output = vms(["types"]);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), libvms::engine::TYPES);
}
