//! JSON data as the log holds it: the arguments and results of calls.
//!
//! A [`Value`] has one DAG-CBOR encoding. Integers within ±2^53 are CBOR integers, all other finite numbers are
//! 64-bit floats, and the members of an object are sorted, so that equal data gives equal bytes. JSON texts that
//! differ only in white space, in the order of members or in the notation of numbers become the same value.
//!
//! Three things of JavaScript cannot be represented and are mapped when a value is made: negative zero becomes zero
//! (as `JSON.stringify` does), an integer beyond ±2^53 becomes the nearest float, and of a repeated member the last
//! one counts (as in `JSON.parse`).

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::ser::Formatter;
use thiserror::Error;

use crate::limits;
use libvms_hypercore::limits::INTEGER_MAX;

/// JSON data. Compare values with `==`; a float is never an integer within ±2^53, never NaN, never infinite.
///
/// ```
/// use libvms_protocol::value::Value;
/// let a = Value::from_json(r#"{"b": 1.0, "a": [true, 1e3]}"#)?;
/// let b = Value::from_json(r#"{"a":[true,1000],"b":1}"#)?;
/// assert_eq!(a, b);
/// assert_eq!(a.to_json(), r#"{"a":[true,1000],"b":1}"#);
/// # Ok::<(), libvms_protocol::value::ValueError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer within ±2^53.
    Integer(i64),
    /// Any other finite number.
    Float(f64),
    /// Text without lone surrogates.
    Text(String),
    /// Values in order.
    Array(Vec<Self>),
    /// Values by name.
    Object(BTreeMap<String, Self>),
}

/// The text is not JSON data that the log can hold.
#[derive(Debug, Error)]
#[error("not JSON data: {source}")]
pub struct ValueError {
    #[from]
    source: serde_json::Error,
}

impl Value {
    /// Reads JSON text.
    ///
    /// # Errors
    /// If the text is not JSON, nests deeper than [`limits::VALUE_DEPTH_MAX`], or holds a number beyond the range of a
    /// 64-bit float or a lone surrogate.
    pub fn from_json(text: &str) -> Result<Self, ValueError> {
        Ok(serde_json::from_str(text)?)
    }

    /// Returns the value as JSON text: without spaces, members sorted by the bytes of their names, numbers as
    /// `JSON.stringify` writes them.
    pub fn to_json(&self) -> String {
        let mut text = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, EcmaScript);
        self.serialize(&mut serializer).expect("a value has only text keys and finite numbers");
        String::from_utf8(text).expect("JSON text is UTF-8")
    }

    fn from_number(number: f64) -> Option<Self> {
        const EXACT: f64 = INTEGER_MAX as f64;
        if !number.is_finite() {
            return None;
        }
        let is_integer = number.trunc() == number && number.abs() <= EXACT;
        Some(if is_integer { Self::Integer(number as i64) } else { Self::Float(number) })
    }

    /// Converts an integer. Beyond ±2^53 it becomes the nearest float, which may be 2^53 itself.
    fn from_integer(number: i128) -> Self {
        let exact = i128::from(-INTEGER_MAX)..=i128::from(INTEGER_MAX);
        match i64::try_from(number) {
            Ok(small) if exact.contains(&number) => Self::Integer(small),
            _ => Self::from_number(number as f64).expect("a 128-bit integer is within the range of a float"),
        }
    }
}

/// Writes floats as ECMA-262 does (`Number::toString`), so that callers see what the script would print.
struct EcmaScript;

impl Formatter for EcmaScript {
    fn write_f64<W: io::Write + ?Sized>(&mut self, writer: &mut W, number: f64) -> io::Result<()> {
        writer.write_all(number_text(number).as_bytes())
    }
}

/// Returns the shortest decimal digits that read back as the float, laid out as in ECMA-262.
fn number_text(number: f64) -> String {
    // Rust gives the same digits in another layout: `-1.234e-7`.
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
    let digits = mantissa.replace('.', "");
    // The decimal point comes after this many digits.
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let count = digits.len() as i32;
    let laid_out = match point {
        _ if (count..=21).contains(&point) => digits + &"0".repeat((point - count) as usize),
        1..=21 => format!("{}.{}", &digits[..point as usize], &digits[point as usize..]),
        -5..=0 => format!("0.{}{digits}", "0".repeat(-point as usize)),
        _ => {
            let (first, rest) = digits.split_at(1);
            let fraction = if rest.is_empty() { String::new() } else { format!(".{rest}") };
            format!("{first}{fraction}e{:+}", point - 1)
        }
    };
    format!("{sign}{laid_out}")
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(members) => serializer.collect_map(members),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Nested { levels_left: limits::VALUE_DEPTH_MAX }.deserialize(deserializer)
    }
}

/// Reads a value that may hold `levels_left` more levels of arrays and objects.
#[derive(Clone, Copy)]
struct Nested {
    levels_left: usize,
}

impl Nested {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        let levels_left = self.levels_left.checked_sub(1);
        let too_deep = || E::custom(format_args!("nested deeper than {} levels", limits::VALUE_DEPTH_MAX));
        Ok(Self { levels_left: levels_left.ok_or_else(too_deep)? })
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON data")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from_integer(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from_integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::from_integer(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Value::from_number(value).ok_or_else(|| E::custom("a number beyond the range of a 64-bit float"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut members = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            members.insert(name, map.next_value_seed(inner)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> Value {
        Value::from_json(text).expect("JSON data")
    }

    #[test]
    fn numbers_that_are_equal_become_one_value() {
        assert_eq!(value("1e3"), Value::Integer(1000));
        assert_eq!(value("-0"), Value::Integer(0));
        assert_eq!(value("-0.0"), Value::Integer(0));
        assert_eq!(value("9007199254740992"), Value::Integer(1 << 53));
        assert_eq!(value("9007199254740993"), Value::Integer(1 << 53));
        assert_eq!(value("9007199254740994"), Value::Float(9_007_199_254_740_994.0));
        assert_eq!(value("18446744073709551616"), Value::Float(18_446_744_073_709_551_616.0));
        assert_eq!(value("0.1"), Value::Float(0.1));
    }

    #[test]
    fn data_that_the_log_cannot_hold_is_refused() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(Value::from_json(&deep(limits::VALUE_DEPTH_MAX)).is_ok());
        assert!(Value::from_json(&deep(limits::VALUE_DEPTH_MAX + 1)).is_err());
        assert!(Value::from_json(&deep(1_000_000)).is_err());
        for text in ["", "1e400", r#""\ud800""#, "[1,]", "NaN", "undefined", "1 2"] {
            assert!(Value::from_json(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_of_repeated_members_counts() {
        assert_eq!(value(r#"{"a":1,"a":2}"#).to_json(), r#"{"a":2}"#);
    }

    #[test]
    fn floats_are_written_as_javascript_writes_them() {
        let cases = [
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (9_007_199_254_740_994.0, "9007199254740994"),
            (1_152_921_504_606_846_976.0, "1152921504606847000"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1e21, "1e+21"),
            (-1.25e300, "-1.25e+300"),
            (0.000_001, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (1_234.567_8, "1234.5678"),
        ];
        for (number, text) in cases {
            assert_eq!(Value::Float(number).to_json(), text);
            assert_eq!(value(text), Value::Float(number), "{text}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|number| Value::from_integer(number.into())),
            any::<f64>().prop_filter_map("finite", Value::from_number),
            any::<String>().prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(Value::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_and_cbor_round_trip(value in any_value()) {
            let json = value.to_json();
            prop_assert_eq!(&Value::from_json(&json).expect("our own text"), &value);
            let cbor = serde_ipld_dagcbor::to_vec(&value).expect("no error source");
            prop_assert_eq!(serde_ipld_dagcbor::from_slice::<Value>(&cbor).expect("our own bytes"), value);
        }
    }
}
