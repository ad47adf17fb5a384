//! Python's values for serde, so that an option's field in the core is all that says how it is read.
//!
//! A struct is a dict of its fields, or a tuple of them in order; an enum's variant is its name, or a tuple of that and what is
//! in it; a string of the system is a str, bytes or a path. A dict's key that is no field is an error, which names the nearest
//! option, and what was wrong with its value.

use std::fmt;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::convert::Bytes;

/// Why a value can't be taken.
#[derive(Debug)]
pub enum Refused {
    /// It is of another type.
    Type(String),
    /// It is none of those that there are.
    Unknown(String),
    /// It is out of range, or otherwise of no use.
    Value(String),
    /// Python raised this while it was read.
    Raised(PyErr),
}

impl Refused {
    /// The option, without which the error would tell nobody anything.
    fn of(self, option: &str) -> Self {
        match self {
            Self::Type(words) => Self::Type(format!("{option}: {words}")),
            Self::Unknown(words) => Self::Value(format!("unknown {option}: {words}")),
            Self::Value(words) => Self::Value(format!("{option}: {words}")),
            Self::Raised(error) => Python::attach(|py| {
                if error.get_type(py).is(py.get_type::<PyTypeError>()) {
                    return Self::Type(format!("{option}: {}", error.value(py)));
                }
                Self::Raised(error)
            }),
        }
    }
}

impl From<Refused> for PyErr {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Type(words) => PyTypeError::new_err(words),
            Refused::Unknown(words) => PyValueError::new_err(format!("unknown value: {words}")),
            Refused::Value(words) => PyValueError::new_err(words),
            Refused::Raised(error) => error,
        }
    }
}

impl From<PyErr> for Refused {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(words) | Self::Unknown(words) | Self::Value(words) => f.write_str(words),
            Self::Raised(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(words: T) -> Self {
        Self::Value(words.to_string())
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Type(format!("{expected} is expected, not {found}"))
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self::Type(format!("{expected} is expected, not one of length {length}"))
    }

    fn unknown_variant(variant: &str, there: &'static [&'static str]) -> Self {
        Self::Unknown(format!("{variant:?}; there are {}", there.join(", ")))
    }
}

/// A value of Python's.
pub struct Value<'a, 'py>(pub &'a Bound<'py, PyAny>);

/// What is read by pyo3, and handed on.
macro_rules! scalars {
    ($($method:ident $visit:ident $type:ty),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            visitor.$visit(self.0.extract::<$type>()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'_, '_> {
    type Error = Refused;

    scalars! {
        deserialize_bool visit_bool bool,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_f64 visit_f64 f64,
        deserialize_str visit_string String,
        deserialize_string visit_string String,
        deserialize_identifier visit_string String,
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        use std::os::unix::ffi::OsStringExt;
        visitor.visit_byte_buf(self.0.extract::<Bytes>()?.0.into_vec())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        if self.0.is_none() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        if self.0.is_instance_of::<PyString>() {
            return Err(Refused::Type("a list is expected, not one str".into()));
        }
        let items = self.0.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        visitor.visit_seq(Items(items.iter()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Refused> {
        if self.0.len()? != length {
            return Err(Refused::Type(format!("{length} values are expected, not {}", self.0.repr()?)));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        match self.0.cast::<PyDict>() {
            Ok(dict) => visitor.visit_map(Fields { left: dict.iter(), fields, value: None }),
            Err(_) => self.deserialize_tuple(fields.len(), visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let (name, content) = match self.0.cast::<PyTuple>() {
            Ok(both) if both.len() == 2 => (both.get_item(0)?.extract::<String>()?, Some(both.get_item(1)?)),
            _ => (self.0.extract::<String>()?, None),
        };
        visitor.visit_enum(Variant { name, content })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        Err(Refused::Type(format!("{} is of no use", self.0.repr()?)))
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u128 f32 char bytes unit unit_struct tuple_struct map ignored_any
    }
}

struct Items<'a, 'py>(std::slice::Iter<'a, Bound<'py, PyAny>>);

impl<'de> de::SeqAccess<'de> for Items<'_, '_> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        self.0.next().map(|item| seed.deserialize(Value(item))).transpose()
    }
}

struct Fields<'py> {
    left: pyo3::types::dict::BoundDictIterator<'py>,
    fields: &'static [&'static str],
    /// Of the key that was read last.
    value: Option<(String, Bound<'py, PyAny>)>,
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        let Some((key, value)) = self.left.next() else { return Ok(None) };
        let key = key.extract::<String>()?;
        if !self.fields.contains(&key.as_str()) {
            return Err(Refused::Type(format!("unknown option: {key:?}; there are {}", self.fields.join(", "))));
        }
        let name: StrDeserializer<'_, Refused> = key.as_str().into_deserializer();
        let read = seed.deserialize(name)?;
        self.value = Some((key, value));
        Ok(Some(read))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        let Some((key, value)) = self.value.take() else { return Err(de::Error::custom("a value without a key")) };
        seed.deserialize(Value(&value)).map_err(|refused| refused.of(&key))
    }
}

struct Variant<'py> {
    name: String,
    content: Option<Bound<'py, PyAny>>,
}

impl<'de, 'py> de::EnumAccess<'de> for Variant<'py> {
    type Error = Refused;
    type Variant = Content<'py>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'py>), Refused> {
        let name: StrDeserializer<'_, Refused> = self.name.as_str().into_deserializer();
        Ok((seed.deserialize(name)?, Content(self.name, self.content)))
    }
}

/// What is in a variant of this name.
struct Content<'py>(String, Option<Bound<'py, PyAny>>);

impl<'py> Content<'py> {
    fn there(&self) -> Result<&Bound<'py, PyAny>, Refused> {
        let lacks = || Refused::Type(format!("{:?} takes a value: write ({:?}, value)", self.0, self.0));
        self.1.as_ref().ok_or_else(lacks)
    }
}

impl<'de> de::VariantAccess<'de> for Content<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        let extra = || Refused::Type(format!("{:?} takes no value", self.0));
        self.1.as_ref().map_or(Ok(()), |_| Err(extra()))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refused> {
        seed.deserialize(Value(self.there()?))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Refused> {
        Value(self.there()?).deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Refused> {
        Value(self.there()?).deserialize_struct("", fields, visitor)
    }
}
