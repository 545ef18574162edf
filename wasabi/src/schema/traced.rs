//! What a type's `Deserialize` asks for.

use serde::{
    Deserializer,
    de::{DeserializeOwned, Error, Visitor},
};
use serde_json::{Value, json};

/// The schema of what the type asks for first: an object with these fields, a list, a string. Fields may be optional.
pub(super) fn traced<T: DeserializeOwned>() -> Value {
    match T::deserialize(Tracer) {
        Err(Asked(schema)) => schema,
        Ok(_) => json!({}),
    }
}

/// Gives nothing, and notes what it is asked for.
struct Tracer;

/// What was asked for, as the error that ends the attempt.
#[derive(Debug)]
struct Asked(Value);

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Asked {}

impl Error for Asked {
    fn custom<T: std::fmt::Display>(_message: T) -> Self {
        Self(json!({}))
    }
}

macro_rules! asked {
    ($($method:ident: $schema:tt,)*) => {$(
        fn $method<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Asked> {
            Err(Asked(json!($schema)))
        }
    )*};
}

impl<'de> Deserializer<'de> for Tracer {
    type Error = Asked;

    asked! {
        deserialize_any: {},
        deserialize_ignored_any: {},
        deserialize_bool: { "type": "boolean" },
        deserialize_i8: { "type": "integer" },
        deserialize_i16: { "type": "integer" },
        deserialize_i32: { "type": "integer" },
        deserialize_i64: { "type": "integer" },
        deserialize_i128: { "type": "integer" },
        deserialize_u8: { "type": "integer", "minimum": 0 },
        deserialize_u16: { "type": "integer", "minimum": 0 },
        deserialize_u32: { "type": "integer", "minimum": 0 },
        deserialize_u64: { "type": "integer", "minimum": 0 },
        deserialize_u128: { "type": "integer", "minimum": 0 },
        deserialize_f32: { "type": "number" },
        deserialize_f64: { "type": "number" },
        deserialize_char: { "type": "string", "maxLength": 1 },
        deserialize_str: { "type": "string" },
        deserialize_string: { "type": "string" },
        deserialize_bytes: {},
        deserialize_byte_buf: {},
        deserialize_unit: { "type": "null" },
        deserialize_seq: { "type": "array" },
        deserialize_map: { "type": "object" },
        deserialize_identifier: { "type": "string" },
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Asked> {
        let inside = visitor.visit_some(Self);
        inside.map_err(|Asked(inside)| Asked(json!({ "anyOf": [inside, { "type": "null" }] })))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Asked> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _visitor: V,
    ) -> Result<V::Value, Asked> {
        Err(Asked(json!({ "type": "null" })))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        _visitor: V,
    ) -> Result<V::Value, Asked> {
        Err(Asked(
            json!({ "type": "array", "minItems": len, "maxItems": len }),
        ))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Asked> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Asked> {
        let fields: serde_json::Map<_, _> = fields
            .iter()
            .map(|field| ((*field).to_owned(), json!({})))
            .collect();
        Err(Asked(
            json!({ "title": name, "type": "object", "properties": fields }),
        ))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Asked> {
        // A variant without fields is a string, one with fields an object with a single member.
        let one = json!({ "type": "object", "minProperties": 1, "maxProperties": 1, "propertyNames": { "enum": variants } });
        Err(Asked(
            json!({ "title": name, "anyOf": [{ "enum": variants }, one] }),
        ))
    }
}
