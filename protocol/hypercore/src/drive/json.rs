//! JSON as JavaScript writes it: `JSON.stringify` of the result of `JSON.parse`.
//!
//! The log's own [`Value`](crate::value::Value) sorts members; a drive's bytes depend on their order, and on how
//! JavaScript prints a number.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// JSON data with its members in order.
#[derive(Debug)]
pub(super) enum Json {
    /// `null`, `true` or `false`, which have only one notation.
    Word(&'static str),
    Number(f64),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Number(number) => f.write_str(&number_text(*number)),
            Self::Text(text) => write_text(f, text),
            Self::Array(items) => {
                f.write_str("[")?;
                for (position, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", comma(position))?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (position, (name, value)) in members.iter().enumerate() {
                    f.write_str(comma(position))?;
                    write_text(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn comma(position: usize) -> &'static str {
    if position == 0 { "" } else { "," }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).expect("text has a JSON form"))
}

/// Formats a number as ECMA-262, `Number::toString`: the shortest digits that read back as the number, without an
/// exponent from 1e-6 on and before 1e21.
fn number_text(number: f64) -> String {
    if number == 0.0 {
        return "0".into();
    }
    // Of two shortest numbers that are equally close, JavaScript and serde_json take the even one; `{}` of the standard
    // library does not: 930978847458827.25.
    let text = serde_json::to_string(&number.abs()).expect("a number has a JSON form");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let zeros = (all.len() - digits.len()) as i32;
    let exponent: i32 = exponent.parse().expect("the exponent of a 64-bit float");
    let sign = if number < 0.0 { "-" } else { "" };
    format!("{sign}{}", place_point(digits.trim_end_matches('0'), exponent + whole.len() as i32 - 1 - zeros))
}

/// Places the decimal point in digits; the first digit stands for 10^`exponent`.
fn place_point(digits: &str, exponent: i32) -> String {
    let count = digits.len() as i32;
    match exponent {
        _ if !(-6..21).contains(&exponent) => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            format!("{first}{point}{rest}e{exponent:+}")
        }
        _ if exponent >= count - 1 => format!("{digits}{}", "0".repeat((exponent - count + 1) as usize)),
        _ if exponent >= 0 => {
            let (whole, fraction) = digits.split_at(exponent as usize + 1);
            format!("{whole}.{fraction}")
        }
        _ => format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
    }
}

/// Returns the array index that JavaScript takes a name for. Such members come first, in numeric order.
fn array_index(name: &str) -> Option<u32> {
    name.parse().ok().filter(|index: &u32| *index < u32::MAX && index.to_string() == name)
}

/// Sorts members as JavaScript lists them. A repeated one keeps its place and takes the last value.
fn in_order(members: Vec<(String, Json)>) -> Vec<(String, Json)> {
    let mut places = std::collections::BTreeMap::new();
    let mut distinct: Vec<(String, Json)> = Vec::with_capacity(members.len());
    for (name, value) in members {
        match places.get(&name) {
            Some(place) => distinct[*place] = (name, value),
            None => {
                places.insert(name.clone(), distinct.len());
                distinct.push((name, value));
            }
        }
    }
    distinct.sort_by_key(|(name, _)| array_index(name).unwrap_or(u32::MAX));
    distinct
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde_json itself refuses data nested deeper than 128 levels.
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON data")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Word("null"))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Word(if value { "true" } else { "false" }))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = vec![];
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = vec![];
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(in_order(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        serde_json::from_str::<Json>(text).expect("JSON data").to_string()
    }

    #[test]
    fn numbers_look_as_in_javascript() {
        for (text, expected) in [
            ("-0.0", "0"),
            ("1.0", "1"),
            ("-1.50", "-1.5"),
            ("0.1", "0.1"),
            ("-930978847458827.25", "-930978847458827.2"),
            ("930978847458827.75", "930978847458827.8"),
            ("1e-6", "0.000001"),
            ("1.5e-7", "1.5e-7"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("-12.5e300", "-1.25e+301"),
            ("123456789.125", "123456789.125"),
            ("123456789012345680000", "123456789012345680000"),
            ("9007199254740993", "9007199254740992"),
            ("18446744073709551615", "18446744073709552000"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ] {
            assert_eq!(rewritten(text), expected, "{text}");
        }
    }

    #[test]
    fn members_are_ordered_as_in_javascript() {
        let text =
            r#"{ "b":1, "a":2, "10":3, "2":4, "01":5, "4294967295":6, "4294967294":7, "b":8, "-1":9 }"#;
        let expected = r#"{"2":4,"10":3,"4294967294":7,"b":8,"a":2,"01":5,"4294967295":6,"-1":9}"#;
        assert_eq!(rewritten(text), expected);
    }

    #[test]
    fn deeply_nested_data_is_refused() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(serde_json::from_str::<Json>(&deep(100)).is_ok());
        assert!(serde_json::from_str::<Json>(&deep(1_000_000)).is_err());
    }
}
