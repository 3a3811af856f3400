//! What a person typed is never ignored in silence: options that do not apply, and scripts that nobody could call.

use std::fs;

use serde_json::json;

use crate::support::{TestService, program, run, text, vms};

/// What a host says that does not start; it must leave nothing behind but its lock.
fn refused(place: &TestService, options: &[&str]) -> String {
    let mut host = program();
    host.arg("host").arg(place.script()).arg("--dir").arg(place.data()).args(["--port", "0"]).args(options);
    let output = host.output().expect("vms starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    text(&output.stderr).to_owned()
}

fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn a_service_without_methods_is_refused_and_leaves_nothing() {
    let place = TestService::new("");
    for (script, found) in [
        ("", "it exports nothing"),
        ("function add (a, b) { return a + b }", "it exports nothing"),
        ("exports.init = () => 1", "`init` is called by the host alone"),
        (
            "exports.VERSION = '1'; exports.list = [1]; exports.none = null",
            "`VERSION` is a string, `list` is an array, `none` is null",
        ),
        ("exports.Counter = class { inc () {} }", "`Counter` is a class"),
        ("module.exports = { get add () { return 1 } }", "`add` is a number"),
        ("module.exports = function add () {}", "`module.exports` is a function without a name"),
        (
            "export const VERSION = '1'; export default class {}",
            "`VERSION` is a string, `default` is a class",
        ),
        ("export {}", "it exports nothing"),
        ("module.exports = 5", "it exports nothing"),
        ("exports = { add: () => 1 }", "it exports nothing"),
    ] {
        fs::write(place.script(), script).expect("writable");
        assert_says(&refused(&place, &[]), &["the script has no methods: ", found, "hint: ", "exports.add"]);
        let left = fs::read_dir(place.data()).into_iter().flatten().filter_map(Result::ok);
        let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name != "lock").collect();
        assert!(left.is_empty(), "{script}: {left:?}");
    }
    fs::write(place.script(), "exports.f = () => 1").expect("writable");
    assert_eq!(place.host().announced[0]["methods"], json!(["f"]));
}

#[test]
fn a_service_that_only_has_init_is_deployed_where_that_is_wanted() {
    let place = TestService::new("exports.init = () => System.files.writeFile('/done', 'yes')");
    let host = place.host_with(&["--allow-no-methods"]);
    assert_eq!(host.announced[0]["methods"], json!([]));
    drop(host);
    place.assert_agrees();
}

#[test]
fn classes_are_no_methods() {
    let place = TestService::new(
        "exports.A = class {}; exports.B = class B extends Array {}; exports.C = Object.freeze(class { static m () {} })
        exports.Map = Map; exports.Promise = Promise; exports.F = Float64Array
        exports.plain = function () { return 1 }; exports.frozen = Object.freeze(function () { return 2 }); exports.arrow = () => 3
        exports.bound = exports.plain.bind(null); exports.number = Number; exports.later = async () => 4; exports.method = { m () {} }.m
        exports.made = Object.freeze((() => 5).bind(null)); exports.gen = function * () {}; exports.Old = function Old () { this.x = 1 }",
    );
    let host = place.host();
    let methods = ["plain", "frozen", "arrow", "bound", "number", "later", "method", "made", "gen", "Old"];
    assert_eq!(host.announced[0]["methods"], json!(methods));
}

#[test]
fn names_of_methods_can_be_told_apart() {
    let place = TestService::new(
        "exports['two words'] = () => 1; exports.a = () => 1; exports['b,c'] = () => 1; exports['\\n'] = () => 1; exports[''] = () => 1; exports['\"'] = () => 1; exports.größe = () => 1; exports.$_ = () => 1",
    );
    let mut host = program();
    host.arg("host").arg(place.script()).arg("--dir").arg(place.data()).args(["--port", "0"]);
    let mut process = host.stdout(std::process::Stdio::piped()).spawn().expect("vms starts");
    let lines = std::io::BufReader::new(process.stdout.take().expect("a pipe"));
    let line = std::io::BufRead::lines(lines).map_while(Result::ok).find(|line| line.contains("methods"));
    process.kill().expect("it runs");
    process.wait().expect("it ends");
    let line = line.expect("a list of methods");
    assert!(line.ends_with(r#" "two words" a "b,c" "\n" "" "\"" größe $_"#), "{line}");
}

#[test]
fn scripts_of_other_module_systems_get_a_hint() {
    let place = TestService::new("");
    for (script, said, hint) in [
        ("import fs from 'fs'\nexport const f = () => 1", "could not load module 'fs'", "imports nothing"),
        ("import fs from 'fs'\nexports.f = () => 1", "could not load module 'fs'", "imports nothing"),
        ("const fs = require('fs')\nexports.f = () => 1", "script.js:1:", "imports nothing"),
        ("exports.f = () => import.meta.url", "script.js:1:", "export const name"),
        ("await System.files.getInfo()\nexports.f = () => 1", "script.js:2:", "export const name"),
        ("export const f = () => 1\nexport const f = () => 2", "script.js:2:", "in the module"),
        ("export { x }", "script.js:", ""),
        ("export const f = () => 1\nthrow new Error('far')", "far (at", ""),
    ] {
        fs::write(place.script(), script).expect("writable");
        let hint = if hint.is_empty() { vec![] } else { vec!["hint: ", hint] };
        assert_says(&refused(&place, &[]), &[&["does not load", said][..], &hint].concat());
    }
    fs::write(place.script(), "const exportable = 1; nowhere()").expect("writable");
    assert!(!refused(&place, &[]).contains("hint: "));
}

#[test]
fn a_module_is_deployed_as_one_and_continued() {
    let code = "const start = await Promise.resolve(40)\nlet n = start\nexport const inc = () => ++n\nexport default () => n";
    let place = TestService::new(code);
    run(async {
        let host = place.host();
        assert_eq!(host.announced[0]["methods"], json!(["default", "inc"]));
        assert_eq!(host.client().await.try_call("inc", json!([])).await.expect("it is served"), json!(41));
        drop(host);
        let host = place.host();
        assert_eq!(host.client().await.try_call("inc", json!([])).await.expect("it goes on"), json!(42));
    });
    let init = &place.log()[0];
    assert_eq!((&init["module"], &init["engine"]["api"]), (&json!(true), &json!(5)), "{init}");
    place.assert_agrees();
}

#[test]
fn options_of_a_new_service_are_refused_for_an_old_one() {
    let place = TestService::new("exports.f = () => 1");
    drop(place.host_with(&["--title", "mine", "--fuel", "500"]));
    for (options, deployed) in [
        (["--title", "yours"], "mine"),
        (["--fuel", "400"], "500"),
        (["--memory", "1000000"], "134217728"),
        (["--stack", "1000000"], "1048576"),
        (["--output", "1000000"], "16777216"),
    ] {
        let said = refused(&place, &options);
        assert_says(
            &said,
            &[&options.join(" "), "does not apply", &format!("was deployed with {deployed}"), "hint: "],
        );
    }
    // The command that deployed it goes on with it.
    drop(place.host_with(&["--title", "mine", "--fuel", "500", "--output", "16777216"]));
    place.assert_agrees();
}

#[test]
fn options_that_have_no_effect_are_refused() {
    let place = TestService::new("exports.f = () => 1");
    drop(place.host());
    let (script, data) = (place.script().display().to_string(), place.data().display().to_string());
    let other = place.script().with_file_name("other.js");
    fs::write(&other, "exports.g = () => 1").expect("writable");
    let other = other.display().to_string();
    for (arguments, said) in [
        (
            vec!["host", &script, &other, "--title", "both", "--port", "0"],
            "--title cannot be given for several scripts",
        ),
        (
            vec!["host", &script, "--dir", &data, "--sandbox", "off", "--call-time", "5"],
            "--call-time does not apply",
        ),
        (vec!["verify", &data, "--sandbox", "off", "--call-time", "5"], "--call-time does not apply"),
        (vec!["verify", &data, "--peer", "127.0.0.1:1"], "--peer does not apply"),
        (vec!["log", &data, "--peer", "127.0.0.1:1"], "--peer does not apply"),
        (vec!["files", "ls", &data, "--peer", "127.0.0.1:1"], "--peer does not apply"),
        (vec!["files", "cat", &data, "/x", "--bootstrap", "127.0.0.1:1"], "--bootstrap does not apply"),
        (vec!["log", &data, "--swarm-port", "1"], "--swarm-port does not apply"),
        (vec!["log", &data, "--from", "3", "--last", "1"], "cannot be used with"),
    ] {
        let output = vms(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {}", text(&output.stderr));
    }
}
