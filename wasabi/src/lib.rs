//! WebSocket API gateways, declared in one macro and checked at compile time.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod backend;
mod channel;
mod connection;
mod error;
mod error_format;
mod extract;
mod gateway;
mod message;
pub mod middleware;
mod parser;
mod reply;
mod request;
mod server;
#[cfg(test)]
mod testing;

use __private as private;

pub use axum::{
    Extension, Json,
    extract::{FromRef, Path, Query, State},
};
pub use bytes::Bytes;
pub use http::{HeaderMap, Method, StatusCode};
pub use reqwest;
#[doc(inline)]
pub use wasabi_macros::{backend, gateway, middleware};

pub use crate::{
    backend::{
        Backend, Balance, BalanceError, HandshakeError, Http, HttpRequest, IntoBackend, Lifecycle,
        NoRoute, Reconnect, WebSocket,
    },
    channel::{Channel, IntoAdmission, OnConnect, OnDisconnect},
    connection::{Connection, ConnectionId, Registry, SendError, TrySendError},
    error::{BoxError, Error, Result, UpstreamFailure},
    error_format::{ErrorFn, ErrorFormat, JsonErrors},
    extract::{Binary, FromRequest, FromState, Parsed, RemoteAddr},
    gateway::{
        ChannelInfo, Description, EndpointInfo, Gateway, GatewayError, Mount, RouteInfo, TargetInfo,
    },
    message::{Close, CloseCode, InvalidCloseCode, Message, Text},
    middleware::{Middleware, Next},
    parser::{Envelope, JsonKey, Parser, Raw},
    reply::{IntoReply, Replies, Reply},
    request::{Key, Request, RequestId},
    server::{ServeError, Server, ServerHandle, readiness},
};

/// What most gateways need.
pub mod prelude {
    #[doc(no_inline)]
    pub use crate::middleware::http::ClientIp;
    pub use crate::{
        Backend, Balance, Binary, Bytes, Connection, Envelope, ErrorFormat, Extension, FromRequest,
        Gateway, Http, HttpRequest, IntoReply, Json, JsonKey, Key, Message, Middleware, Next,
        NoRoute, Parsed, Path, Query, Raw, Reconnect, Registry, RemoteAddr, Replies, Reply,
        Request, RequestId, Result, ServeError, Server, State, Text, WebSocket, backend, gateway,
        middleware, middleware::request::*, readiness,
    };
}
