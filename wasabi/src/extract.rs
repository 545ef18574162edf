//! What a backend function can take as arguments.

#[cfg(feature = "tls")]
mod certificates;
#[cfg(feature = "schema")]
mod has_schema;
mod hook;
mod message;
mod params;

use std::{any::Any, net::SocketAddr, sync::Arc};

use axum::{
    Extension,
    extract::{FromRef, Path, Query, State},
};
use http::HeaderMap;
use serde::de::DeserializeOwned;

#[cfg(feature = "schema")]
pub use self::has_schema::HasSchema;
pub(crate) use self::hook::also_when_ended;
pub use self::hook::{Ended, FromConnection, FromEnded, LeftGroups};
pub use self::params::Params;
use crate::{
    Connection, Error, InFlight, Key, Request, RequestId, Result, connection::path_types::PathType,
};

/// A type that a backend function may take as an argument.
///
/// | argument | what it is | fails with |
/// |---|---|---|
/// | [`Json<T>`](crate::Json) | the payload, deserialized | `invalid_params`; `unreadable` if it is not JSON |
/// | [`Text`](crate::Text), [`Binary`](crate::Binary) | the payload of a text or a binary message | `bad_request` for the other kind |
/// | [`Bytes`](crate::Bytes), [`Message`](crate::Message) | the payload, the message, of either kind | |
/// | [`State<T>`](State) | the gateway's state, or a part of it | compile error |
/// | [`Connection`], [`RemoteAddr`] | the connection, the peer's address | |
/// | [`ClientIp`](crate::middleware::http::ClientIp) | the client's address, also behind proxies | `internal` if it is unknown |
/// | [`Identity<T>`](crate::middleware::http::Identity) | who the client is | `internal` if no HTTP middleware authenticates a `T` |
/// | `PeerCertificates` | the client's TLS certificates | `unauthorized` without any; `Option` |
/// | [`Stash<T>`](crate::middleware::http::Stash) | a value of this connection | `internal` if no HTTP middleware makes a `T` |
/// | [`InFlight`] | the connection's requests in flight, to cancel some | |
/// | [`Key`], [`RequestId`] | the routing key, the client's id | `bad_request` without an id; `Option` |
/// | [`Path<T>`](Path), [`Query<T>`](Query) | parameters of the handshake's URL | `bad_request`; `internal` if no client's values fit `T` |
/// | [`HeaderMap`] | the handshake's headers | |
/// | [`Extension<T>`](Extension) | a value from HTTP middleware | `internal` if it is missing |
/// | [`Params<T>`] | the parameters of a call, deserialized, under a protocol that has them | `invalid_params` |
/// | [`Parsed<T>`] | the value that the request parser attached | `internal` if it is missing |
/// | [`Request`] | the request itself | |
/// | `Option<T>` | `None` if `T` fails | |
///
/// A function takes up to ten arguments, in any order; several may read the payload.
///
/// # Types of axum
///
/// [`Json`](crate::Json), [`Path`], [`Query`], [`State`] and [`Extension`] are axum's own types, so backend functions and HTTP
/// handlers look alike. Here they belong to a message:
///
/// * `Json<T>` reads the payload, whatever headers the handshake had. As a reply it is a text message.
/// * `Path<T>` holds the parameters of the path at which the client opened its WebSocket: one value, a tuple, or a
///   struct by name. A number of parameters that the path does not have, or a field that is none of them, is a mistake
///   in the declaration: [`Gateway::check`](crate::Gateway::check) reports it, and the server does not start. The
///   compiler reports it for a tuple in a closure that `gateway!` contains.
/// * `Query<T>` holds the query parameters of that URL.
/// * `State<T>` is the `state` of the gateway, or what [`FromRef`] takes from it.
/// * `Extension<T>` is a value that HTTP middleware put into the extensions of the handshake.
///
/// Unlike in an HTTP handler, `Json` need not be the last argument, and its errors become replies in the channel's
/// error format.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use wasabi::prelude::*;
///
/// #[derive(Deserialize)]
/// struct Order {
///     item: String,
/// }
///
/// #[derive(Deserialize)]
/// struct Options {
///     currency: Option<String>,
/// }
///
/// #[derive(Serialize)]
/// struct Receipt {
///     text: String,
/// }
///
/// #[backend]
/// async fn order(
///     Json(order): Json<Order>,
///     Path(tenant): Path<String>,
///     Query(options): Query<Options>,
/// ) -> Json<Receipt> {
///     let currency = options.currency.as_deref().unwrap_or("EUR");
///     let text = format!("{tenant} ordered {}, in {currency}", order.item);
///     Json(Receipt { text })
/// }
///
/// // A client connects to `/acme?currency=USD`.
/// let gateway = gateway!(channel("/{tenant}", order));
/// # drop(gateway);
/// ```
///
/// # Writing an extractor
///
/// Implement the trait for every `S` if the extractor does not use the state:
///
/// ```
/// use wasabi::prelude::*;
///
/// struct Language(String);
///
/// impl<S: Sync> FromRequest<S> for Language {
///     async fn from_request(req: &Request, _state: &S) -> Result<Self> {
///         let header = req.connection().headers().get("accept-language");
///         let language = header.and_then(|value| value.to_str().ok());
///         Ok(Self(language.unwrap_or("en").to_owned()))
///     }
/// }
///
/// #[backend]
/// async fn greet(language: Language) -> &'static str {
///     if language.0.starts_with("de") { "guten Tag" } else { "hello" }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken from a request",
    label = "not an extractor",
    note = "functions take `Json<T>`, `Text`, `Bytes`, `State<T>`, `Connection`, `Key`, `Path<T>`, `Query<T>`, ..: see `FromRequest`"
)]
pub trait FromRequest<S>: Sized {
    /// What the macros name to require this trait.
    #[doc(hidden)]
    const MET: () = ();

    /// Takes the value from a request.
    fn from_request(req: &Request, state: &S) -> impl Future<Output = Result<Self>> + Send;

    /// Takes the value from a request that nothing reads afterwards. The last argument of a function is made with this
    /// method, and may take by value what the other arguments have to clone. By default, calls
    /// [`from_request`](Self::from_request).
    fn from_last(req: &mut Request, state: &S) -> impl Future<Output = Result<Self>> + Send {
        Self::from_request(req, state)
    }

    /// The type that it reads from the path of the channel. The gateway checks at its start that the type fits the path.
    #[doc(hidden)]
    fn path_type() -> Option<PathType> {
        None
    }

    /// What it takes.
    #[doc(hidden)]
    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        crate::schema::Input::unknown::<Self>()
    }
}

/// A part of the gateway's state. Implement [`FromRef`] to provide one.
#[diagnostic::on_unimplemented(
    message = "the gateway's state `{S}` does not provide `{Self}`",
    label = "not a part of the state",
    note = "set `state = ..` to a `{Self}`, or implement `FromRef<{S}>` for `{Self}`"
)]
pub trait FromState<S> {
    /// Takes this part out of the state.
    fn from_state(state: &S) -> Self;
}

#[diagnostic::do_not_recommend]
impl<S, T: FromRef<S>> FromState<S> for T {
    fn from_state(state: &S) -> T {
        T::from_ref(state)
    }
}

impl<S: Sync, T: FromState<S> + Send> FromRequest<S> for State<T> {
    async fn from_request(_req: &Request, state: &S) -> Result<Self> {
        Ok(State(T::from_state(state)))
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<T>(Source::Gateway, &[])
    }
}

/// A type that [`Json`](crate::Json), [`Query`] and [`Path`] read: every `T` that implements serde's `Deserialize` and borrows
/// nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read: it does not implement `serde::Deserialize`",
    label = "does not implement `serde::Deserialize`",
    note = "write `#[derive(serde::Deserialize)]` before `{Self}`, and use types of its fields that implement it too"
)]
pub trait Readable: DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> Readable for T {}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for Connection {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        Ok(req.connection().clone())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Gateway, &[])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for InFlight {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        Ok(Self::of(req.connection()))
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Gateway, &[])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for Key {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        Ok(req.owned_key())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Gateway, &[])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for RequestId {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        req.id()
            .cloned()
            .ok_or_else(|| Error::bad_request("the request has no id"))
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Id, &["bad_request"])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for HeaderMap {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        Ok(req.connection().headers().clone())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Gateway, &[])
    }
}

impl<S: Sync, T: Readable> FromRequest<S> for Query<T> {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        req.connection().query().map(Query)
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::read::<T>(Source::Query, &["bad_request"])
    }
}

impl<S: Sync, T: Readable + Send> FromRequest<S> for Path<T> {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        req.connection().path().map(Path)
    }

    fn path_type() -> Option<PathType> {
        Some(PathType::of::<T>())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::read::<T>(Source::Path, &["bad_request", "internal"])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync, T: Clone + Send + Sync + 'static> FromRequest<S> for Extension<T> {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        extension(req.connection())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<T>(Source::Gateway, &["internal"])
    }
}

fn extension<T: Clone + Send + Sync + 'static>(connection: &Connection) -> Result<Extension<T>> {
    match connection.extensions().get::<T>() {
        Some(value) => Ok(Extension(value.clone())),
        None => Err(missing::<T>("no HTTP middleware of this channel provides")),
    }
}

/// The address of the peer: the client, or the proxy in front of it. Fails behind a Unix socket, where it is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteAddr(pub SocketAddr);

impl RemoteAddr {
    fn of(connection: &Connection) -> Result<Self> {
        match connection.remote_addr() {
            Some(addr) => Ok(Self(addr)),
            None => Err(Error::internal(
                "the listener does not know the address of the client",
            )),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for RemoteAddr {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        Self::of(req.connection())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Gateway, &["internal"])
    }
}

/// The value that the request parser attached with [`Envelope::value`](crate::Envelope::value). It derefs to `T`.
#[derive(Debug)]
pub struct Parsed<T>(Arc<T>);

impl<T> Clone for Parsed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> std::ops::Deref for Parsed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync, T: Any + Send + Sync> FromRequest<S> for Parsed<T> {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        match req.shared_value() {
            Some(value) => Ok(Self(value)),
            None => Err(missing::<T>(
                "the request parser of this channel does not attach",
            )),
        }
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<T>(Source::Gateway, &["internal"])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync, T: FromRequest<S> + Send> FromRequest<S> for Option<T> {
    async fn from_request(req: &Request, state: &S) -> Result<Self> {
        Ok(T::from_request(req, state).await.ok())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        T::input().optional()
    }
}

fn missing<T>(who: &str) -> Error {
    Error::internal(format!("{who} a `{}`", std::any::type_name::<T>()))
}
