//! Converts arguments by name into arguments by position: the log holds only positions.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Parameters;
use super::request::no_args;
use crate::error::RpcError;

/// Converts the text of an object, with members named after the method's parameters, to the text of an array.
///
/// A parameter that is not named becomes `null`; it is left out when no later one is named: then its default applies.
///
/// # Errors
/// "Invalid params", with the names of the parameters; "Method not found" when there is no such method.
pub(super) fn in_places(
    method: &str,
    args: &RawValue,
    parameters: impl FnOnce() -> Parameters,
) -> Result<Box<RawValue>, RpcError> {
    let unreadable = |error: serde_json::Error| RpcError::invalid_params(error.to_string());
    let mut args: BTreeMap<String, &RawValue> = serde_json::from_str(args.get()).map_err(unreadable)?;
    let names = match parameters() {
        Parameters::NoMethod => return Err(RpcError::method_not_found()),
        _ if args.is_empty() => return Ok(no_args()),
        Parameters::Named(names) => names,
        Parameters::NotPlain => return Err(RpcError::invalid_params(not_plain(method))),
    };
    let mut places: Vec<_> = names.iter().map(|name| args.remove(name)).collect();
    if let Some(unknown) = args.into_keys().next() {
        return Err(RpcError::invalid_params(format!(
            "`{method}` has no parameter {unknown:?}; its parameters are: {}",
            if names.is_empty() { "none".into() } else { names.join(", ") }
        )));
    }
    places.truncate(places.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
    let texts: Vec<_> = places.into_iter().map(|place| place.map_or("null", RawValue::get)).collect();
    RawValue::from_string(format!("[{}]", texts.join(","))).map_err(unreadable)
}

fn not_plain(method: &str) -> String {
    format!(
        "the parameters of `{method}` are not all plain names, so its arguments cannot be passed by name: params must \
         be an array"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(args: &str, parameters: Parameters) -> Result<String, (i64, String)> {
        let args = RawValue::from_string(args.into()).expect("JSON");
        let found = in_places("add", &args, || parameters);
        found.map(|args| args.get().to_owned()).map_err(|error| (error.code, error.data.unwrap_or_default()))
    }

    fn by_names(args: &str) -> Result<String, (i64, String)> {
        called(args, Parameters::Named(["a", "b", "c"].map(str::to_owned).to_vec()))
    }

    #[test]
    fn names_become_places() {
        for (args, expected) in [
            ("{}", "[]"),
            (r#"{"a":1}"#, "[1]"),
            (r#"{"b":[2, {"x":1.0}],"a":"1"}"#, r#"["1",[2, {"x":1.0}]]"#),
            (r#"{"c":3}"#, "[null,null,3]"),
            (r#"{"a":1,"a":2}"#, "[2]"),
            (r#"{"\u0061":null}"#, "[null]"),
        ] {
            assert_eq!(by_names(args), Ok(expected.into()), "{args}");
        }
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let (code, why) = by_names(r#"{"a":1,"d":2}"#).expect_err("no parameter");
        assert_eq!(
            (code, why.as_str()),
            (-32602, "`add` has no parameter \"d\"; its parameters are: a, b, c")
        );
        let (code, why) = called(r#"{"a":1}"#, Parameters::Named(vec![])).expect_err("no parameter");
        assert!(code == -32602 && why.ends_with("its parameters are: none"), "{why}");
        let (code, why) = called(r#"{"a":1}"#, Parameters::NotPlain).expect_err("no names");
        assert!(code == -32602 && why.ends_with("params must be an array"), "{why}");
        assert_eq!(called("{}", Parameters::NotPlain), Ok("[]".into()));
        assert_eq!(called("{}", Parameters::NoMethod).expect_err("no method").0, -32601);
    }
}
