//! Strings of the system, which are any bytes, for serde: readable text where it can be.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// As `#[serde(with = "text")]` takes it.
pub fn serialize<T: Text, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    value.put(to)
}

/// As `#[serde(with = "text")]` takes it.
pub fn deserialize<'d, T: Text, D: Deserializer<'d>>(from: D) -> Result<T, D::Error> {
    T::take(from)
}

/// What is made of strings of the system.
pub trait Text: Sized {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;
    fn take<'d, D: Deserializer<'d>>(from: D) -> Result<Self, D::Error>;
}

impl Text for OsString {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.to_str() {
            Some(text) => to.serialize_str(text),
            None => to.serialize_bytes(self.as_bytes()),
        }
    }

    fn take<'d, D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_byte_buf(Bytes).map(Self::from_vec)
    }
}

impl Text for PathBuf {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // A copy, which so short a path may cost: there is no other way from it to a string of the system that is owned.
        self.as_os_str().to_os_string().put(to)
    }

    fn take<'d, D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        OsString::take(from).map(Self::from)
    }
}

impl<T: Text> Text for Option<T> {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(Written).serialize(to)
    }

    fn take<'d, D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::<Read<T>>::deserialize(from)?.map(|read| read.0))
    }
}

impl<T: Text> Text for Vec<(T, T)> {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(|(name, value)| (Written(name), Written(value))))
    }

    fn take<'d, D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(Read<T>, Read<T>)>::deserialize(from)?;
        Ok(pairs.into_iter().map(|(name, value)| (name.0, value.0)).collect())
    }
}

struct Written<'a, T>(&'a T);

impl<T: Text> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.put(to)
    }
}

struct Read<T>(T);

impl<'d, T: Text> Deserialize<'d> for Read<T> {
    fn deserialize<D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        T::take(from).map(Self)
    }
}

/// Text, bytes, or a list of their numbers, as JSON has it.
struct Bytes;

impl<'d> Visitor<'d> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'d>>(self, mut numbers: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = numbers.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}
