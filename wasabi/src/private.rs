//! The names that macro expansions use. Not part of the public API.

#[path = "private/attributed.rs"]
pub mod attributed;
#[cfg(feature = "schema")]
#[path = "private/describing.rs"]
pub mod describing;
#[path = "private/endpoints.rs"]
pub mod endpoints;
#[path = "private/met.rs"]
pub mod met;
#[path = "private/probe.rs"]
pub mod probe;
#[path = "private/takes.rs"]
pub mod takes;
#[cfg(feature = "schema")]
#[path = "private/told.rs"]
pub mod told;

use std::{ops::Deref, sync::Arc};

#[cfg(feature = "schema")]
pub use core::option_env;
pub use core::{
    clone::Clone,
    file,
    future::Future,
    line,
    marker::{PhantomData, Send, Sync},
    ops::{Fn, FnMut},
    option::Option::{self, None, Some},
    primitive::{bool, str, u64, usize},
    result::Result,
    time::Duration,
};

pub use std::{boxed::Box, vec::Vec};

pub use axum::{
    extract::{Request as HttpRequest, State as AxumState},
    middleware::{FromFn, Next as HttpNext, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::MethodFilter,
};
pub use futures_util::future::BoxFuture;
pub use tower;

#[cfg(not(feature = "schema"))]
pub use self::probe::backend;
#[cfg(feature = "schema")]
pub use self::told::{ask, backend};
#[cfg(feature = "schema")]
pub use self::{
    attributed::Tells,
    describing::{describe_arm, describe_key, describe_node, describe_rest, describe_set},
};
pub use self::{
    attributed::{Attribute, Attributed, attributed},
    endpoints::Endpoint,
    probe::{
        ConnectHook, DisconnectHook, GatewayState, IsTarget, RequestMiddleware, RouteSet, http,
        middleware, on_connect, on_disconnect, parser, protocol, routes, state,
    },
    takes::{AllTaken, OnlyFor, TakesExtractors},
};
#[cfg(feature = "metrics")]
pub use crate::metrics::Observation;
pub use crate::{
    Backend, Error, ErrorFormat, FromRequest, IntoBackend, IntoReply, Lifecycle, Middleware,
    MiddlewareFor, Next, Parser, Protocol, Reply, Request,
    absent::Absent,
    backend::{Balancer, Group, HealthCheck, Picked, Probe, Returns, Template, Way},
    channel::{
        Channel,
        hooks::{IntoOnConnect, IntoOnDisconnect},
    },
    connection::path_types::PathType,
    describe::{ChannelInfo, RouteInfo, TargetInfo},
    gateway::{GatewayBuilder, mount},
    middleware::{Stack, Valid, http::HttpMiddleware},
    protocol::{Cancel, Dialect, Inbound},
    request::{Route, split},
    routes::{
        Both, Declares, Described, Duplicates, Key, Keyed, Keys, Routes, Set, both, info, proof,
        proven,
    },
    scope::Scope,
};
use crate::{
    Call, Close, Connection, Ended, Envelope, Incoming, Message, OnConnect, OnDisconnect, RequestId,
};
#[cfg(feature = "schema")]
pub use crate::{
    backend::{Knows, KnowsOf, Told},
    schema::{Arm, Codes, Describer, SchemaFn, Schemas},
};

/// Fixes the signature of the closure that routes keys, for every lifetime of the key.
pub fn key_fn<K: Fn(&str) -> usize>(key: K) -> K {
    key
}

/// Fixes the signature of a parsing closure, for every lifetime of the message.
pub fn parser_fn<P>(parser: P) -> P
where
    P: for<'m> Fn(&'m Message) -> crate::Result<Option<Envelope<'m>>>,
{
    parser
}

/// Fixes the argument of an `on_connect` closure.
pub fn on_connect_fn<F: Fn(Connection) -> Fut, Fut>(hook: F) -> F {
    hook
}

/// Fixes the arguments of an `on_disconnect` closure.
pub fn on_disconnect_fn<F: Fn(Connection, Close) -> Fut, Fut>(hook: F) -> F {
    hook
}

/// The arm of the next router on a request's way, counted from 1; `find` finds it if the request does not know it. 0
/// if there is none.
#[inline]
pub fn take_arm(req: &mut Request, bits: u32, find: impl FnOnce(&str) -> Option<Route>) -> u64 {
    req.take_arm(bits, find)
}

/// Whether a router owes the request a reply when the request does not know its arm. The user's guards run once more
/// only if the arms differ.
pub fn owes(arms: u64, on: impl Fn(u64) -> bool, arm: impl FnOnce() -> usize) -> bool {
    let first = on(1);
    if (2..=arms).all(|other| on(other) == first) {
        return first;
    }
    let arm = arm() as u64 + 1;
    arm > arms || on(arm)
}

/// The path of a route; 0 if there is none.
#[inline]
pub fn path_of(route: Option<Route>) -> u64 {
    route.unwrap_or_default().path
}

/// A part of the gateway that its channels share.
#[derive(Debug)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// Shares a value.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<S: Sync, M: MiddlewareFor<S>> MiddlewareFor<S> for Shared<M> {
    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        self.0.codes()
    }

    #[cfg(feature = "schema")]
    fn middleware_name(&self) -> String {
        self.0.middleware_name()
    }

    fn check(&self) -> Result<(), String> {
        self.0.check()
    }

    fn check_around(&self, part: &dyn Lifecycle) -> Result<(), String> {
        self.0.check_around(part)
    }

    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut Observation) {
        self.0.observe(seen);
    }

    fn path_types(&self) -> Vec<PathType> {
        self.0.path_types()
    }

    fn handle_with(
        &self,
        req: Request,
        state: &S,
        next: impl Next,
    ) -> impl Future<Output = crate::Result> + Send {
        self.0.handle_with(req, state, next)
    }
}

impl<P: Parser> Parser for Shared<P> {
    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places {
        self.0.places()
    }

    #[inline(always)]
    fn decode(&self, message: &mut Message, connection: &Connection) -> crate::Result<()> {
        self.0.decode(message, connection)
    }

    fn parse<'m>(&self, message: &'m Message) -> crate::Result<Option<Envelope<'m>>> {
        self.0.parse(message)
    }

    fn errors(&self) -> ErrorFormat {
        self.0.errors()
    }

    fn check(&self) -> Result<(), String> {
        self.0.check()
    }
}

impl<P: Protocol> Protocol for Shared<P> {
    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places {
        self.0.places()
    }

    #[inline(always)]
    fn decode(&self, message: &mut Message, connection: &Connection) -> crate::Result<()> {
        self.0.decode(message, connection)
    }

    fn read<'m>(
        &self,
        message: &'m Message,
        connection: &Connection,
    ) -> crate::Result<Incoming<'m>> {
        self.0.read(message, connection)
    }

    fn reply(&self, call: &Call<'_>, reply: Reply) -> crate::Result<Reply> {
        self.0.reply(call, reply)
    }

    fn error(&self, error: &Error, id: Option<&RequestId>) -> Reply {
        self.0.error(error, id)
    }

    fn batch(&self, replies: Vec<Message>) -> Reply {
        self.0.batch(replies)
    }

    fn connected(&self, connection: &Connection) {
        self.0.connected(connection);
    }

    fn subprotocols(&self) -> &[&'static str] {
        self.0.subprotocols()
    }

    fn check(&self) -> Result<(), String> {
        self.0.check()
    }
}

impl<S: Sync, C: OnConnect<S>> OnConnect<S> for Shared<C> {
    fn connected(
        &self,
        connection: Connection,
        state: &S,
    ) -> impl Future<Output = Result<(), Close>> + Send {
        self.0.connected(connection, state)
    }

    fn path_types(&self) -> Vec<PathType> {
        self.0.path_types()
    }
}

impl<S: Sync, D: OnDisconnect<S>> OnDisconnect<S> for Shared<D> {
    fn disconnected(&self, ended: Ended, state: &S) -> impl Future<Output = ()> + Send {
        self.0.disconnected(ended, state)
    }

    fn path_types(&self) -> Vec<PathType> {
        self.0.path_types()
    }
}

/// Takes an item of a trait, which is there if a type implements the trait. The compiler reports the type where the
/// expansion names it, and does not show the user a bound of this function.
#[inline(always)]
pub const fn required<T: Copy>(_item: T) {}

/// The error of a request that a middleware's argument cannot be taken from.
#[cold]
pub fn unmet(mut req: Request, error: Error) -> Error {
    req.take_invalid().unwrap_or(error)
}

/// The types that a middleware function reads from the path of its channel.
pub fn path_types<F, const N: usize>(types: [Option<PathType>; N]) -> Vec<PathType> {
    PathType::all_of_function::<F>(&types)
}

/// The same of a future's output, whose type cannot be named.
#[inline(always)]
pub const fn required_of_output<F: Future, T>(_future: &F, _item: fn(F::Output) -> T) {}
