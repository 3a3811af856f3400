//! Finding numbers that JSON does not have: [`check`].
//!
//! JSON writes NaN and the infinities as `null`, without a word: a caller would sign what it did not mean.

use std::fmt;

use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// Why a value cannot be signed as it is.
#[derive(Debug)]
pub(super) enum NotFinite {
    /// A number in it is NaN or infinite.
    Number(f64),
    /// It does not serialize at all; it fails in the same way when it is written.
    Other(String),
}

/// Fails if a number in a value is NaN or infinite.
pub(super) fn check<T: Serialize + ?Sized>(value: &T) -> Result<(), NotFinite> {
    value.serialize(Finite)
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "a number is {number}, which JSON does not have"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for NotFinite {}

impl ser::Error for NotFinite {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self::Other(why.to_string())
    }
}

/// A serializer that writes nothing, and looks at all numbers.
#[derive(Clone, Copy)]
struct Finite;

/// Serializes what has no number with a fraction in it.
macro_rules! fine {
    ($($method:ident($($argument:ty),*);)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<(), NotFinite> { Ok(()) })*
    };
}

/// Looks into the parts of a compound value.
macro_rules! parts {
    ($($parts:ident: $method:ident($($name:ty)?);)*) => {
        $(impl $parts for Finite {
            type Ok = ();
            type Error = NotFinite;

            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Result<(), NotFinite> {
                check(value)
            }

            fn end(self) -> Result<(), NotFinite> {
                Ok(())
            }
        })*
    };
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}

impl SerializeMap for Finite {
    type Ok = ();
    type Error = NotFinite;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NotFinite> {
        check(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotFinite> {
        check(value)
    }

    fn end(self) -> Result<(), NotFinite> {
        Ok(())
    }
}

impl Serializer for Finite {
    type Ok = ();
    type Error = NotFinite;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fine! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_f32(self, number: f32) -> Result<(), NotFinite> {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<(), NotFinite> {
        if number.is_finite() { Ok(()) } else { Err(NotFinite::Number(number)) }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), NotFinite> {
        check(value)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), NotFinite> {
        check(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), NotFinite> {
        check(value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, NotFinite> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, NotFinite> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, NotFinite> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, NotFinite> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, NotFinite> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, NotFinite> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, NotFinite> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(serde::Serialize)]
    enum Shape {
        Unit,
        Newtype(f64),
        Tuple(u8, f64),
        Struct { number: f64 },
    }

    #[derive(serde::Serialize)]
    struct Newtype(f64);

    #[derive(serde::Serialize)]
    struct Tuple(f64, Option<f32>);

    fn shapes(number: f64) -> Vec<Box<dyn Fn() -> Result<(), NotFinite>>> {
        let map = BTreeMap::from([("a", number)]);
        vec![
            Box::new(move || check(&number)),
            Box::new(move || check(&(number as f32))),
            Box::new(move || check(&Some(number))),
            Box::new(move || check(&[[number]])),
            Box::new(move || check(&vec![vec![1.5, number]])),
            Box::new(move || check(&("text", 1, number))),
            Box::new(move || check(&map)),
            Box::new(move || check(&Newtype(number))),
            Box::new(move || check(&Tuple(1.0, Some(number as f32)))),
            Box::new(move || check(&Shape::Newtype(number))),
            Box::new(move || check(&Shape::Tuple(1, number))),
            Box::new(move || check(&Shape::Struct { number })),
        ]
    }

    #[test]
    fn a_number_that_is_none_is_found_wherever_it_is() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for (place, check) in shapes(number).iter().enumerate() {
                let why = check().expect_err("no number").to_string();
                assert!(
                    why.starts_with("a number is ") && why.ends_with("which JSON does not have"),
                    "{place}: {why}"
                );
            }
        }
        shapes(1e308 / 1e300).iter().for_each(|check| check().expect("a number"));
        check(&(Shape::Unit, (), None::<f64>, 'c', u128::MAX, i64::MIN, true, "text"))
            .expect("no fraction at all");
    }
}
