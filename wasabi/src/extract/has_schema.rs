//! Which extractors and replies know whether they have a schema.

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
};
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use schemars::{JsonSchema, SchemaGenerator};

use super::{Params, Parsed, RemoteAddr};
use crate::{
    Binary, Connection, InFlight, Key, Message, Replies, Reply, Request, RequestId, Text,
    schema::SchemaFn,
};

/// A type of messages, as an extractor or a reply, that knows whether it has a schema. `Json<T>` and `Params<T>` know only if
/// `T` implements [`JsonSchema`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what its messages are",
    label = "not a type of messages whose schema is known",
    note = "`Json<T>` and `Params<T>` say it if `T` has `#[derive(JsonSchema)]`; `Text`, `Binary`, `Message`, `Option` and `Vec` of these say it as well"
)]
pub trait HasSchema {
    /// Makes the schema; `None` for text, bytes, and what is not a message.
    const SCHEMA: Option<SchemaFn> = None;
}

macro_rules! has_schema {
    ($([$($parameters:tt)*] $ty:ty $(=> $schema:expr)?;)*) => {$(
        impl<$($parameters)*> HasSchema for $ty {
            $(const SCHEMA: Option<SchemaFn> = $schema;)?
        }
    )*};
}

has_schema! {
    [T: JsonSchema] Json<T> => Some(SchemaGenerator::subschema_for::<T>);
    [T: JsonSchema] Params<T> => Some(SchemaGenerator::subschema_for::<T>);
    [T: JsonSchema] Path<T> => Some(SchemaGenerator::subschema_for::<T>);
    [T: JsonSchema] Query<T> => Some(SchemaGenerator::subschema_for::<T>);
    [T: HasSchema] Option<T> => T::SCHEMA;
    [T: HasSchema, E] Result<T, E> => T::SCHEMA;
    [T: HasSchema] Vec<T> => T::SCHEMA;
    [T: Stream<Item: HasSchema>] Replies<T> => T::Item::SCHEMA;
    [T] State<T>;
    [T] Extension<T>;
    [T] Parsed<T>;
    [] ();
    [] Binary;
    [] Bytes;
    [] Connection;
    [] HeaderMap;
    [] InFlight;
    [] Key;
    [] Message;
    [] RemoteAddr;
    [] Reply;
    [] Request;
    [] RequestId;
    [] String;
    [] Text;
}

#[cfg(feature = "tls")]
has_schema! {
    [] crate::PeerCertificates;
}
