//! WebSocket API gateways, declared in one macro and checked at compile time.
//!
//! A client opens one WebSocket and sends messages. The gateway reads a routing key from each message, runs middleware,
//! passes the message to a backend and sends the reply back on the same socket.
//!
//! ```no_run
//! use wasabi::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! struct Order {
//!     id: u64,
//!     item: String,
//! }
//!
//! /// Places an order.
//! #[backend]
//! async fn place_order(Json(order): Json<Order>) -> String {
//!     format!(r#"{{"id":{},"placed":"{}"}}"#, order.id, order.item)
//! }
//!
//! #[middleware]
//! async fn audit(req: Request, next: impl Next) -> Result<Reply> {
//!     let key = req.key().to_owned();
//!     let outcome = next.run(req).await;
//!     tracing::info!(key, ok = outcome.is_ok());
//!     outcome
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), ServeError> {
//!     let gateway = gateway!(
//!         get("/readyz", readiness),
//!         channel(
//!             "/v1",
//!             max_message_size = 64KiB,
//!             ping = 20s,
//!             parser = JsonKey::at("/action").id("/id"),
//!             middleware = [audit, Timeout::new(5s)],
//!             match key {
//!                 "order.place" => place_order,
//!                 "quote" | "ticks" => Http::post("http://quotes:8080/"),
//!                 _ => NoRoute,
//!             },
//!         ),
//!     );
//!     Server::bind("127.0.0.1:8080").serve(gateway).await
//! }
//! ```
//!
//! # The concepts, in reading order
//!
//! 1. [`gateway!`] declares everything and evaluates to a [`Gateway`]. Its page has the whole syntax. [`routes!`]
//!    declares a part of a channel in another module.
//! 2. A **channel** is one WebSocket endpoint; [`Channel`] documents its settings and their defaults.
//! 3. A **[parser](Parser)** turns a [`Message`] into a [`Request`] with a routing key: [`Raw`], [`JsonKey`], or a
//!    function. A message that it cannot read passes through middleware and is answered with an error. A
//!    **[protocol](Protocol)** does the same, and also writes replies and errors in the client's form.
//! 4. A **[backend](Backend)** answers requests: an `async fn` of [extractors](FromRequest) that returns a
//!    [reply](IntoReply), [`Http`], [`WebSocket`], [`Queue`], a [`Balance`] of several, or a type of your own.
//! 5. **Request [middleware](mod@middleware)** runs around each message: [`middleware::request`] lists what the library
//!    ships. **HTTP middleware** runs around the handshake: any tower layer.
//! 6. A **[`Connection`]** is a handle to one live socket, usable from anywhere; a **[`Registry`]** lists a channel's
//!    connections and their [groups](Group), for broadcasts. With a [`Cluster`] groups reach over several processes.
//! 7. An **[`Error`]** has a stable code; [`ErrorFormat`] decides how the client sees it.
//! 8. A **[`Server`]** listens and drains.
//!
//! # In an axum application
//!
//! A gateway can mount an existing application that has its own state, with `mount("/", app)`: the [`Server`] then
//! serves and drains both. Or the gateway becomes a part of the application: [`Gateway::into_router`] says what differs
//! then. Both must use the same axum, version 0.8.
//!
//! # Testing your gateway
//!
//! A backend function is still a function that a test can call: extractors such as [`State`], [`Json`], [`Text`] and
//! [`Binary`] are tuple structs. The cargo feature `testing` adds the module `testing`, which makes requests,
//! connections and the [`Next`] of a middleware for unit tests, and serves whole gateways without sockets, also under a
//! paused clock.
//!
//! ```
//! use wasabi::prelude::*;
//!
//! #[backend]
//! async fn greet(State(greeting): State<&'static str>, Text(name): Text) -> String {
//!     format!("{greeting}, {name}")
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() { // in a test: `#[tokio::test]`
//! assert_eq!(greet(State("hello"), Text::from("Ada")).await, "hello, Ada");
//! # }
//! ```
//!
//! # What it promises
//!
//! * Every message has one outcome: a reply (or several, or a stream), an error reply with the request's id, or
//!   nothing by declaration. Panics, timeouts and failed upstreams are error replies too.
//! * Nothing grows without bound, whatever a client does: the size of messages, the requests in flight and the data
//!   waiting to be sent are limited, and the server closes a client that does not read.
//! * Between the read buffer and the backend, the gateway boxes and spawns nothing per message, and allocates nothing
//!   for a message of up to 8 KiB that arrives in one piece.
//!
//! # Features
//!
//! Without default features, the library has `gateway!` with channels and functions, [`Http`], [`WebSocket`],
//! [`Balance`], the server, and all middleware that is not in this table.
//!
//! | feature | what it adds | in the default set |
//! |---|---|---|
//! | `retry` | [`Retry`](middleware::request::Retry) | yes |
//! | `rate-limit` | [`RateLimit`](middleware::request::RateLimit), [`LimitClients`](middleware::http::LimitClients) | yes |
//! | `cache` | `Cache`, a cache of replies | |
//! | `queue` | [`Queue`], with an in-process broker | yes |
//! | `redis`, `amqp`, `nats`, `kafka` | `Queue` over Redis, RabbitMQ, NATS, Kafka; [`Cluster`] over Redis, NATS | |
//! | `tls` | `https` for [`Http`], `wss` for [`WebSocket`], TLS for [`Server`] and for the brokers of [`Queue`] and [`Cluster`] | |
//! | `deflate` | `Compression`, permessage-deflate for [`Channel`] | |
//! | `decompress` | gzip, deflate, br and zstd answers from HTTP services for [`Http`] | |
//! | `http2` | `Server::http2_streams`: HTTP/2, and WebSockets on its streams | |
//! | `argon2` | hashed passwords in `BasicAuth` | |
//! | `jwt` | `Jwt`, JSON Web Tokens for `BearerAuth` | |
//! | `metrics` | counts of the server and of `Measure::metrics`, in the process's metrics: see [`Admin::metrics`] | |
//! | `otel` | spans of [`Trace`](middleware::request::Trace) continue upstream: W3C Trace Context by OpenTelemetry | |
//! | `profiling` | `Admin::profiles`, CPU profiles of the running process | |
//! | `schema` | `schema`: what every route takes and answers, with JSON Schemas: `Gateway::operations`, as an AsyncAPI document: `Gateway::asyncapi`, and as clients: `Gateway::typescript`, `Gateway::rust` | |
//! | `client` | `client`: what the clients of `Gateway::rust` run on | |
//! | `console` | `Admin::console`, a page to talk to the gateway in; with `schema` and `metrics` | |
//! | `testing` | `testing`: unit tests of functions and middleware, and whole gateways without sockets | |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod absent;
mod backend;
mod backoff;
mod channel;
#[cfg(feature = "client")]
pub mod client;
pub mod cluster;
mod connection;
mod describe;
mod digest;
mod dispatcher;
mod endpoint;
mod error;
mod error_format;
mod extract;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod hosts;
mod log;
mod macros;
mod message;
mod metrics;
pub mod middleware;
mod mistakes;
mod panics;
mod parser;
mod per_client;
mod pieces;
#[cfg(any(test, feature = "console", feature = "testing"))]
mod piped;
mod protocol;
mod reply;
mod request;
mod routes;
mod runtime;
#[cfg(feature = "schema")]
pub mod schema;
mod scope;
mod server;
mod sharded;
mod sync;
mod task;
mod tcp;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod time;
#[cfg(feature = "otel")]
mod trace_context;
mod turns;
pub mod units;
mod upgrade;

// Not inlined: axum's pages are about HTTP handlers. `FromRequest` says what these types do here.
#[doc(no_inline)]
pub use axum::{
    Extension, Json,
    extract::{FromRef, Path, Query, State},
};
pub use bytes::Bytes;
pub use bytestring::ByteString;
pub use http::{HeaderMap, Method, StatusCode};
#[cfg(feature = "jwt")]
pub use jsonwebtoken;
pub use reqwest;
#[cfg(feature = "tls")]
pub use rustls;
#[cfg(feature = "schema")]
pub use schemars;

#[cfg(feature = "queue")]
pub use crate::backend::queue::{self, Queue};
#[cfg(feature = "deflate")]
pub use crate::channel::Compression;
#[cfg(feature = "schema")]
pub use crate::{backend::Typed, channel::Sent, extract::HasSchema, gateway::AsyncApi};
pub use crate::{
    backend::{
        Backend, Balance, BoxBackend, Framing, HandshakeError, HealthCheck, Http, HttpRequest,
        IntoBackend, Lifecycle, Lines, NoRoute, Sse, SseEvent, Subscriptions, WebSocket,
    },
    backoff::Backoff,
    channel::{
        Channel, ChannelConfig,
        hooks::{IntoAdmission, IntoOnConnect, IntoOnDisconnect, OnConnect, OnDisconnect},
    },
    cluster::Cluster,
    connection::{
        Addressed, Broadcast, Connection, ConnectionAddress, ConnectionId, ConnectionInfo,
        Everywhere, Group, Intercept, InvalidAddress, InvalidPosition, Joined, Kept, KeptMessage,
        KeptMessages, Member, NodeId, NodeInfo, NodeList, Page, Position, Presence, Published,
        Registry, Renewal, SendError, Stored, TrySendError, User, UserClosed,
    },
    describe::{ChannelInfo, Description, EndpointInfo, RouteInfo, TargetInfo},
    error::{BoxError, Error, Fault, IntoError, Resend},
    error_format::{ErrorFn, ErrorFormat, JsonErrors},
    extract::{
        Ended, FromConnection, FromEnded, FromRequest, FromState, LeftGroups, Params, Parsed,
        Readable, RemoteAddr,
    },
    gateway::{Gateway, GatewayError, Mount},
    macros::{backend, gateway, middleware, routes},
    message::{
        Binary, Close, CloseCode, IntoMessage, InvalidCloseCode, Message, MessageError, Text,
        Writable,
    },
    middleware::{Middleware, MiddlewareFor, Next},
    parser::{Envelope, JsonKey, Parser, Raw},
    protocol::{Call, Decoded, GraphqlWs, Incoming, Init, JsonRpc, Protocol, Unsubscribe},
    reply::{IntoReply, Replies, Reply, Result},
    request::{InFlight, Key, Request, RequestId},
    routes::{RouteTable, Routes},
    runtime::readiness,
    server::{
        Admin, Management, OpenListener, ProxiedListener, ServeError, Server, ServerConfig,
        ServerHandle,
    },
};
#[cfg(feature = "tls")]
pub use crate::{
    connection::PeerCertificates,
    server::{ClientAuth, Tls, TlsError, TlsFiles},
};

/// Types that appear in signatures and that programs rarely name: default type parameters, and what tells impls apart.
pub mod types {
    #[cfg(feature = "cache")]
    pub use crate::middleware::request::key::WholeRequest;
    #[cfg(feature = "metrics")]
    pub use crate::middleware::request::measure::{Metrics, RouteMetrics};
    pub use crate::{
        backend::{
            Answer, Called, Destined, Fixed, HandlerFn, NotCalled, Target, ViaBackend, ViaFuture,
            With,
        },
        channel::hooks::{HookFn, NoHook},
        gateway::{ViaGateway, ViaService},
        middleware::Stack,
        middleware::request::{
            key::{By, Together},
            measure::Record,
        },
        protocol::{Ack, Enveloped, NoInit, OnInit, Plain},
    };
}

/// What the macros require of the values in a declaration. The compiler names these items in errors; programs do not
/// need them.
pub mod required {
    #[doc(no_inline)]
    pub use crate::__private::{Absent, Scope};
    pub use crate::__private::{
        attributed::{Attribute, Attributed, attributed},
        backend,
        endpoints::Endpoint,
        met::Met,
        mount,
        probe::{
            ConnectHook, DisconnectHook, GatewayState, IsBackend, IsHttpMiddleware, IsMiddleware,
            IsOnConnect, IsOnDisconnect, IsParser, IsProtocol, IsRoutes, IsState, IsTarget,
            Mistake, NoState, Probe, Reported, RequestMiddleware, RouteSet, Unknown, Unmet, http,
            middleware, on_connect, on_disconnect, parser, protocol, routes, state,
        },
        required, required_of_output,
        takes::{AllTaken, OnlyFor, SameState, Takes, TakesExtractors},
    };
}

/// What most gateways need: `use wasabi::prelude::*;`.
///
/// Left out, because programs often have types of these names: [`Error`], [`Close`], [`CloseCode`], [`StatusCode`].
/// [`Result`] is included; it takes both parameters, as in the standard library, and the error of `Result<T>` is
/// [`Error`].
pub mod prelude {
    #[cfg(feature = "deflate")]
    pub use crate::Compression;
    #[cfg(feature = "queue")]
    pub use crate::Queue;
    #[cfg(feature = "rate-limit")]
    #[doc(no_inline)]
    pub use crate::middleware::http::LimitClients;
    #[doc(no_inline)]
    pub use crate::middleware::http::{BasicAuth, BearerAuth, ClientIp, Denied, Identity, Stash};
    pub use crate::{
        Backend, Backoff, Balance, Binary, Bytes, Connection, Envelope, ErrorFormat, FromRequest,
        Gateway, HealthCheck, Http, HttpRequest, IntoReply, JsonKey, JsonRpc, Key, Lines, Message,
        Middleware, Next, NoRoute, Params, Parsed, Raw, Registry, RemoteAddr, Replies, Reply,
        Request, RequestId, Result, Routes, ServeError, Server, Sse, Text, WebSocket, backend,
        gateway, middleware, middleware::request::*, readiness, routes,
    };
    #[doc(no_inline)]
    pub use crate::{Extension, Json, Path, Query, State};
}
