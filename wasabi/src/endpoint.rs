//! The endpoint of a channel: it answers handshakes and starts the task of each connection.

mod before;

use std::sync::Arc;

use axum::{
    extract::Request as HttpRequest,
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use futures_util::future::{self, Either};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts, uri::Authority};

use crate::{
    Backend, Connection, ConnectionId,
    channel::{
        Channel, Declared,
        hooks::{OnConnect, OnDisconnect},
    },
    connection::{
        Handshake,
        held::Held,
        identity::Expires,
        outbox::Outbox,
        peer::{Front, OverTls},
        socket::deflate::Agreed,
    },
    dispatcher::Dispatcher,
    hosts::{self, RequestedHost},
    log::{limited, said},
    metrics::{Counted, Rejected, Traffic},
    protocol::Dialect,
    runtime::{Runtime, SocketPermit},
    task::{Runner, Start},
    upgrade::{
        answer::{self, Asked, Refusal},
        stream::Coming,
    },
};

/// Answers the handshakes of a channel.
struct Endpoint<S, B, P, C, D> {
    /// Has the channel, and runs the connections of accepted handshakes.
    runner: Arc<Runner<S, B, P, C, D>>,
}

/// An endpoint, and what runs its connections.
type Routed<S, B, P, C, D> = (MethodRouter, Arc<Runner<S, B, P, C, D>>);

/// Builds the HTTP endpoint of a channel.
pub(crate) fn router<S, B, P, C, D>(
    channel: Channel<S, B, P, C, D>,
    state: Arc<S>,
) -> Routed<S, B, P, C, D>
where
    S: Send + Sync + 'static,
    B: Backend<S> + 'static,
    P: Dialect,
    C: OnConnect<S>,
    D: OnDisconnect<S>,
{
    let mut declared = channel.declared;
    let errors = channel.dialect.errors(declared.errors.take());
    declared.settings = declared.settings.at_least_one();
    let runner = Arc::new(Runner {
        dispatcher: Dispatcher {
            dialect: channel.dialect,
            chain: channel.backend,
            state,
            target: declared.info.target.name(),
        },
        on_connect: channel.on_connect,
        on_disconnect: channel.on_disconnect,
        errors,
        channel: declared,
        counted: Counted::default(),
    });
    let endpoint = Arc::new(Endpoint {
        runner: Arc::clone(&runner),
    });
    let mut router = any(move |req: HttpRequest| endpoint.accept(req));
    // The first layer must be outermost, and each added layer wraps the earlier ones.
    for layer in channel.layers.into_iter().rev() {
        router = layer(router);
    }
    (router, runner)
}

impl<S, B, P, C, D> Endpoint<S, B, P, C, D>
where
    S: Send + Sync + 'static,
    B: Backend<S> + 'static,
    P: Dialect,
    C: OnConnect<S>,
    D: OnDisconnect<S>,
{
    /// Answers a handshake; an accepted one becomes a connection with its own task.
    fn accept(
        self: &Arc<Self>,
        req: HttpRequest,
    ) -> impl Future<Output = Response> + Send + use<S, B, P, C, D> {
        let accepted = match self.handshake(req) {
            Ok(accepted) => accepted,
            Err(refusal) => return Either::Left(future::ready(refusal)),
        };
        let preparing = self.preparing(&accepted.start.connection);
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
        let target = RequestedHost::of(&parts.uri, &parts.headers, &parts.extensions);
        // Not needed for the life of the connection.
        parts.extensions.remove::<Front>();
        parts.extensions.remove::<OverTls>();
        let asked = self.check(&parts, &target)?;
        if runtime.is_draining() {
            return Err(refused(&parts, shutting_down()));
        }
        let channel = &self.runner.channel;
        let Some(permit) = channel.registry.admit(channel.settings.max_connections) else {
            let full = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many connections");
            return Err(refused(&parts, full.because(Rejected::Full)));
        };
        let Some(coming) = Coming::of(&mut parts.extensions) else {
            let refusal = Refusal::new(
                StatusCode::UPGRADE_REQUIRED,
                "the connection cannot be upgraded",
            );
            return Err(refused(&parts, refusal));
        };
        let subprotocol = choose_subprotocol(channel, &parts.headers);
        let (agreed, extensions) = choose_compression(channel, &parts.headers).unzip();
        let response = asked.accepted(subprotocol.as_deref(), extensions);
        let id = runtime.next_id();
        let socket = parts.extensions.remove::<SocketPermit>();
        #[cfg(feature = "http2")]
        if matches!(asked, Asked::Stream) {
            answer::as_upgrade(&mut parts);
        }
        let mut handshake = Handshake::of(parts);
        handshake.subprotocol = subprotocol.map(Into::into);
        handshake.secure = target.secure;
        Ok(Accepted {
            response,
            start: Box::new(Start {
                connection: self.connection(handshake, id, &runtime),
                permit,
                socket,
                coming,
                agreed,
                runtime,
            }),
        })
    }

    /// Checks a handshake against what the channel and its backends ask for.
    #[expect(clippy::result_large_err, reason = "it becomes the answer")]
    fn check(&self, parts: &Parts, target: &RequestedHost) -> Result<Asked, Response> {
        let channel = &self.runner.channel;
        let hosts = channel.hosts.as_ref();
        if hosts.is_some_and(|hosts| !hosts.answer_to(target)) {
            hosts::log_misdirected(parts.uri.path(), &parts.headers);
            return Err(Rejected::Host.mark(hosts::misdirected()));
        }
        let asked = answer::check(parts).map_err(|refusal| refused(parts, refusal))?;
        if !channel.origins.allow(&parts.headers, target) {
            log_foreign(parts, target);
            let answer = Refusal::new(StatusCode::FORBIDDEN, FOREIGN).answer();
            return Err(Rejected::Origin.mark(answer));
        }
        if Handshake::size(&parts.uri, &parts.headers) > channel.settings.max_header_size {
            let too_large = Refusal::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the headers of the handshake are too large",
            );
            return Err(refused(parts, too_large.because(Rejected::HeaderSize)));
        }
        let mut admitted = Ok(());
        self.runner.dispatcher.lifecycle(&mut |part| {
            if admitted.is_ok() {
                admitted = part.handshake(parts);
            }
        });
        if let Err(error) = admitted {
            tracing::debug!(path = parts.uri.path(), error = %said(&error), "handshake refused");
            let answer = (StatusCode::BAD_REQUEST, error.to_string()).into_response();
            return Err(Rejected::Request.mark(answer));
        }
        Ok(asked)
    }

    /// Makes the handle of a connection.
    fn connection(&self, handshake: Handshake, id: ConnectionId, runtime: &Runtime) -> Connection {
        let expires = handshake.extensions.get().map(|Expires(time)| *time);
        let settings = &self.runner.channel.settings;
        let outbox = Outbox::new(settings.max_waiting_messages, settings.max_waiting_bytes);
        let held = Held::new(settings.max_waiting_bytes, runtime.budget().clone());
        let traffic = Traffic::new(self.runner.counted.clone());
        let connection = Connection::new(id, handshake, outbox, held, traffic, settings.limits());
        if expires.is_some() {
            connection.expire_at(expires);
        }
        connection
    }

    /// Starts the connection and answers the client.
    fn start(self: &Arc<Self>, accepted: Accepted) -> Response {
        let Accepted { response, start } = accepted;
        let (connection, runtime) = (&start.connection, start.runtime.clone());
        tracing::debug!(connection = %connection.id(), path = connection.uri().path(), "handshake accepted");
        // Not wrapped into another future, which would reserve room for it twice.
        let runner = Arc::clone(&self.runner);
        runtime.spawn(runner.run(start));
        response
    }
}

/// A handshake that is about to be accepted.
struct Accepted {
    response: Response,
    start: Box<Start>,
}

/// The first of the channel's subprotocols that the client offers.
fn choose_subprotocol(channel: &Declared, headers: &HeaderMap) -> Option<String> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let offers = |name: &str| {
        offered
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|offer| offer.trim() == name)
    };
    channel
        .subprotocols
        .iter()
        .find(|name| offers(name))
        .cloned()
}

/// Returns what the client and the server agree on, and the header that says so.
#[cfg(feature = "deflate")]
fn choose_compression(channel: &Declared, headers: &HeaderMap) -> Option<(Agreed, HeaderValue)> {
    channel.compression.as_ref()?.negotiate(headers)
}

#[cfg(not(feature = "deflate"))]
fn choose_compression(channel: &Declared, _headers: &HeaderMap) -> Option<(Agreed, HeaderValue)> {
    channel.compression.map(|never| match never {})
}

/// Logs a refusal and makes its answer.
fn refused(parts: &Parts, refusal: Refusal) -> Response {
    let (status, why) = (refusal.status, refusal.why);
    tracing::debug!(path = parts.uri.path(), %status, why, "handshake refused");
    refusal.rejected.mark(refusal.answer())
}

fn shutting_down() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the server is shutting down",
    )
    .because(Rejected::Draining)
}

const FOREIGN: &str = "this origin is not allowed";

/// Logs both sides of the comparison, because one of them must be changed.
fn log_foreign(parts: &Parts, target: &RequestedHost) {
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
