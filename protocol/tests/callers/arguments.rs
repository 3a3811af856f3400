//! `fixtures/callers/arguments.json`: calls with every kind of argument, in every notation, and what is no JSON data.

use data_encoding::HEXLOWER;
use libvms_hypercore::identity::SecretKey;
use libvms_protocol::entry::Intention;
use libvms_protocol::value::Value;
use serde_json::json;

use super::golden::Vectors;

const NONCE: u64 = 1_700_000_000_000_007;

/// Texts of `params`.
fn good() -> Vec<(&'static str, String)> {
    let nested = |levels| "[".repeat(levels) + &"]".repeat(levels);
    let mut cases: Vec<(&str, String)> = [
        ("nothing", "[]"),
        ("constants", "[null,true,false]"),
        ("empty", r#"[[],{},"",{"":""},[[]]]"#),
        ("spaces", " [ 1 ,\t{ \"a\" : 2 }\r\n] "),
        ("zeros", "[0,-0,0.0,-0.0,0e5,-0E-5]"),
        ("integral", "[1.0,1e0,10e-1,0.1e1,1E3,1e+3,-1.0,-100e-2,1.5e1]"),
        ("heads-of-integers", "[23,24,255,256,65535,65536,4294967295,4294967296]"),
        ("heads-of-negatives", "[-24,-25,-256,-257,-65536,-65537,-4294967296,-4294967297]"),
        ("largest-integers", "[9007199254740991,9007199254740992,-9007199254740991,-9007199254740992]"),
        ("rounded-to-2-53", "[9007199254740993,9007199254740992.0,9007199254740993.0,-9007199254740993]"),
        ("beyond-2-53", "[9007199254740994,9007199254740995,-9007199254740994,9.007199254740994e15]"),
        (
            "beyond-64-bits",
            "[9223372036854775807,9223372036854775808,-9223372036854775809,18446744073709551616]",
        ),
        ("beyond-128-bits", "[340282366920938463463374607431768211456,123456789012345678901234567890]"),
        ("large", "[1e21,1e22,1e300,123456789012345680000]"),
        ("fractions", "[0.1,0.5,-2.5,0.30000000000000004,4503599627370496.5,1e-7]"),
        ("long-fractions", "[0.1000000000000000055511151231257827,3.14159265358979323846264338327950288]"),
        ("smallest", "[5e-324,-5e-324,4.9406564584124654e-324,2.4703282292062328e-324]"),
        ("subnormal", "[2.225073858507201e-308,2.2250738585072014e-308,1e-310]"),
        ("underflow", "[2e-324,-1e-400,1e-5000,2.4703282292062327e-324]"),
        ("greatest", "[1.7976931348623157e308,-1.7976931348623157e308,1.7976931348623158e308]"),
        ("escapes", r#"["\"\\\/\b\f\n\r\t\u0000\u001f\u007f","a\u0061A"]"#),
        ("composed", r#"["ü","\u00fc","u\u0308","ß","İ"]"#),
        ("astral", r#"["😀","\ud83d\ude00","\uD83D\uDE00","𝔘","\udbff\udfff"]"#),
        ("last-of-the-plane", r#"["\uffff","\ufffe","\ufeff","\ue000","\ud7ff"]"#),
        ("controls", r#"["\u2028\u2029","\u202e","\u001b[2J","\u0080\u009f"]"#),
        ("keys-by-length", r#"[{"b":1,"aa":2,"a":3,"":4,"aaa":5,"ab":6}]"#),
        ("keys-by-bytes-of-utf-8", r#"[{"\uffff":1,"😀":2,"ü":3,"zz":4,"z":5,"\ue000":6,"zzz":7,"zzzz":8}]"#),
        ("keys-like-numbers", r#"[{"10":1,"9":2,"-1":3,"01":4,"1e1":5}]"#),
        ("keys-of-javascript", r#"[{"__proto__":1,"constructor":2,"length":3,"then":4,"toJSON":5}]"#),
        ("keys-of-controls", r#"[{"\u0000":1,"\u007f":2,"é":3,"\"":4,"\\":5}]"#),
        ("repeated-keys", r#"[{"a":1,"a":2},{"a":{"b":1},"\u0061":{"c":2}}]"#),
    ]
    .map(|(name, text)| (name, text.to_owned()))
    .into();
    cases.push(("deepest", nested(100)));
    cases.push(("deepest-object", format!("[{}1{}]", r#"{"a":"#.repeat(99), "}".repeat(99))));
    cases.push(("24-of-them", format!("[{}0]", "0,".repeat(23))));
    cases.push(("256-of-them", format!("[{}0]", "0,".repeat(255))));
    cases.push(("text-of-256-bytes", format!(r#"["{}"]"#, "ü".repeat(128))));
    cases
}

/// Texts that are no `params`.
fn bad() -> Vec<(&'static str, String)> {
    let mut cases: Vec<(&str, String)> = [
        ("beyond-floats", "[1e400]"),
        ("beyond-floats-negative", "[-1e309]"),
        ("rounded-beyond-floats", "[1.7976931348623159e308]"),
        ("lone-lead", r#"["\ud800"]"#),
        ("lone-trail", r#"["a\udfffb"]"#),
        ("swapped-pair", r#"["\udc00\ud800"]"#),
        ("lone-in-a-key", r#"[{"\ud83d":1}]"#),
        ("nan", "[NaN]"),
        ("infinity", "[-Infinity]"),
        ("undefined", "[undefined]"),
        ("bigint", "[1n]"),
        ("leading-zero", "[01]"),
        ("bare-point", "[.5]"),
        ("trailing-point", "[5.]"),
        ("plus", "[+1]"),
        ("hexadecimal", "[0x10]"),
        ("trailing-comma", "[1,]"),
        ("single-quotes", "['a']"),
        ("raw-control", "[\"\u{1}\"]"),
        ("two-texts", "[1] [2]"),
        ("empty", ""),
    ]
    .map(|(name, text)| (name, text.to_owned()))
    .into();
    cases.push(("too-deep", "[".repeat(101) + &"]".repeat(101)));
    cases.push(("too-deep-object", format!("[{}1{}]", r#"{"a":"#.repeat(100), "}".repeat(100))));
    cases
}

#[test]
fn every_kind_of_argument_is_signed_as_the_fixture_has_it() {
    let (key, log) = (SecretKey::from_seed(&[0x71; 32]), SecretKey::from_seed(&[0x44; 32]).public_key());
    let cases = good().into_iter().map(|(name, text)| {
        let Ok(Value::Array(args)) = Value::from_json(&text) else { panic!("{name}: {text}") };
        let intention = Intention { method: "f", args: &args, nonce: NONCE, seen: None, instead: None };
        let by = intention.sign(&key, &log);
        assert!(by.verifies(&log, "f", &args));
        let signed = HEXLOWER.encode(&intention.signable(&log));
        json!({ "name": name, "params": text, "signed": signed, "sig": HEXLOWER.encode(&by.sig.0) })
    });
    let refused = bad().into_iter().map(|(name, text)| {
        assert!(Value::from_json(&text).is_err(), "{name}: {text}");
        json!({ "name": name, "params": text })
    });
    let about = "Calls of `f` with the text `params`, signed: `signed` is what the signature covers. Of `refused` no call can be made.";
    Vectors::new("arguments.json", about)
        .with("log", log.to_string())
        .with("seed", HEXLOWER.encode(&key.seed()))
        .with("nonce", NONCE)
        .with_list("cases", cases)
        .with_list("refused", refused)
        .compare();
}
