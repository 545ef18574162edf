//! The opening handshake (RFC 6455, section 4.2), and the task that follows it.

use std::{
    future::poll_fn,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request as HttpRequest},
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, future};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version, header, request::Parts, uri::Authority,
};
use hyper::upgrade::OnUpgrade;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{OnConnect, OnDisconnect, origin::Origins};
use crate::{
    Backend, Close, CloseCode, Connection, ErrorFormat, Parser, Registry, Result,
    connection::{
        Handshake,
        companions::Companions,
        driver::{Driver, Settings},
        outbox::Outbox,
        registry::Permit,
        socket::Socket,
    },
    middleware::http::{Expires, free},
    parser,
    request::Route,
    server::{Runtime, SocketPermit, transport::Transport},
};

/// Everything that the connections of a channel share.
pub(super) struct Endpoint<S, B, P, C, D> {
    pub(super) state: Arc<S>,
    pub(super) backend: B,
    pub(super) parser: P,
    pub(super) on_connect: C,
    pub(super) on_disconnect: D,
    pub(super) errors: ErrorFormat,
    pub(super) registry: Registry,
    pub(super) origins: Origins,
    pub(super) subprotocols: Vec<String>,
    pub(super) max_connections: Option<usize>,
    pub(super) settings: Settings,
    /// Name of the route when the target does not route by key.
    pub(super) target: &'static str,
}

/// Why a handshake is refused.
type Refusal = (StatusCode, &'static str);

/// How long hyper may take to hand the stream over after the response.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long companions may take to end after their connection.
const COMPANIONS_END: Duration = Duration::from_secs(5);

/// How long the bytes of a client that broke the protocol are read and thrown away.
const LINGER: Duration = Duration::from_secs(1);

impl<S, B, P, C, D> Endpoint<S, B, P, C, D>
where
    S: Send + Sync + 'static,
    B: Backend<S> + 'static,
    P: Parser,
    C: OnConnect,
    D: OnDisconnect,
{
    /// Answers a handshake; an accepted one becomes a connection with a task of its own.
    pub(super) fn accept(
        self: &Arc<Self>,
        req: HttpRequest,
    ) -> impl Future<Output = Response> + Send + use<S, B, P, C, D> {
        let response = self.handshake(req);
        async { response }
    }

    fn handshake(self: &Arc<Self>, req: HttpRequest) -> Response {
        let (mut parts, _body) = req.into_parts();
        let runtime = parts.extensions.remove::<Runtime>().unwrap_or_default();
        let refused = |(status, message): Refusal| {
            tracing::debug!(path = parts.uri.path(), %status, why = message, "handshake refused");
            refusal(status, message)
        };
        let key = match check(&parts) {
            Ok(key) => key,
            Err(why) => return refused(why),
        };
        if !self.origins.allow(&parts.headers, host(&parts).as_ref()) {
            return refused((StatusCode::FORBIDDEN, "this origin may not connect"));
        }
        let mut admitted = Ok(());
        self.backend.lifecycle(&mut |part| {
            if admitted.is_ok() {
                admitted = part.handshake(&parts);
            }
        });
        if let Err(error) = admitted {
            tracing::debug!(path = parts.uri.path(), %error, "handshake refused");
            return (StatusCode::BAD_REQUEST, error.to_string()).into_response();
        }
        if runtime.is_draining() {
            return refused((
                StatusCode::SERVICE_UNAVAILABLE,
                "the server is shutting down",
            ));
        }
        let Some(permit) = self.registry.admit(self.max_connections) else {
            return refused((StatusCode::SERVICE_UNAVAILABLE, "too many connections"));
        };
        let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            return refused((
                StatusCode::UPGRADE_REQUIRED,
                "the connection cannot be upgraded",
            ));
        };
        let subprotocol = self.choose_subprotocol(&parts.headers);
        let response = switching(&key, subprotocol.as_deref());
        let id = runtime.next_id();
        tracing::debug!(connection = %id, path = parts.uri.path(), "handshake accepted");
        let socket = parts.extensions.remove::<SocketPermit>();
        let mut handshake = Handshake {
            remote_addr: parts
                .extensions
                .remove::<ConnectInfo<SocketAddr>>()
                .map(|ConnectInfo(addr)| addr),
            uri: parts.uri,
            headers: parts.headers,
            extensions: parts.extensions,
            subprotocol,
        };
        handshake.detach();
        let expires = handshake.extensions.get().map(|Expires(time)| *time);
        let settings = &self.settings;
        let outbox = Outbox::new(settings.send_queue, settings.send_buffer);
        let connection = Connection::new(id, handshake, outbox, settings.limits);
        if expires.is_some() {
            connection.expire_at(expires);
        }
        // Not wrapped into another future, which would have room for it twice.
        runtime.spawn(Arc::clone(self).run(connection, permit, socket, upgrade, runtime.clone()));
        response
    }

    /// The first of the channel's subprotocols that the client offers.
    fn choose_subprotocol(&self, headers: &HeaderMap) -> Option<String> {
        let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let offers = |name: &str| {
            offered
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .any(|offer| offer.trim() == name)
        };
        self.subprotocols.iter().find(|name| offers(name)).cloned()
    }

    /// The task of a connection. Its size is memory of every idle connection: what is needed only at the end has a
    /// box of its own.
    async fn run(
        self: Arc<Self>,
        connection: Connection,
        permit: Permit,
        _socket: Option<SocketPermit>,
        upgrade: OnUpgrade,
        runtime: Runtime,
    ) {
        let upgraded = match tokio::time::timeout(UPGRADE_TIMEOUT, upgrade).await {
            Ok(Ok(upgraded)) => upgraded,
            Ok(Err(error)) => {
                tracing::debug!(connection = %connection.id(), %error, "upgrade failed");
                return connection.end(CloseCode::ABNORMAL.into());
            }
            Err(_) => {
                tracing::debug!(connection = %connection.id(), "upgrade timed out");
                return connection.end(CloseCode::ABNORMAL.into());
            }
        };
        let (transport, read_already) = Transport::of(upgraded);
        let entry = self.registry.enter(connection.clone(), permit);
        let listed = runtime.list(&connection);
        tracing::debug!(connection = %connection.id(), remote_addr = ?connection.remote_addr(), "connected");
        let mut admitted = false;
        let driven = self.drive(&connection, transport, read_already, &mut admitted);
        let (close, companions) = match AssertUnwindSafe(driven).catch_unwind().await {
            Ok(end) => end,
            Err(_) => {
                tracing::error!(connection = %connection.id(), "the connection's task panicked");
                (CloseCode::ABNORMAL.into(), Companions::new())
            }
        };
        connection.end(close.clone());
        drop(entry);
        tracing::debug!(connection = %connection.id(), code = close.code.as_u16(), reason = %close.reason, "disconnected");
        Box::pin(self.ended(connection, close, admitted, companions)).await;
        drop(listed);
    }

    /// Lets the hook and the companions of a connection come to their end.
    async fn ended(
        &self,
        connection: Connection,
        close: Close,
        admitted: bool,
        companions: Companions,
    ) {
        let hook = async {
            if admitted {
                let disconnected = self.on_disconnect.disconnected(connection.clone(), close);
                disconnected.await;
            }
        };
        let (hook, ()) = future::join(
            AssertUnwindSafe(hook).catch_unwind(),
            companions.finish(&connection, COMPANIONS_END),
        )
        .await;
        if hook.is_err() {
            tracing::error!("on_disconnect panicked");
        }
        if catch_unwind(AssertUnwindSafe(|| free(connection.extensions()))).is_err() {
            tracing::error!("the destructor of a stashed value panicked");
        }
    }

    /// Runs the connection until it ends and tells how; `admitted` is whether `on_connect` had admitted it.
    async fn drive(
        &self,
        connection: &Connection,
        transport: Transport,
        read_already: Vec<u8>,
        admitted: &mut bool,
    ) -> (Close, Companions) {
        let parse = |message| {
            let mut parsed = parser::parse(&self.parser, message, connection);
            if let Ok(parser::Parsed::Request(req)) = &mut parsed {
                let route = self.backend.route(req.key());
                req.set_route(route.unwrap_or(Route {
                    index: 0,
                    name: self.target,
                }));
            }
            parsed
        };
        let call = |req| self.backend.call(req, &self.state);
        let socket = Socket::server(transport, read_already, self.settings.limits);
        let mut driver = Driver::new(
            socket,
            connection,
            &self.settings,
            &self.errors,
            parse,
            call,
        );
        let close = {
            let opening = async {
                let admitted = self.on_connect.connected(connection.clone()).await;
                if admitted.is_ok() {
                    self.backend
                        .lifecycle(&mut |part| part.connected(connection));
                }
                admitted
            };
            let mut opening = pin!(AssertUnwindSafe(opening).catch_unwind().fuse());
            poll_fn(|cx| {
                if let Poll::Ready(result) = opening.as_mut().poll(cx) {
                    let result = result.unwrap_or_else(|_| {
                        tracing::error!("on_connect panicked");
                        Err(CloseCode::INTERNAL.into())
                    });
                    *admitted = result.is_ok();
                    driver.opened(result);
                }
                driver.poll(cx)
            })
            .await
        };
        let lingers = driver.lingers;
        let mut io = driver.socket.into_io();
        if lingers {
            Box::pin(linger(io)).await;
        } else {
            let _ = Box::pin(tokio::time::timeout(LINGER, io.finish())).await;
        }
        (close, driver.companions)
    }
}

/// Checks what the client sent and returns its key.
fn check(parts: &Parts) -> Result<HeaderValue, Refusal> {
    let headers = &parts.headers;
    if !has_token(headers, header::CONNECTION, "upgrade")
        || !has_token(headers, header::UPGRADE, "websocket")
    {
        return Err((StatusCode::UPGRADE_REQUIRED, "this is a WebSocket endpoint"));
    }
    if parts.method != Method::GET {
        return Err((
            StatusCode::METHOD_NOT_ALLOWED,
            "a WebSocket handshake is a GET",
        ));
    }
    if parts.version != Version::HTTP_11 {
        return Err((
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "a WebSocket handshake needs HTTP/1.1",
        ));
    }
    if header_of(headers, header::HOST).is_none() {
        return Err((StatusCode::BAD_REQUEST, "a request has one Host"));
    }
    // Its bytes would be taken for frames.
    if headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get_all(header::CONTENT_LENGTH)
            .iter()
            .any(|length| length != "0")
    {
        return Err((StatusCode::BAD_REQUEST, "a handshake has no body"));
    }
    if headers
        .get_all(header::SEC_WEBSOCKET_VERSION)
        .iter()
        .count()
        > 1
    {
        return Err((
            StatusCode::BAD_REQUEST,
            "Sec-WebSocket-Version stands there more than once",
        ));
    }
    if header_of(headers, header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err((
            StatusCode::UPGRADE_REQUIRED,
            "the WebSocket version must be 13",
        ));
    }
    match header_of(headers, header::SEC_WEBSOCKET_KEY) {
        Some(key) if is_key(key.as_bytes()) => Ok(key.clone()),
        _ => Err((
            StatusCode::BAD_REQUEST,
            "Sec-WebSocket-Key must be 16 bytes in base64",
        )),
    }
}

/// The value of a header that stands there exactly once.
fn header_of(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

/// 16 bytes in base64 (RFC 6455, section 4.1).
fn is_key(key: &[u8]) -> bool {
    matches!(key, [digits @ .., b'=', b'='] if digits.len() == 22
        && digits.iter().all(|digit| digit.is_ascii_alphanumeric() || b"+/".contains(digit)))
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// The host that the client believes to talk to.
fn host(parts: &Parts) -> Option<Authority> {
    match parts.uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => parts.headers.get(header::HOST)?.to_str().ok()?.parse().ok(),
    }
}

fn refusal(status: StatusCode, message: &'static str) -> Response {
    let mut response = (status, message).into_response();
    let headers = response.headers_mut();
    match status {
        StatusCode::UPGRADE_REQUIRED => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(
                header::SEC_WEBSOCKET_VERSION,
                HeaderValue::from_static("13"),
            );
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

fn switching(key: &HeaderValue, subprotocol: Option<&str>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(Ok(subprotocol)) = subprotocol.map(HeaderValue::from_str) {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    response
}

/// Lets the close frame arrive: a socket that is closed over unread bytes resets the connection.
async fn linger(mut io: Transport) {
    let _ = tokio::time::timeout(LINGER, async {
        let _ = io.shutdown().await;
        let mut rest = [0; 1024];
        while matches!(io.read(&mut rest).await, Ok(1..)) {}
    })
    .await;
}
