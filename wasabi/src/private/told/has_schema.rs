//! Which extractors and replies know whether they have a schema.

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
};
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use schemars::{JsonSchema, SchemaGenerator};

use crate::{
    Binary, Connection, InFlight, Key, Message, Params, Parsed, RemoteAddr, Replies, Reply,
    Request, RequestId, Text,
    middleware::http::{ClientIp, Identity, Stash},
    schema::{SchemaFn, Schemas},
};

/// An extractor or a reply that knows whether it has a schema; [`Json<T>`](Json) only if `T` has one.
pub trait HasSchema {
    /// Makes the schema, if there is one.
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
    [T] Identity<T>;
    [T] Stash<T>;
    [] ();
    [] Binary;
    [] Bytes;
    [] ClientIp;
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

/// Arguments that all know.
pub trait AllHaveSchemas {
    /// Their schemas.
    fn schemas() -> Schemas;
}

/// Arguments of which the last one knows.
pub trait LastHasSchema {
    /// Its schema, in its place.
    fn schemas() -> Schemas;
}

/// Arguments of which the first one knows.
pub trait FirstHasSchema {
    /// Its schema.
    fn schemas() -> Schemas;
}

macro_rules! arguments {
    ($($arg:ident)*) => {
        impl<$($arg: HasSchema,)*> AllHaveSchemas for ($($arg,)*) {
            fn schemas() -> Schemas {
                Box::new([$($arg::SCHEMA),*])
            }
        }
    };
    ($first:ident; $($arg:ident)*; $last:ident) => {
        arguments!($first $($arg)* $last);

        impl<$first: HasSchema, $($arg,)* $last> FirstHasSchema for ($first, $($arg,)* $last,) {
            fn schemas() -> Schemas {
                Box::new([$first::SCHEMA])
            }
        }

        impl<$first, $($arg,)* $last: HasSchema> LastHasSchema for ($first, $($arg,)* $last,) {
            fn schemas() -> Schemas {
                Box::new([None, $(arguments!(@none $arg),)* $last::SCHEMA])
            }
        }
    };
    (@none $arg:ident) => { None };
}

arguments!();
arguments!(A1);
arguments!(A1;; A2);
arguments!(A1; A2; A3);
arguments!(A1; A2 A3; A4);
arguments!(A1; A2 A3 A4; A5);
arguments!(A1; A2 A3 A4 A5; A6);
arguments!(A1; A2 A3 A4 A5 A6; A7);
arguments!(A1; A2 A3 A4 A5 A6 A7; A8);
arguments!(A1; A2 A3 A4 A5 A6 A7 A8; A9);
arguments!(A1; A2 A3 A4 A5 A6 A7 A8 A9; A10);
