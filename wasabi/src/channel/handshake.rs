//! The opening handshake, and the task that follows it.

mod before;
#[cfg(feature = "metrics")]
mod observed;

use std::{future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use axum::{
    extract::{ConnectInfo, Request as HttpRequest},
    response::{IntoResponse, Response},
};
use futures_util::{
    FutureExt,
    future::{self, Either, Fuse},
};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts, uri::Authority};
use hyper::upgrade::OnUpgrade;

use super::{Compression, OnConnect, OnDisconnect, origin::Origins};
#[cfg(feature = "http2")]
use crate::upgrade::answer::Asked;
use crate::{
    Backend, Close, CloseCode, Connection, ErrorFormat, Parser, Registry,
    connection::{
        Handshake,
        companions::Companions,
        held::Held,
        identity::Expires,
        outbox::Outbox,
        peer::{Front, OverTls},
        registry::Permit,
        socket::{Socket, deflate::Agreed},
        stash::free,
        transport::{LINGER, Transport},
    },
    hosts::{self, Hosts, Target},
    log::{limited, said},
    metrics::{Counted, Rejected, Traffic},
    panics::{caught, caught_future},
    parser,
    request::Route,
    runtime::{Runtime, SocketPermit},
    task::driver::{Driver, Settings, leaving::Parting},
    upgrade::{
        UPGRADE_TIMEOUT,
        answer::{self, Refusal},
    },
};

/// The state that the connections of a channel share.
pub(super) struct Endpoint<S, B, P, C, D> {
    pub(super) state: Arc<S>,
    pub(super) backend: B,
    pub(super) parser: P,
    pub(super) on_connect: C,
    pub(super) on_disconnect: D,
    pub(super) errors: ErrorFormat,
    pub(super) registry: Registry,
    pub(super) hosts: Option<Hosts>,
    pub(super) origins: Origins,
    pub(super) subprotocols: Vec<String>,
    pub(super) max_connections: Option<usize>,
    pub(super) compression: Option<Compression>,
    pub(super) settings: Settings,
    /// The name of the route if the target does not route by key.
    pub(super) target: &'static str,
    pub(super) counted: Counted,
}

/// How long companions may take to end after their connection.
const COMPANIONS_END: Duration = Duration::from_secs(5);

impl<S, B, P, C, D> Endpoint<S, B, P, C, D>
where
    S: Send + Sync + 'static,
    B: Backend<S> + 'static,
    P: Parser,
    C: OnConnect,
    D: OnDisconnect,
{
    /// Answers a handshake; an accepted one becomes a connection with its own task.
    pub(super) fn accept(
        self: &Arc<Self>,
        req: HttpRequest,
    ) -> impl Future<Output = Response> + Send + use<S, B, P, C, D> {
        let accepted = match self.handshake(req) {
            Ok(accepted) => accepted,
            Err(refusal) => return Either::Left(future::ready(refusal)),
        };
        let preparing = self.preparing(&accepted.connection);
        if preparing.is_empty() {
            return Either::Left(future::ready(self.start(accepted)));
        }
        Either::Right(Box::pin(Arc::clone(self).prepare(accepted, preparing)))
    }

    /// Checks a handshake and takes a place for the connection.
    #[expect(clippy::result_large_err, reason = "it becomes the answer")]
    fn handshake(&self, req: HttpRequest) -> Result<Accepted, Response> {
        let (mut parts, _body) = req.into_parts();
        let runtime = parts.extensions.remove::<Runtime>().unwrap_or_default();
        let target = Target::of(&parts.uri, &parts.headers, &parts.extensions);
        // Not needed for the life of the connection.
        parts.extensions.remove::<Front>();
        parts.extensions.remove::<OverTls>();
        let refused = |refusal: Refusal| {
            let Refusal {
                status,
                why,
                rejected,
            } = refusal;
            tracing::debug!(path = parts.uri.path(), %status, why, "handshake refused");
            rejected.mark(refusal.answer())
        };
        if self
            .hosts
            .as_ref()
            .is_some_and(|hosts| !hosts.answer_to(&target))
        {
            hosts::log_misdirected(parts.uri.path(), &parts.headers);
            return Err(Rejected::Host.mark(hosts::misdirected()));
        }
        let asked = match answer::check(&parts) {
            Ok(asked) => asked,
            Err(refusal) => return Err(refused(refusal)),
        };
        if !self.origins.allow(&parts.headers, &target) {
            log_foreign(&parts, &target);
            let answer = Refusal::new(StatusCode::FORBIDDEN, FOREIGN).answer();
            return Err(Rejected::Origin.mark(answer));
        }
        if Handshake::size(&parts.uri, &parts.headers) > self.settings.max_header_size {
            return Err(refused(
                Refusal::new(
                    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                    "the headers of the handshake are too large",
                )
                .because(Rejected::HeaderSize),
            ));
        }
        let mut admitted = Ok(());
        self.backend.lifecycle(&mut |part| {
            if admitted.is_ok() {
                admitted = part.handshake(&parts);
            }
        });
        if let Err(error) = admitted {
            tracing::debug!(path = parts.uri.path(), error = %said(&error), "handshake refused");
            let answer = (StatusCode::BAD_REQUEST, error.to_string()).into_response();
            return Err(Rejected::Request.mark(answer));
        }
        if runtime.is_draining() {
            return Err(refused(shutting_down()));
        }
        let Some(permit) = self.registry.admit(self.max_connections) else {
            return Err(refused(
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many connections")
                    .because(Rejected::Full),
            ));
        };
        let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            return Err(refused(Refusal::new(
                StatusCode::UPGRADE_REQUIRED,
                "the connection cannot be upgraded",
            )));
        };
        let subprotocol = self.choose_subprotocol(&parts.headers);
        let (agreed, extensions) = self.choose_compression(&parts.headers).unzip();
        let response = asked.accepted(subprotocol.as_deref(), extensions);
        let id = runtime.next_id();
        let socket = parts.extensions.remove::<SocketPermit>();
        #[cfg(feature = "http2")]
        if matches!(asked, Asked::Stream) {
            answer::as_upgrade(&mut parts);
        }
        let mut handshake = Handshake {
            remote_addr: parts
                .extensions
                .remove::<ConnectInfo<SocketAddr>>()
                .map(|ConnectInfo(addr)| addr),
            uri: parts.uri,
            headers: parts.headers,
            extensions: parts.extensions,
            subprotocol,
            secure: target.secure,
        };
        handshake.detach();
        let expires = handshake.extensions.get().map(|Expires(time)| *time);
        let settings = &self.settings;
        let outbox = Outbox::new(settings.max_waiting_messages, settings.max_waiting_bytes);
        let held = Held::new(settings.max_waiting_bytes, runtime.budget().clone());
        let traffic = Traffic::new(self.counted.clone());
        let connection = Connection::new(id, handshake, outbox, held, traffic, settings.limits);
        if expires.is_some() {
            connection.expire_at(expires);
        }
        Ok(Accepted {
            response,
            connection,
            permit,
            socket,
            upgrade,
            agreed,
            runtime,
        })
    }

    /// Starts the connection and answers the client.
    fn start(self: &Arc<Self>, accepted: Accepted) -> Response {
        let Accepted {
            response,
            connection,
            permit,
            socket,
            upgrade,
            agreed,
            runtime,
        } = accepted;
        tracing::debug!(connection = %connection.id(), path = connection.uri().path(), "handshake accepted");
        // Not wrapped into another future, which would reserve room for it twice.
        let task = Arc::clone(self);
        runtime.spawn(task.run(connection, permit, socket, upgrade, agreed, runtime.clone()));
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

    /// Returns what the client and the server agree on, and the header that says so.
    #[cfg(feature = "deflate")]
    fn choose_compression(&self, headers: &HeaderMap) -> Option<(Agreed, HeaderValue)> {
        self.compression.as_ref()?.negotiate(headers)
    }

    #[cfg(not(feature = "deflate"))]
    fn choose_compression(&self, _headers: &HeaderMap) -> Option<(Agreed, HeaderValue)> {
        self.compression.map(|never| match never {})
    }

    /// The task of a connection. Its size counts for every idle connection, so what it needs only at the end is boxed.
    async fn run(
        self: Arc<Self>,
        connection: Connection,
        permit: Permit,
        socket: Option<SocketPermit>,
        upgrade: OnUpgrade,
        agreed: Option<Agreed>,
        runtime: Runtime,
    ) {
        let upgraded = match tokio::time::timeout(UPGRADE_TIMEOUT, upgrade).await {
            Ok(Ok(upgraded)) => upgraded,
            Ok(Err(error)) => {
                tracing::debug!(connection = %connection.id(), error = %said(&error), "upgrade failed");
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
        self.counted.opened();
        tracing::debug!(connection = %connection.id(), remote_addr = ?connection.remote_addr(), "connected");
        let mut admitted = false;
        let driven = self.drive(&connection, transport, read_already, agreed, &mut admitted);
        let (close, companions) = match caught_future(driven).await {
            Ok(end) => end,
            Err(_) => {
                limited!(ERROR, connection = %connection.id(), "the connection's task panicked");
                (CloseCode::ABNORMAL.into(), Companions::new())
            }
        };
        connection.end(close.clone());
        connection.traffic().closed(&connection, &close);
        drop(entry);
        // The socket is closed, and the hook needs no place.
        drop(socket);
        tracing::debug!(connection = %connection.id(), code = close.code.as_u16(), reason = ?close.reason, "disconnected");
        Box::pin(self.ended(connection, close, admitted, companions)).await;
        drop(listed);
    }

    /// Runs the hook and the companions of a connection to their end.
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
            caught_future(hook),
            companions.finish(&connection, COMPANIONS_END),
        )
        .await;
        if hook.is_err() {
            limited!(ERROR, "on_disconnect panicked");
        }
        free(connection.extensions());
    }

    /// Runs the connection until it ends and returns how; sets `admitted` if `on_connect` admits it.
    async fn drive(
        &self,
        connection: &Connection,
        transport: Transport,
        read_already: Vec<u8>,
        agreed: Option<Agreed>,
        admitted: &mut bool,
    ) -> (Close, Companions) {
        let parse = |message| {
            let mut parsed = parser::parse(&self.parser, message, connection);
            if let parser::Parsed::Request(req) = &mut parsed {
                let route = self.backend.route(req.key());
                req.set_route(route.unwrap_or(Route {
                    index: 0,
                    name: self.target,
                }));
                let owes_reply = self.backend.owes_reply(req);
                req.set_owes_reply(owes_reply);
            }
            parsed
        };
        let call = |req| self.backend.call(req, &self.state);
        let socket = Socket::server(transport, read_already, self.settings.limits, agreed);
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
            let mut opening = pin!(caught_future(opening).fuse());
            let close = poll_fn(|cx| {
                if let Poll::Ready(result) = opening.as_mut().poll(cx) {
                    let result = result.unwrap_or_else(|_| {
                        limited!(ERROR, "on_connect panicked");
                        Err(CloseCode::INTERNAL.into())
                    });
                    *admitted = result.is_ok();
                    driver.opened(result);
                }
                driver.poll(cx)
            })
            .await;
            // A destructor in a cancelled hook may panic.
            let _ = caught(|| opening.set(Fuse::terminated()));
            close
        };
        let (parting, mut leaving) = driver.into_rest(close.clone());
        let limit = self.settings.close_timeout;
        let parting = async {
            if let Some(parting) = parting {
                part(parting, connection, limit).await;
            }
        };
        if leaving.is_done() {
            Box::pin(parting).await;
        } else {
            // A connection that is still read does not know its end yet.
            if !leaving.is_read() {
                connection.leave(close);
            }
            let leave = poll_fn(|cx| leaving.poll(cx));
            Box::pin(future::join(parting, leave)).await;
        }
        leaving.into_end()
    }
}

/// A handshake that is about to be accepted.
struct Accepted {
    response: Response,
    connection: Connection,
    permit: Permit,
    socket: Option<SocketPermit>,
    upgrade: OnUpgrade,
    agreed: Option<Agreed>,
    runtime: Runtime,
}

fn shutting_down() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the server is shutting down",
    )
    .because(Rejected::Draining)
}

/// Sends what is left, and ends the stream.
async fn part(parting: Parting<Transport>, connection: &Connection, limit: Duration) {
    let Parting {
        mut socket,
        is_unsent,
        lingers,
    } = parting;
    if is_unsent {
        let flushed = poll_fn(|cx| {
            socket.register(cx.waker());
            socket.poll_flush()
        });
        let _ = tokio::time::timeout(limit, flushed).await;
    }
    connection.traffic().finish(&socket);
    let mut io = socket.into_io();
    if lingers {
        io.linger().await;
    } else {
        let _ = tokio::time::timeout(LINGER, io.finish()).await;
    }
}

const FOREIGN: &str = "this origin may not connect";

/// Logs both sides of the comparison, because one of them must be changed.
fn log_foreign(parts: &Parts, target: &Target) {
    let origin = hosts::shown(&parts.headers, "origin");
    let host = target.host.as_ref().map(Authority::as_str);
    let (path, secure) = (parts.uri.path(), target.secure);
    limited!(
        INFO,
        path,
        ?origin,
        ?host,
        secure,
        why = FOREIGN,
        "handshake refused"
    );
}
