//! Reads structs from JSON objects alone. What serde derives also accepts an array with the fields in the order of their
//! declaration, which no interface promises, and which a new field in between would give another meaning.

use std::borrow::Cow;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::value::RawValue;
use serde_json::{Error, Result};

/// A JSON text, to be read as `T::deserialize(StrictJson(text))`.
#[derive(Debug, Clone, Copy)]
pub struct StrictJson<'de>(pub &'de str);

/// Entries of an object, of which no value was looked at.
struct Entries<'de>(Vec<(Cow<'de, str>, StrictJson<'de>)>);

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> StrictJson<'de> {
    fn starts_with(self, bracket: char) -> bool {
        self.0.trim_ascii_start().starts_with(bracket)
    }

    /// Leaves it to `serde_json`, which reads no struct here.
    fn plain<T>(
        self,
        read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'de>>) -> Result<T>,
    ) -> Result<T> {
        let mut reader = serde_json::Deserializer::from_str(self.0);
        let value = read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for StrictJson<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.plain(|reader| reader.deserialize_any(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if self.starts_with('[') {
            return Err(Error::invalid_type(Unexpected::Seq, &visitor));
        }
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if !self.starts_with('{') {
            return self.deserialize_any(visitor);
        }
        let Entries(entries) = serde_json::from_str(self.0)?;
        let mut entries = MapDeserializer::<_, Error>::new(entries.into_iter());
        let value = visitor.visit_map(&mut entries)?;
        entries.end()?;
        Ok(value)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if !self.starts_with('[') {
            return self.deserialize_any(visitor);
        }
        let items: Vec<&RawValue> = serde_json::from_str(self.0)?;
        let mut items = SeqDeserializer::<_, Error>::new(items.into_iter().map(|item| StrictJson(item.get())));
        let value = visitor.visit_seq(&mut items)?;
        items.end()?;
        Ok(value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0.trim_ascii() {
            "null" => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        // A raw value is the text itself.
        if name.starts_with("$serde_json") {
            return self.plain(|reader| reader.deserialize_newtype_struct(name, visitor));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.plain(|reader| reader.deserialize_enum(name, variants, visitor))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for StrictJson<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct OfObject;

        impl<'de> Visitor<'de> for OfObject {
            type Value = Entries<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> std::result::Result<Entries<'de>, A::Error> {
                let mut entries = Vec::with_capacity(8);
                while let Some((Key(key), value)) = object.next_entry::<Key<'de>, &RawValue>()? {
                    entries.push((key, StrictJson(value.get())));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(OfObject)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::de::DeserializeOwned;

    use super::*;
    use crate::{Json, Name, Party};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        name: Name,
        #[serde(default)]
        by: Option<Party>,
        #[serde(default)]
        items: Vec<Party>,
        #[serde(default)]
        labels: BTreeMap<String, String>,
        #[serde(default, deserialize_with = "crate::json::present")]
        payload: Option<Json>,
        #[serde(default)]
        count: Option<u32>,
    }

    fn read<T: DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
        T::deserialize(StrictJson(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_an_object_is_read_as_serde_json_reads_it() {
        for text in [
            r#"{"name": "a.b"}"#,
            r#" {"name":"a.b","by":null,"payload":null,"count":7} "#,
            r#"{"by": {"type": "user", "id": "\u0061"}, "items": [{"type": "a", "id": "b"}], "name": "a.b",
                "labels": {"x": "y"}, "payload": [1.10, {"a": [2]}]}"#,
        ] {
            let expected: Order = serde_json::from_str(text).expect("an order");
            let found: Order = read(text).expect("an order");
            assert_eq!(found, expected);
            assert_eq!(found.payload.map(|it| it.text().to_owned()), expected.payload.map(|it| it.text().to_owned()));
        }
        assert_eq!(read::<Option<Order>>("null"), Ok(None));
        assert_eq!(read::<Json>(" [1, 2] ").map(|json| json.text().to_owned()), Ok("[1, 2]".to_owned()));
    }

    #[test]
    fn an_array_in_the_place_of_an_object_is_refused_at_every_depth() {
        for text in [
            r#"["a.b"]"#,
            r#"{"name": "a.b", "by": ["user", "ada"]}"#,
            r#"{"name": "a.b", "items": [{"type": "a", "id": "b"}, ["user", "ada"]]}"#,
        ] {
            assert!(serde_json::from_str::<Order>(text).is_ok(), "serde accepts it: {text}");
            let refused = read::<Order>(text).expect_err(text);
            assert!(refused.contains("invalid type: sequence, expected struct"), "{refused}");
        }
    }

    #[test]
    fn what_serde_json_refuses_is_refused() {
        for text in [
            "",
            "17",
            "{",
            r#"{"name": "a.b"} {"name": "a.b"}"#,
            r#"{"name": "a.b", "name": "a.b"}"#,
            r#"{"name": "a.b", "colour": "red"}"#,
            r#"{"name": "a.b", "count": -1}"#,
            r#"{"name": "a.b", "labels": {"x": 1}}"#,
            r#"{"name": "a.b", "payload": {]}"#,
        ] {
            assert!(serde_json::from_str::<Order>(text).is_err() && read::<Order>(text).is_err(), "{text}");
        }
        assert!(read::<Json>("{} {}").is_err());
    }
}
