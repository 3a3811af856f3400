//! Tests of the parts of an error beside its name and message: its own code and data.

use super::*;

/// Returns what calling `() => { throw (expression) }` throws.
fn thrown(expression: &str) -> Thrown {
    match load(&format!("exports.f = () => {{ throw ({expression}) }}")).call("f", "[]") {
        Outcome::Threw(thrown) => thrown,
        other => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn an_errors_own_code_is_reported_if_a_script_may_choose_it() {
    for (code, told) in [
        ("42", Some(42)),
        ("0", Some(0)),
        ("-0", Some(0)),
        ("-1", Some(-1)),
        ("-31999", Some(-31_999)),
        ("-32769", Some(-32_769)),
        ("2 ** 53 - 1", Some((1 << 53) - 1)),
        ("1 - 2 ** 53", Some(1 - (1 << 53))),
        ("-32000", None),
        ("-32601", None),
        ("-32768", None),
        ("2 ** 53", None),
        ("1.5", None),
        ("NaN", None),
        ("Infinity", None),
        ("'42'", None),
        ("7n", None),
        ("new Number(42)", None),
        ("null", None),
        ("undefined", None),
    ] {
        let thrown = thrown(&format!("Object.assign(new RangeError('m'), {{ code: {code} }})"));
        assert_eq!(thrown, Thrown { code: told, ..Thrown::new("RangeError", "m") }, "{code}");
    }
}

#[test]
fn an_errors_own_data_is_reported_as_json() {
    for (data, told) in [
        ("{ a: [1, undefined, NaN], b: undefined }", Some(r#"{"a":[1,null,null]}"#)),
        ("null", Some("null")),
        ("false", Some("false")),
        ("''", Some(r#""""#)),
        ("'\\ud800'", Some("\"\u{fffd}\"")),
        ("new Date(0)", Some(r#""1970-01-01T00:00:00.000Z""#)),
        ("new Error('inner')", Some("{}")),
        ("undefined", None),
        ("() => 1", None),
        ("Symbol('x')", None),
        ("1n", None),
        ("(() => { const ring = []; ring.push(ring); return ring })()", None),
        ("{ toJSON () { throw new Error('no') } }", None),
        ("{ toJSON () { return undefined } }", None),
    ] {
        let thrown = thrown(&format!("Object.assign(new Error('m'), {{ data: {data} }})"));
        let details = told.map(str::to_owned);
        assert_eq!(thrown, Thrown { details, ..Thrown::new("Error", "m") }, "{data}");
    }
}

#[test]
fn code_and_data_come_from_any_thrown_object() {
    let coded =
        |name, message| Thrown { code: Some(5), details: Some("[1]".into()), ..Thrown::new(name, message) };
    assert_eq!(thrown("{ message: 'm', code: 5, data: [1] }"), coded("Error", "m"));
    assert_eq!(thrown("{ code: 5, data: [1] }"), coded("Error", r#"{"code":5,"data":[1]}"#));
    let class = "new (class Mine extends Error { name = 'Mine'; get code () { return 5 } get data () { return [1] } })('m')";
    assert_eq!(thrown(class), coded("Mine", "m"));
    let later =
        "exports.f = async () => { await null; throw Object.assign(new Error('m'), { code: 5, data: [1] }) }";
    assert_eq!(load(later).call("f", "[]"), Outcome::Threw(coded("Error", "m")));
    for plain in ["'text'", "null", "undefined", "5", "Symbol('x')"] {
        let Thrown { code, details, .. } = thrown(plain);
        assert_eq!((code, details), (None, None), "{plain}");
    }
}

#[test]
fn an_error_keeps_its_message_if_its_code_or_data_throw() {
    for members in [
        "get code () { throw new Error('no') }",
        "get data () { throw new Error('no') }",
        "get code () { return this.code } ",
        "get data () { return { toJSON: () => { throw this } } }",
    ] {
        let expression = format!(
            "Object.defineProperties(new Error('m'), Object.getOwnPropertyDescriptors({{ {members} }}))"
        );
        assert_eq!(thrown(&expression), Thrown::new("Error", "m"), "{members}");
    }
    let changed = "Number.isSafeInteger = () => true; JSON.stringify = () => 'mine'
        exports.f = () => { throw Object.assign(new Error('m'), { code: 'x', data: { a: 1 } }) }";
    let told = Thrown { details: Some(r#"{"a":1}"#.into()), ..Thrown::new("Error", "m") };
    assert_eq!(load(changed).call("f", "[]"), Outcome::Threw(told));
}

#[test]
fn code_and_data_are_read_within_the_limits_of_the_call() {
    let limits = Limits { output: 1000, ..Limits::default() };
    let code = "exports.long = (n) => { throw Object.assign(new Error('m'), { data: 'x'.repeat(n) }) }
        exports.endless = () => { throw { message: 'm', get data () { for (;;) {} } } }
        exports.caught = () => { throw { message: 'm', get code () { try { for (;;) {} } catch {} return 1 } } }
        exports.fine = () => 1";
    let mut script = try_load(code, limits).expect("a good script");
    assert!(matches!(script.call("long", "[998]"), Outcome::Threw(_)));
    assert_eq!(script.call("long", "[999]"), Outcome::Fault(Fault::Output));
    assert_eq!(script.call("endless", "[]"), Outcome::Fault(Fault::Fuel));
    assert_eq!(script.call("caught", "[]"), Outcome::Fault(Fault::Fuel));
    assert_eq!(script.call("fine", "[]"), Outcome::Returned(Some("1".into())));
    let mut script = load(code);
    assert_eq!(script.call("long", "[1048575]"), Outcome::Fault(Fault::Output));
    assert!(matches!(script.call("long", "[1048574]"), Outcome::Threw(_)));
}

#[test]
fn loading_has_fuel_of_its_own() {
    let code = "for (let n = 0; n < 500000; n++) {}
        exports.short = () => { for (let n = 0; n < 50000; n++) {} }
        exports.long = () => { for (let n = 0; n < 500000; n++) {} }";
    let limits = Limits { fuel: 10, ..Limits::default() };
    let failure = try_load(code, limits).err().expect("too long for a call's fuel");
    assert_eq!(failure.outcome, Outcome::Fault(Fault::Fuel));
    let mut script = try_load(code, limits.with_load()).expect("ten times as much");
    assert_eq!(script.call("short", "[]"), Outcome::Returned(None));
    assert_eq!(script.call("long", "[]"), Outcome::Fault(Fault::Fuel));
    assert_eq!(script.call("short", "[]"), Outcome::Returned(None));
    let failure = try_load(code, Limits { load: Some(20), ..limits }).err().expect("less than it takes");
    assert_eq!(failure.outcome, Outcome::Fault(Fault::Fuel));
}
