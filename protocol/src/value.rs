//! JSON data as the log holds it: the arguments and results of calls.
//!
//! A [`Value`] has one DAG-CBOR encoding. Integers within ±2^53 are CBOR integers, all other finite numbers are
//! 64-bit floats, and the members of an object are sorted, so that equal data gives equal bytes. JSON texts that
//! differ only in white space, in the order of members or in the notation of numbers become the same value.
//!
//! Three things of JavaScript cannot be represented and are mapped when a value is made: negative zero becomes zero
//! (as `JSON.stringify` does), an integer beyond ±2^53 becomes the nearest float, and of a repeated member the last
//! one counts (as in `JSON.parse`).

use std::cell::Cell;
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
    /// Values by name, sorted by the bytes of the names, each name once. Most objects are small, and a hostile one is many
    /// small ones: a list takes a fraction of a tree's memory.
    Object(Box<[(String, Self)]>),
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

    /// Creates an object. Of members with one name the last one counts.
    pub fn object(members: impl IntoIterator<Item = (String, Self)>) -> Self {
        let mut members: Vec<_> = members.into_iter().collect();
        if !members.is_sorted_by(|(one, _), (next, _)| one < next) {
            // Sorting keeps the order of equal names; of neighbours the first one stays.
            members.reverse();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            members.dedup_by(|(later, _), (kept, _)| later == kept);
        }
        Self::Object(members.into())
    }

    /// Reads a value of which a JSON text of at most `bytes_max` bytes may exist, without keeping more of a larger one.
    ///
    /// # Errors
    /// As the deserializer; and where every JSON text of the value is longer.
    pub fn deserialize_within<'de, D: Deserializer<'de>>(
        bytes_max: usize,
        deserializer: D,
    ) -> Result<Self, D::Error> {
        let bytes_left = Cell::new(bytes_max);
        Nested { levels_left: limits::VALUE_DEPTH_MAX, bytes_left: &bytes_left }.deserialize(deserializer)
    }

    /// Returns a number of bytes that no JSON text of this value falls below.
    pub fn json_bytes_min(&self) -> usize {
        match self {
            Self::Array(items) => array_bytes_min(items),
            Self::Object(members) => {
                let of_member =
                    |(name, value): &(String, Self)| MEMBER_BYTES_MIN + name.len() + value.json_bytes_min();
                BRACKET_BYTES_MIN + members.iter().map(of_member).sum::<usize>()
            }
            leaf => leaf.own_bytes_min(),
        }
    }

    /// Returns the same without the items or members.
    fn own_bytes_min(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => "null".len(),
            Self::Integer(_) => "1".len(),
            Self::Float(_) => "0.5".len(),
            // An escape sequence is longer than the character.
            Self::Text(text) => text.len() + QUOTES_BYTES,
            Self::Array(_) | Self::Object(_) => BRACKET_BYTES_MIN,
        }
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

/// Returns a number of bytes that no JSON text of these items, as an array, falls below.
pub(crate) fn array_bytes_min(items: &[Value]) -> usize {
    BRACKET_BYTES_MIN + items.iter().map(|item| ITEM_BYTES_MIN + item.json_bytes_min()).sum::<usize>()
}

/// Bytes of the first bracket of an array or object.
const BRACKET_BYTES_MIN: usize = 1;
/// Bytes of the quotation marks of a text.
const QUOTES_BYTES: usize = 2;
/// Bytes of an item besides its own: a comma, or the last bracket.
const ITEM_BYTES_MIN: usize = 1;
/// Bytes of a member besides its name's and its value's own: a comma, or the last bracket; a colon and quotation marks.
const MEMBER_BYTES_MIN: usize = 2 + QUOTES_BYTES;

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
            Self::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize_within(usize::MAX, deserializer)
    }
}

/// Reads a value that may hold `levels_left` more levels of arrays and objects, and take `bytes_left` more bytes as JSON.
#[derive(Clone, Copy)]
struct Nested<'a> {
    levels_left: usize,
    bytes_left: &'a Cell<usize>,
}

impl Nested<'_> {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        let levels_left = self.levels_left.checked_sub(1);
        let too_deep = || E::custom(format_args!("nested deeper than {} levels", limits::VALUE_DEPTH_MAX));
        Ok(Self { levels_left: levels_left.ok_or_else(too_deep)?, ..self })
    }

    /// Takes the bytes of a part, before it is kept.
    fn take<E: de::Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.bytes_left.get().checked_sub(bytes);
        self.bytes_left.set(left.ok_or_else(|| E::custom("more JSON data than its limit"))?);
        Ok(())
    }

    fn leaf<E: de::Error>(self, value: Value) -> Result<Value, E> {
        self.take(value.own_bytes_min())?;
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON data")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.leaf(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        self.leaf(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        self.leaf(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        self.leaf(Value::from_integer(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        self.leaf(Value::from_integer(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        self.leaf(Value::from_integer(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let value = Value::from_number(value);
        self.leaf(value.ok_or_else(|| E::custom("a number beyond the range of a 64-bit float"))?)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.take(value.len() + QUOTES_BYTES)?;
        Ok(Value::Text(value.into()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        self.leaf(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            self.take(ITEM_BYTES_MIN)?;
            push(&mut items, item);
        }
        self.leaf(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            self.take(MEMBER_BYTES_MIN + name.len())?;
            push(&mut members, (name, map.next_value_seed(inner)?));
        }
        self.leaf(Value::object(members))
    }
}

/// Pushes an item into a list that has room for one at first, and then for twice as many: a `Vec` begins with room for four, and
/// hostile data is a million lists of one.
fn push<T>(items: &mut Vec<T>, item: T) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len().max(1));
    }
    items.push(item);
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
        assert_eq!(value(r#"{"b":1,"a":2,"b":3,"a":4,"b":5}"#).to_json(), r#"{"a":4,"b":5}"#);
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

    #[test]
    fn the_shortest_json_text_is_never_shorter_than_counted() {
        for text in
            ["null", "1", "0.5", r#""""#, r#""é""#, "[1]", "[1,0.5]", r#"{"":1}"#, r#"[{"a":[1],"b":1}]"#]
        {
            assert_eq!(value(text).json_bytes_min(), text.len(), "{text}");
        }
        for text in
            ["1e20", "1e-7", "-0", "true", "false", "[]", "{}", r#""\u00e9\n""#, r#"{"a":1,"a":[[]]}"#]
        {
            assert!(value(text).json_bytes_min() <= text.len(), "{text}");
        }
    }

    #[test]
    fn more_data_than_its_limit_is_refused_while_it_is_read() {
        let within = |bytes_max, text: &str| {
            Value::deserialize_within(bytes_max, &mut serde_json::Deserializer::from_str(text)).is_ok()
        };
        for text in ["[1,2,3]", r#"{"a":[{}],"b":"text"}"#, "0.5", "null", r#""text""#, "[[[[]]]]"] {
            let least = value(text).json_bytes_min();
            assert!(within(least, text) && !within(least - 1, text), "{text}");
        }
        // The end is not even looked at.
        assert!(!within(10, &format!("[{}", "1,".repeat(20))));
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
                prop::collection::vec((any::<String>(), inner), 0..6).prop_map(Value::object),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_and_cbor_round_trip(value in any_value()) {
            let json = value.to_json();
            prop_assert!(value.json_bytes_min() <= json.len());
            prop_assert_eq!(&Value::from_json(&json).expect("our own text"), &value);
            let cbor = serde_ipld_dagcbor::to_vec(&value).expect("no error source");
            prop_assert_eq!(serde_ipld_dagcbor::from_slice::<Value>(&cbor).expect("our own bytes"), value);
        }
    }
}
