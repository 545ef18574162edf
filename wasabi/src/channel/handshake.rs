//! The opening handshake.

mod before;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request as HttpRequest},
    response::{IntoResponse, Response},
};
use futures_util::future::{self, Either};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts, uri::Authority};
use hyper::upgrade::OnUpgrade;

use super::{Compression, origin::Origins};
#[cfg(feature = "http2")]
use crate::upgrade::answer::Asked;
use crate::{
    Backend, Connection, Parser,
    connection::{
        Handshake,
        held::Held,
        identity::Expires,
        outbox::Outbox,
        peer::{Front, OverTls},
        registry::Permit,
        socket::deflate::Agreed,
    },
    hosts::{self, Hosts, Target},
    log::{limited, said},
    metrics::{Rejected, Traffic},
    runtime::{Runtime, SocketPermit},
    task::{
        Runner,
        hooks::{OnConnect, OnDisconnect},
    },
    upgrade::answer::{self, Refusal},
};

/// Answers the handshakes of a channel.
pub(super) struct Endpoint<S, B, P, C, D> {
    pub(super) hosts: Option<Hosts>,
    pub(super) origins: Origins,
    pub(super) subprotocols: Vec<String>,
    pub(super) max_connections: Option<usize>,
    pub(super) compression: Option<Compression>,
    /// Runs the connections of accepted handshakes.
    pub(super) runner: Arc<Runner<S, B, P, C, D>>,
}

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
        if Handshake::size(&parts.uri, &parts.headers) > self.runner.settings.max_header_size {
            return Err(refused(
                Refusal::new(
                    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                    "the headers of the handshake are too large",
                )
                .because(Rejected::HeaderSize),
            ));
        }
        let mut admitted = Ok(());
        self.runner.dispatcher.lifecycle(&mut |part| {
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
        let Some(permit) = self.runner.registry.admit(self.max_connections) else {
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
        let settings = &self.runner.settings;
        let outbox = Outbox::new(settings.max_waiting_messages, settings.max_waiting_bytes);
        let held = Held::new(settings.max_waiting_bytes, runtime.budget().clone());
        let traffic = Traffic::new(self.runner.counted.clone());
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
        let runner = Arc::clone(&self.runner);
        runtime.spawn(runner.run(connection, permit, socket, upgrade, agreed, runtime.clone()));
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
