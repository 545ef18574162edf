//! What the routes of a gateway take and answer, as told by the types of their functions.
//!
//! [`Gateway::operations`](crate::Gateway::operations) lists them. Nothing is written for that: the arguments of a function
//! say what it takes, its return type what it answers, and its middleware and backend which errors they add.
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use wasabi::{prelude::*, schema::{Count, Source}};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Order {
//!     item: String,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Receipt {
//!     price: u64,
//! }
//!
//! /// Places an order.
//! #[backend]
//! async fn place(Json(order): Json<Order>) -> Json<Receipt> {
//!     Json(Receipt { price: order.item.len() as u64 })
//! }
//!
//! let gateway = gateway!(channel(
//!     "/v1",
//!     parser = JsonKey::at("/action"),
//!     match key {
//!         "order.place" => with([Timeout::new(2s)], place),
//!         _ => NoRoute,
//!     },
//! ));
//! let [place, rest] = gateway.operations() else { panic!("two routes") };
//! assert_eq!((place.keys(), place.docs()), (&["order.place".to_owned()][..], "Places an order."));
//! assert!(place.codes().contains("timed_out") && rest.codes().contains("no_route"));
//!
//! let answer = &place.answers()[0];
//! assert_eq!(answer.inputs[0].source, Source::Json);
//! assert_eq!(answer.output.count, Count::One);
//! let schema = answer.inputs[0].schema().unwrap();
//! assert_eq!(schema["properties"]["item"]["type"], "string");
//! ```
//!
//! # Types without a schema
//!
//! A type that does not implement [`JsonSchema`](schemars::JsonSchema) compiles all the same. It is described by its name, and an argument also by
//! what its `Deserialize` asks for: the names of its fields, say. In a function that is generic over the type of an argument
//! or of its reply, the compiler does not know whether the type has a schema, and these are described in the same way.
//!
//! Functions with [`#[backend]`](macro@crate::backend) tell the schema of each argument. Of closures and other functions,
//! wasabi knows the schemas of all arguments, or of the last or the first one, if another argument is an extractor of your
//! own.

mod answers;
mod arm;
mod codes;
mod describer;
mod places;
mod traced;

use std::any::type_name;

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use self::places::{Closing, HandshakePart, PassedOn, logins, tell};
pub use self::{
    answers::Answers,
    arm::Arm,
    codes::{Codes, ErrorCodes},
    describer::{Describer, Operation},
    places::{Language, Login, Places, Security},
};

/// A function that makes the schema of a type.
pub type SchemaFn = fn(&mut SchemaGenerator) -> Schema;

/// The schemas of the arguments of a function, as far as they are known.
#[doc(hidden)]
pub type Schemas = Box<[Option<SchemaFn>]>;

/// What an argument of a function takes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Input {
    /// Where the value comes from.
    pub source: Source,
    /// The name of the type with its path, for people. That of `Json<Order>` is the name of `Order`.
    pub type_name: &'static str,
    /// Whether the value may be missing: the argument is an `Option`.
    pub is_optional: bool,
    /// The errors of a request without such a value.
    pub codes: Codes,
    schema: Option<SchemaFn>,
    traced: Option<fn() -> Value>,
}

/// Where an argument comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The message, as JSON.
    Json,
    /// The parameters of the call, as JSON, under a protocol that has them.
    Params,
    /// A text message.
    Text,
    /// A binary message.
    Binary,
    /// The message, of either kind.
    Message,
    /// The path of the handshake.
    Path,
    /// The query of the handshake.
    Query,
    /// The id of the request.
    Id,
    /// Who the client is, from HTTP middleware.
    Identity,
    /// The gateway and the connection: nothing that the request contains.
    Gateway,
    /// An extractor of the application, which does not say.
    Unknown,
}

impl Input {
    /// A value of this type.
    #[doc(hidden)]
    pub fn new<T: ?Sized>(source: Source, codes: &[&'static str]) -> Self {
        Self {
            source,
            type_name: type_name::<T>(),
            is_optional: false,
            codes: Codes::of(codes),
            schema: None,
            traced: None,
        }
    }

    /// A value that serde reads.
    #[doc(hidden)]
    pub fn read<T: DeserializeOwned>(source: Source, codes: &[&'static str]) -> Self {
        Self {
            traced: Some(traced::traced::<T>),
            ..Self::new::<T>(source, codes)
        }
    }

    /// An extractor that does not say what it takes.
    #[doc(hidden)]
    pub fn unknown<T: ?Sized>() -> Self {
        Self {
            codes: Codes::unknown(),
            ..Self::new::<T>(Source::Unknown, &[])
        }
    }

    /// The same as an `Option`, which never fails.
    #[doc(hidden)]
    #[must_use]
    pub fn optional(self) -> Self {
        Self {
            is_optional: true,
            codes: Codes::default(),
            ..self
        }
    }

    /// The same, with this schema.
    pub(crate) fn of(self, schema: Option<SchemaFn>) -> Self {
        Self { schema, ..self }
    }

    /// The schema of the type, in draft 07, as a client has to write it. `None` if the type has none.
    pub fn schema(&self) -> Option<Value> {
        let make = self.schema?;
        Some(alone(SchemaSettings::draft07(), make))
    }

    /// The function that makes the schema.
    pub fn schema_fn(&self) -> Option<SchemaFn> {
        self.schema
    }

    /// What the type's `Deserialize` asks for, as a schema: it may ask for less than it needs. `{}` for anything.
    pub fn traced(&self) -> Option<Value> {
        self.traced.map(|trace| trace())
    }
}

/// What a function answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// The kind of its messages.
    pub form: Form,
    /// How many they are.
    pub count: Count,
    /// The name of the type with its path, for people.
    pub type_name: &'static str,
    /// Whether there may be nothing at all, where several would be an empty list.
    pub(crate) is_optional: bool,
    schema: Option<SchemaFn>,
}

/// The kind of messages that a reply consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Form {
    /// Text that is JSON.
    Json,
    /// Text.
    Text,
    /// Bytes.
    Binary,
    /// The type does not say.
    Unknown,
}

/// How many messages a reply has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Count {
    /// None: the client does not wait for a reply.
    None,
    /// None but an error.
    OnlyErrors,
    /// One.
    One,
    /// One or none.
    AtMostOne,
    /// Any number, at once.
    Many,
    /// Any number, one after the other.
    Stream,
    /// The type does not say.
    Unknown,
}

impl Output {
    /// One message of this form.
    #[doc(hidden)]
    pub fn new<T: ?Sized>(form: Form) -> Self {
        Self {
            form,
            count: Count::One,
            type_name: type_name::<T>(),
            is_optional: false,
            schema: None,
        }
    }

    /// A reply that does not say.
    #[doc(hidden)]
    pub fn unknown<T: ?Sized>() -> Self {
        Self {
            count: Count::Unknown,
            ..Self::new::<T>(Form::Unknown)
        }
    }

    /// No reply.
    #[doc(hidden)]
    pub fn none() -> Self {
        Self {
            count: Count::None,
            ..Self::new::<()>(Form::Unknown)
        }
    }

    /// So many of these; never fewer.
    #[doc(hidden)]
    #[must_use]
    pub fn times(self, count: Count) -> Self {
        let is_optional = count == Count::AtMostOne;
        let count = match self.count {
            Count::None | Count::OnlyErrors => self.count,
            own => own.max(count),
        };
        Self {
            count,
            is_optional,
            ..self
        }
    }

    /// The same, with this schema.
    pub(crate) fn of(self, schema: Option<SchemaFn>) -> Self {
        Self { schema, ..self }
    }

    /// The schema of one message, in draft 07, as the gateway writes it. `None` if the type has none.
    pub fn schema(&self) -> Option<Value> {
        let make = self.schema?;
        Some(alone(SchemaSettings::draft07().for_serialize(), make))
    }

    /// The function that makes the schema.
    pub fn schema_fn(&self) -> Option<SchemaFn> {
        self.schema
    }
}

/// A schema in the words of the generator's draft. What is not a definition is not changed into these by the generator.
pub(crate) fn made(
    generator: &mut SchemaGenerator,
    make: impl FnOnce(&mut SchemaGenerator) -> Schema,
) -> Value {
    let mut schema = make(generator);
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
    }
    schema.to_value()
}

/// A schema with the definitions that it refers to.
fn alone(settings: SchemaSettings, make: SchemaFn) -> Value {
    let mut generator = settings.into_generator();
    let mut schema = made(&mut generator, make);
    let definitions = generator.take_definitions(true);
    // A schema that is a reference has no place for what it refers to.
    let reference = schema.get("$ref").and_then(Value::as_str);
    let name = reference.and_then(|reference| reference.strip_prefix("#/definitions/"));
    if let Some(own) = name.and_then(|name| definitions.get(name)) {
        schema = own.clone();
    }
    if let (Value::Object(schema), false) = (&mut schema, definitions.is_empty()) {
        schema.insert("definitions".to_owned(), definitions.into());
    }
    schema
}
