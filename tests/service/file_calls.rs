//! What a script may ask of `System.files`: parts of a folder, and what is said of arguments that make no sense.

use serde_json::{Value, json};

use crate::support::{TestService, run};

const SCRIPT: &str = "exports.init = async () => {
      for (const name of ['b', 'a', 'c', 'd/x', 'd/y', 'é']) await System.files.writeFile('/f/' + name, name)
    }
    exports.list = (options) => System.files.readdir('/f', options)
    exports.call = (method, args) => System.files[method](...args)
    exports.odd = async (expression) => {
      const before = await System.files.getInfo()
      try { return [await eval(expression)] } catch (error) {
        return error.name + ': ' + error.message + ((await System.files.getInfo()).version === before.version ? '' : ' CHANGED')
      }
    }";

#[test]
fn a_part_of_a_folder_is_read() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let client = host.client().await;
        for (options, names) in [
            (json!({}), json!(["a", "b", "c", "d", "é"])),
            (json!({ "limit": 2 }), json!(["a", "b"])),
            (json!({ "limit": 2, "offset": 1 }), json!(["b", "c"])),
            (json!({ "offset": 3 }), json!(["d", "é"])),
            (json!({ "offset": 5 }), json!([])),
            (json!({ "offset": 9_007_199_254_740_991_u64 }), json!(["QuotaExceededError"])),
            (json!({ "offset": 100_000, "limit": 1 }), json!([])),
            (json!({ "limit": 0 }), json!([])),
            (json!({ "limit": 9_007_199_254_740_991_u64 }), json!(["a", "b", "c", "d", "é"])),
            (json!({ "reverse": true }), json!(["é", "d", "c", "b", "a"])),
            (json!({ "reverse": true, "limit": 2 }), json!(["é", "d"])),
            (json!({ "reverse": true, "limit": 2, "offset": 2 }), json!(["c", "b"])),
            (json!({ "reverse": true, "limit": 2, "offset": 4 }), json!(["a"])),
            (json!({ "reverse": true, "offset": 6 }), json!([])),
            (json!({ "reverse": true, "limit": 0 }), json!([])),
            (json!({ "recursive": true, "offset": 2, "limit": 3 }), json!(["c", "d/x", "d/y"])),
            (json!({ "recursive": true, "reverse": true, "limit": 3 }), json!(["é", "d/y", "d/x"])),
            (
                json!({ "limit": null, "offset": null, "reverse": null, "recursive": false }),
                json!(["a", "b", "c", "d", "é"]),
            ),
        ] {
            let listed = match client.try_call("list", [&options]).await {
                Ok(names) => names,
                Err(libvms::rpc::ClientError::Rpc(error)) => json!([error.message]),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(listed, names, "{options}");
        }
        let found =
            client.call("list", [json!({ "stat": true, "offset": 3, "limit": 2, "reverse": true })]).await;
        let found: Vec<_> =
            found.as_array().expect("a list").iter().map(|entry| &entry["name"]).cloned().collect();
        assert_eq!(found, [json!("b"), json!("a")]);
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}

#[test]
fn passing_many_names_by_is_paid_for() {
    let place = TestService::new(
        "exports.init = async () => { for (let n = 0; n < 3000; n++) await System.files.writeFile('/' + n, '') }
        exports.some = async (times, options) => { for (; times > 0; times--) await System.files.readdir('/', options) }",
    );
    run(async {
        let host = place.host_with(&["--fuel", "2000"]);
        let client = host.client().await;
        client.call("some", json!([50, { "limit": 1 }])).await;
        for options in [json!({ "limit": 1, "offset": 2999 }), json!({ "limit": 1, "reverse": true })] {
            client.call("some", json!([50, options])).await;
            let (name, message) = client.error("some", json!([200, options])).await;
            assert_eq!(name, "Fault", "{message}");
        }
    });
}

#[test]
fn options_that_a_call_does_not_have_are_refused() {
    let place = TestService::new(SCRIPT);
    let cases = [
        ("getInfo", json!([{ "x": 1 }]), "getInfo: there is no option \"x\"; it has none"),
        ("stat", json!(["/f", { "recursive": true }]), "stat: there is no option \"recursive\"; it has none"),
        (
            "readFile",
            json!(["/f/a", { "encodng": "utf8" }]),
            "readFile: there is no option \"encodng\"; it has encoding",
        ),
        (
            "readdir",
            json!(["/f", { "Limit": 1 }]),
            "readdir: there is no option \"Limit\"; it has recursive, stat, limit, offset, reverse",
        ),
        (
            "writeFile",
            json!(["/f/a", "x", { "flag": "a" }]),
            "writeFile: there is no option \"flag\"; it has encoding",
        ),
        (
            "mkdir",
            json!(["/g", { "recursive": true }]),
            "mkdir: there is no option \"recursive\"; it has none",
        ),
        ("unlink", json!(["/f/a", { "force": true }]), "unlink: there is no option \"force\"; it has none"),
        (
            "rmdir",
            json!(["/f", { "recursive": true, "force": true }]),
            "rmdir: there is no option \"force\"; it has recursive",
        ),
        (
            "history",
            json!([{ "offset": 1 }]),
            "history: there is no option \"offset\"; it has start, end, reverse, limit",
        ),
    ];
    run(async {
        let host = place.host();
        let client = host.client().await;
        for (method, args, message) in cases {
            let told = client.error("call", json!([method, args])).await;
            assert_eq!(told, ("TypeError".into(), message.into()));
        }
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}

#[test]
fn a_wrong_type_is_said_with_its_argument() {
    let place = TestService::new(SCRIPT);
    let cases = [
        ("readFile()", "readFile: path must be a text, not undefined"),
        ("readFile(5)", "readFile: path must be a text, not the number 5"),
        ("readFile(['/f/a'])", "readFile: path must be a text, not an array"),
        ("readFile('/f/a', 7)", "readFile: options must be an encoding or an object, not the number 7"),
        ("readFile('/f/a', { encoding: 7n })", "readFile: encoding must be a text, not the bigint 7"),
        ("writeFile(null, 'x')", "writeFile: path must be a text, not null"),
        (
            "writeFile('/f/a', 'x', () => 1)",
            "writeFile: options must be an encoding or an object, not a function",
        ),
        ("stat({})", "stat: path must be a text, not an object"),
        ("stat('/f', 'utf8')", "stat: options must be an object, not the text \"utf8\""),
        ("readdir('/f', { limit: '2' })", "readdir: limit must be a whole number from 0, not the text \"2\""),
        ("readdir('/f', { limit: -1 })", "readdir: limit must be a whole number from 0, not the number -1"),
        (
            "readdir('/f', { offset: 1.5 })",
            "readdir: offset must be a whole number from 0, not the number 1.5",
        ),
        (
            "readdir('/f', { offset: NaN })",
            "readdir: offset must be a whole number from 0, not the number NaN",
        ),
        ("readdir('/f', { reverse: 1 })", "readdir: reverse must be true or false, not the number 1"),
        (
            "readdir('/f', { recursive: 'no' })",
            "readdir: recursive must be true or false, not the text \"no\"",
        ),
        ("readdir('/f', [])", "readdir: options must be an object, not an array"),
        ("rmdir('/f', true)", "rmdir: options must be an object, not the boolean true"),
        ("unlink(Symbol('x'))", "unlink: path must be a text, not a symbol"),
        ("mkdir(undefined)", "mkdir: path must be a text, not undefined"),
        (
            "history({ start: Infinity })",
            "history: start must be a whole number from 0, not the number Infinity",
        ),
        ("history({ limit: {} })", "history: limit must be a whole number from 0, not an object"),
        ("history(3)", "history: options must be an object, not the number 3"),
        (
            "getInfo('y'.repeat(100000))",
            "getInfo: options must be an object, not the text \"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy...\"",
        ),
    ];
    run(async {
        let host = place.host();
        let client = host.client().await;
        for (expression, message) in cases {
            let told = client.call("odd", [format!("System.files.{expression}")]).await;
            let told = told.as_str().unwrap_or_else(|| panic!("{expression}: {told}")).to_owned();
            assert_eq!(told, format!("TypeError: {message}"), "{expression}");
        }
        // What is good stays good.
        for expression in [
            "readFile('/f/a', null)",
            "readFile('/f/a', 'UTF8')",
            "readdir()",
            "history(null)",
            "stat('/f', {})",
        ] {
            let told = client.call("odd", [format!("System.files.{expression}")]).await;
            assert!(matches!(told, Value::Array(_)), "{expression}: {told}");
        }
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}
