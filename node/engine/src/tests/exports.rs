//! Exports as people and their tools write them: by getters, as an ES module, and in the forms that are frozen.

use super::{AT, load, threw};
use crate::identity::Api;
use crate::message::{Call, Load, LoadFailure, Loaded, Outcome, Report, Request};
use crate::{EngineSettings, Worker};
use libvms_protocol::entry::Limits;

/// What esbuild puts before a bundle with `--format=cjs`.
const ESBUILD: &str = "var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === \"object\" || typeof from === \"function\") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toCommonJS = (mod) => __copyProps(__defProp({}, \"__esModule\", { value: true }), mod);
";

fn start(api: Api, code: &str, module: bool) -> (Worker, Result<Loaded, LoadFailure>) {
    let mut worker =
        Worker::start_as(api, Limits::default(), &EngineSettings::unconfined()).expect("a worker");
    let load = Load { code: code.into(), module, at: AT, seed: [1; 32] };
    worker.send(Request::Load(load)).expect("it runs");
    match worker.receive().expect("it runs") {
        Report::Loaded(loaded) => (worker, loaded),
        other => panic!("{other:?}"),
    }
}

fn call(worker: &mut Worker, method: &str) -> Outcome {
    let call = Call { method: method.into(), args: "[20, 22]".into(), user_id: None, at: AT, seed: [2; 32] };
    worker.send(Request::Call(call)).expect("it runs");
    match worker.receive().expect("it runs") {
        Report::Done(done) => done.outcome,
        other => panic!("{other:?}"),
    }
}

fn returned(json: &str) -> Outcome {
    Outcome::Returned(Some(json.into()))
}

fn module(code: &str) -> (Worker, Loaded) {
    let (worker, loaded) = start(Api::LATEST, code, true);
    (worker, loaded.unwrap_or_else(|failure| panic!("{failure:?}")))
}

fn failure(code: &str) -> LoadFailure {
    start(Api::LATEST, code, true).1.expect_err(code)
}

#[test]
fn what_a_bundler_exports_is_a_method() {
    let made = [
        (
            "esbuild",
            format!(
                "{ESBUILD}var service_exports = {{}};
                __export(service_exports, {{ add: () => add, Money: () => Money, version: () => version, default: () => service_default }});
                module.exports = __toCommonJS(service_exports);
                var version = '1'; class Money {{}} function add(a, b) {{ return a + b }} var service_default = add;"
            ),
        ),
        (
            "swc",
            "'use strict'
            Object.defineProperty(exports, '__esModule', { value: true });
            function _export(target, all) { for (var name in all) Object.defineProperty(target, name, { enumerable: true, get: Object.getOwnPropertyDescriptor(all, name).get }) }
            _export(exports, { get Money () { return Money }, get add () { return add }, get default () { return _default }, get version () { return version } });
            function add(a, b) { return a + b } class Money {} const version = '1'; const _default = add"
                .into(),
        ),
        (
            "Babel",
            "'use strict';
            Object.defineProperty(exports, '__esModule', { value: true });
            exports.version = exports.default = exports.Money = void 0; exports.add = add;
            function add(a, b) { return a + b } class Money {} exports.Money = Money; const version = exports.version = '1'; var _default = exports.default = add"
                .into(),
        ),
        (
            "tsc",
            "'use strict'
            var __createBinding = (this && this.__createBinding) || (function (o, m, k, k2) { Object.defineProperty(o, k2 ?? k, { enumerable: true, get: function () { return m[k] } }) })
            Object.defineProperty(exports, '__esModule', { value: true })
            exports.version = exports.Money = void 0
            const inner = { add (a, b) { return a + b } }; class Money {}; exports.Money = Money; exports.version = '1'
            __createBinding(exports, inner, 'add'); Object.defineProperty(exports, 'default', { enumerable: true, get: function () { return inner.add } })"
                .into(),
        ),
        (
            "rollup",
            "'use strict'
            Object.defineProperty(exports, '__esModule', { value: true });
            const version = '1'; class Money {} function add(a, b) { return a + b }
            exports.Money = Money; exports.add = add; exports.default = add; exports.version = version"
                .into(),
        ),
    ];
    for (tool, code) in made {
        let (mut worker, loaded) = start(Api::LATEST, &code, false);
        let mut loaded = loaded.unwrap_or_else(|failure| panic!("{tool}: {failure:?}"));
        loaded.methods.sort();
        assert_eq!(loaded.methods, ["add", "default"], "{tool}");
        loaded.others.sort();
        let others: Vec<_> =
            loaded.others.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
        assert_eq!(others, [("Money", "a class"), ("version", "a string")], "{tool}");
        for method in ["add", "default"] {
            assert_eq!(call(&mut worker, method), returned("42"), "{tool}");
        }
        assert_eq!(loaded.parameters["add"], ["a", "b"], "{tool}");
    }
}

#[test]
fn a_getter_is_read_once_when_the_script_has_run() {
    let mut script = load(
        "const read = []
        const of = (name, value) => Object.defineProperty(exports, name, { get () { read.push(name); return value }, enumerable: true, configurable: true })
        of('b', () => read); of('a', () => 1); of(2, () => 2)
        exports.drop = () => { delete exports.a }
        exports.replace = () => { Object.defineProperty(exports, 'b', { value: () => 'later', enumerable: true }) }",
    );
    assert_eq!(script.methods, ["2", "b", "a", "drop", "replace"]);
    assert_eq!(script.json("b"), "[2,\"b\",\"a\"]");
    assert_eq!(script.json("a"), "1");
    assert_eq!(script.json("b"), "[2,\"b\",\"a\"]", "a call reads no getter");
    // As with exports that are plain properties.
    assert_eq!(script.call("drop", "[]"), Outcome::Returned(None));
    assert_eq!(script.call("a", "[]"), threw("TypeError", "a is no function any more"));
    assert_eq!(script.call("replace", "[]"), Outcome::Returned(None));
    assert_eq!(script.json("b"), "\"later\"");
}

#[test]
fn a_getter_that_throws_fails_the_load_where_it_threw() {
    let code =
        "Object.defineProperty(exports, 'a', { get () {\n  throw new RangeError('no') }, enumerable: true })";
    let failure = start(Api::LATEST, code, false).1.expect_err("it throws");
    assert!(matches!(&failure.outcome, Outcome::Threw(thrown) if thrown.name == "RangeError"), "{failure:?}");
    assert_eq!(failure.position.as_deref(), Some("script.js:2:13"));
}

#[test]
fn functions_of_a_default_export_are_methods_where_nothing_else_is() {
    for (code, is_module) in [
        (
            "exports.default = { base: 1, add (a, b) { return a + b + this.base } }; exports.version = 1",
            false,
        ),
        (
            "export default { base: 1, add (a, b) { return a + b + this.base } }; export const version = 1",
            true,
        ),
    ] {
        let (mut worker, loaded) = start(Api::LATEST, code, is_module);
        assert_eq!(loaded.expect(code).methods, ["add"]);
        assert_eq!(call(&mut worker, "add"), returned("43"));
    }
    let (_, loaded) = start(Api::LATEST, "exports.default = { add () {} }; exports.own = () => 1", false);
    assert_eq!(loaded.expect("a good script").methods, ["own"]);
    let (_, loaded) = start(Api::LATEST, "module.exports = function add () {}", false);
    let others = [("module.exports".to_owned(), "a function without a name".to_owned())];
    assert_eq!(loaded.expect("a good script").others, others);
}

#[test]
fn logs_of_version_4_keep_their_exports() {
    let code = "Object.defineProperty(exports, 'f', { get () { return () => 1 }, enumerable: true })
        exports.g = () => typeof self";
    let (mut worker, loaded) = start(Api::V4, code, false);
    let loaded = loaded.expect("a good script");
    assert_eq!(loaded.methods, ["g"]);
    assert_eq!(loaded.others, [("f".to_owned(), "a getter".to_owned())]);
    assert_eq!(call(&mut worker, "f"), threw("TypeError", "f is no function any more"));
    assert_eq!(call(&mut worker, "g"), returned("\"undefined\""));
    let refused = start(Api::V4, "export const f = () => 1", true).1.expect_err("no modules yet");
    assert!(matches!(refused.outcome, Outcome::Threw(_)), "{refused:?}");
}

#[test]
fn a_module_is_served() {
    let (mut worker, loaded) = module(
        "const wait = (ms) => new Promise(resolve => setTimeout(resolve, ms))
        const start = Date.now(); await wait(250); export const waited = Date.now() - start
        let calls = 0
        export const add = (a, b) => a + b
        export { named as 'of any name', named as init }
        function named () { return [calls++, waited, this === undefined, typeof module, typeof exports, typeof import.meta] }
        export default class {}
        export let later = () => 'first'
        export const change = () => { later = () => 'second' }",
    );
    assert_eq!(loaded.methods, ["add", "change", "init", "later", "of any name"]);
    assert_eq!(loaded.others, [("default".into(), "a class".into()), ("waited".into(), "a number".into())]);
    assert_eq!(call(&mut worker, "add"), returned("42"));
    assert_eq!(call(&mut worker, "init"), returned("[0,250,false,\"undefined\",\"undefined\",\"object\"]"));
    assert_eq!(
        call(&mut worker, "of any name"),
        returned("[1,250,false,\"undefined\",\"undefined\",\"object\"]")
    );
    assert_eq!(call(&mut worker, "change"), Outcome::Returned(None));
    assert_eq!(call(&mut worker, "later"), returned("\"first\""), "as it was when the module had loaded");
    for other in ["waited", "default", "toString", "missing"] {
        let refused = threw("TypeError", &format!("{other} is no function any more"));
        assert_eq!(call(&mut worker, other), refused);
    }
}

#[test]
fn a_module_that_does_not_load_says_where() {
    for (code, name, message, position) in [
        ("import { a } from 'lodash'\nexport const f = a", "ReferenceError", "'lodash'", None),
        ("export const f = 1\nexport const f = 2", "SyntaxError", "", Some("script.js:2:")),
        ("\nawait null\n  throw new TypeError('x')", "TypeError", "x", Some("script.js:3:")),
        ("await new Promise(() => {})", "Error", "the module never settled", None),
        ("export { f }", "SyntaxError", "", None),
        ("export const f = () => 1; with (f) {}", "SyntaxError", "", Some("script.js:1:")),
    ] {
        let failure = failure(code);
        let Outcome::Threw(thrown) = &failure.outcome else { panic!("{code}: {failure:?}") };
        assert!(thrown.name == name && thrown.message.contains(message), "{code}: {thrown:?}");
        if let Some(position) = position {
            let found = failure.position.as_deref();
            assert!(found.is_some_and(|found| found.starts_with(position)), "{code}: {failure:?}");
        }
    }
    assert!(matches!(failure("for (;;) {}").outcome, Outcome::Fault(_)));
    assert!(matches!(failure("for (;;) await null").outcome, Outcome::Fault(_)));
}
