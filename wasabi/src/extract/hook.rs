//! What hooks can take as arguments.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Query, State},
};
use http::HeaderMap;

use super::{FromState, Readable, RemoteAddr};
use crate::{Close, Connection, Result, connection::path_types::PathType};

/// A type that a hook may take as an argument: [`Connection`], [`State<T>`](State),
/// [`Identity<T>`](crate::middleware::http::Identity), [`Path<T>`](Path), [`Query<T>`](Query), [`HeaderMap`],
/// [`RemoteAddr`], [`ClientIp`](crate::middleware::http::ClientIp), [`Stash<T>`](crate::middleware::http::Stash),
/// [`Extension<T>`](Extension), `PeerCertificates`, and `Option<T>` of these. They are and fail as in
/// [`FromRequest`](crate::FromRequest); there is no message to read.
///
/// ```
/// use wasabi::{FromConnection, prelude::*};
///
/// struct Language(String);
///
/// impl<S: Sync> FromConnection<S> for Language {
///     async fn from_connection(connection: &Connection, _state: &S) -> Result<Self> {
///         let header = connection.headers().get("accept-language");
///         let language = header.and_then(|value| value.to_str().ok());
///         Ok(Self(language.unwrap_or("en").to_owned()))
///     }
/// }
///
/// async fn greet(connection: Connection, language: Language) {
///     let hello = if language.0.starts_with("de") { "guten Tag" } else { "hello" };
///     let _ = connection.send(hello).await;
/// }
///
/// let gateway = gateway!(channel("/", on_connect = greet, async |text: Text| text));
/// # drop(gateway);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken from a connection",
    label = "not an extractor for `on_connect`",
    note = "hooks take `Connection`, `State<T>`, `Identity<T>`, `Path<T>`, `Query<T>`, `HeaderMap`, ..: see `FromConnection`"
)]
pub trait FromConnection<S>: Sized {
    /// Takes the value from a connection.
    fn from_connection(
        connection: &Connection,
        state: &S,
    ) -> impl Future<Output = Result<Self>> + Send;

    /// The type that it reads from the path of the channel.
    #[doc(hidden)]
    fn path_type() -> Option<PathType> {
        None
    }
}

/// A type that an `on_disconnect` hook may take as an argument: those of wasabi that are [`FromConnection`], [`Close`],
/// and [`LeftGroups`]. Implement both traits for an extractor of your own that is for both hooks.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken from a connection that has ended",
    label = "not an extractor for `on_disconnect`",
    note = "hooks take `Connection`, `State<T>`, `Identity<T>`, `Path<T>`, `Query<T>`, `HeaderMap`, ..: see `FromConnection`; `on_disconnect` also takes `Close` and `LeftGroups`"
)]
pub trait FromEnded<S>: Sized {
    /// Takes the value from a connection that has ended.
    fn from_ended(ended: &Ended, state: &S) -> impl Future<Output = Result<Self>> + Send;

    /// The type that it reads from the path of the channel.
    #[doc(hidden)]
    fn path_type() -> Option<PathType> {
        None
    }
}

/// A connection that has ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ended {
    /// The connection.
    pub connection: Connection,
    /// How it ended.
    pub close: Close,
    /// The groups that it was in.
    pub groups: Vec<Arc<str>>,
}

/// The names of the groups that a connection was in when it ended, as an argument of `on_disconnect`; in no particular
/// order. The connection has left them already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftGroups(pub Vec<Arc<str>>);

/// Implements [`FromEnded`] for types that are [`FromConnection`]. An impl for all of them would not allow those for
/// `Close` and `LeftGroups`: an application might make them [`FromConnection`] for its own state.
macro_rules! also_when_ended {
    ($([$($generics:tt)*] $ty:ty;)*) => {
        $(#[diagnostic::do_not_recommend]
        impl<S: Sync, $($generics)*> $crate::FromEnded<S> for $ty {
            fn from_ended(
                ended: &$crate::Ended,
                state: &S,
            ) -> impl Future<Output = $crate::Result<Self>> + Send {
                <Self as $crate::FromConnection<S>>::from_connection(&ended.connection, state)
            }
        })*
    };
}

pub(crate) use also_when_ended;

also_when_ended! {
    [] Connection;
    [] HeaderMap;
    [] RemoteAddr;
    [T: Clone + Send + Sync + 'static] Extension<T>;
}

// Without the macro, so that errors about what is in them do not show it.

impl<S: Sync, T: FromState<S> + Send> FromEnded<S> for State<T> {
    async fn from_ended(_ended: &Ended, state: &S) -> Result<Self> {
        Ok(State(T::from_state(state)))
    }
}

impl<S: Sync, T: Readable + Send> FromEnded<S> for Path<T> {
    async fn from_ended(ended: &Ended, _state: &S) -> Result<Self> {
        ended.connection.path().map(Path)
    }

    fn path_type() -> Option<PathType> {
        Some(PathType::of::<T>())
    }
}

impl<S: Sync, T: Readable> FromEnded<S> for Query<T> {
    async fn from_ended(ended: &Ended, _state: &S) -> Result<Self> {
        ended.connection.query().map(Query)
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync, T: FromEnded<S> + Send> FromEnded<S> for Option<T> {
    async fn from_ended(ended: &Ended, state: &S) -> Result<Self> {
        Ok(T::from_ended(ended, state).await.ok())
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromEnded<S> for Close {
    async fn from_ended(ended: &Ended, _state: &S) -> Result<Self> {
        Ok(ended.close.clone())
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromEnded<S> for LeftGroups {
    async fn from_ended(ended: &Ended, _state: &S) -> Result<Self> {
        Ok(Self(ended.groups.clone()))
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromConnection<S> for Connection {
    async fn from_connection(connection: &Connection, _state: &S) -> Result<Self> {
        Ok(connection.clone())
    }
}

impl<S: Sync, T: FromState<S> + Send> FromConnection<S> for State<T> {
    async fn from_connection(_connection: &Connection, state: &S) -> Result<Self> {
        Ok(State(T::from_state(state)))
    }
}

impl<S: Sync, T: Readable + Send> FromConnection<S> for Path<T> {
    async fn from_connection(connection: &Connection, _state: &S) -> Result<Self> {
        connection.path().map(Path)
    }

    fn path_type() -> Option<PathType> {
        Some(PathType::of::<T>())
    }
}

impl<S: Sync, T: Readable> FromConnection<S> for Query<T> {
    async fn from_connection(connection: &Connection, _state: &S) -> Result<Self> {
        connection.query().map(Query)
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromConnection<S> for HeaderMap {
    async fn from_connection(connection: &Connection, _state: &S) -> Result<Self> {
        Ok(connection.headers().clone())
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromConnection<S> for RemoteAddr {
    async fn from_connection(connection: &Connection, _state: &S) -> Result<Self> {
        Self::of(connection)
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync, T: Clone + Send + Sync + 'static> FromConnection<S> for Extension<T> {
    async fn from_connection(connection: &Connection, _state: &S) -> Result<Self> {
        super::extension(connection)
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync, T: FromConnection<S> + Send> FromConnection<S> for Option<T> {
    async fn from_connection(connection: &Connection, state: &S) -> Result<Self> {
        Ok(T::from_connection(connection, state).await.ok())
    }
}
