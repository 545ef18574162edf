//! The backend that forwards messages to a WebSocket server.

mod correlate;
mod dial;
mod forward;
mod opening;
mod probe;
mod relay;
mod sending;
mod serving;
mod settings;
mod stream;
mod target;
#[cfg(feature = "tls")]
mod tls;
mod unreachable;
mod upstream;
mod waiting;
mod watch;

use std::sync::Arc;

use http::request::Parts;

use self::{relay::Relay, settings::Config, target::Target};
use super::{Preparing, Probe, Way, next_id, template::Template};
use crate::{
    Backend, Connection, HandshakeError, Lifecycle, Reply, Request, Result, log::said,
    mistakes::Mistakes,
};

/// Forwards messages to a WebSocket server, over a separate upstream connection for each client.
///
/// ```
/// use wasabi::prelude::*;
///
/// let gateway = gateway!(channel(
///     "/",
///     match key {
///         "text" => WebSocket::connect("ws://legacy:9000/v3")
///             .forward_query(["l"])
///             .require_query(["app_id"])
///             .forward_headers(["user-agent"])
///             .connect_timeout(2s),
///         _ => WebSocket::connect("ws://blobs:9001/").eager(),
///     },
/// ));
/// # drop(gateway);
/// ```
///
/// * The gateway opens the upstream connection with the first message, or with the client's connection if it is
///   [`eager`](Self::eager). Messages that arrive meanwhile wait in order; each keeps its place among the channel's
///   `concurrency`.
/// * Payload and kind pass unchanged and in order in both directions. The connection to the upstream is not compressed.
///   A forwarded message has no reply of its own: what the upstream sends reaches the client as a separate message. See
///   [`correlate`](Self::correlate).
/// * Back-pressure passes too: the gateway does not read from the upstream while the client's send queue is full, and
///   does not read from the client while the upstream takes nothing.
/// * When the upstream cannot be reached, each waiting message is answered `upstream_unreachable`, and a message that
///   arrives after a [pause](Self::max_dial_pause) tries again. If the upstream answers the handshake with a status
///   other than 101, the error is `upstream_status`: a 401 concerns this client, a 503 the upstream, as for
///   [`Http`](crate::Http) and by [`Error::fault`](crate::Error::fault). See
///   [`close_on_failed_dial`](Self::close_on_failed_dial).
/// * When the client's connection ends, the gateway closes the upstream's with the same code and reason, or with 1001
///   if the client was lost. What the client sent before reaches the upstream first, even if the upstream is not
///   connected yet, within the channel's `close_timeout` ([`Backend::owes_reply`]).
/// * When the upstream closes, the gateway closes the client with the same code and reason. If the code means nothing
///   to the client (no code, or 1002, which is about the gateway), the client gets 1011. It also gets 1011 when the
///   upstream is lost, breaks the protocol, takes nothing for the [`send_timeout`](Self::send_timeout), or does not
///   answer a [`ping`](Self::ping). See [`reconnect`](Self::reconnect). Messages in transit are lost with the upstream.
/// * When the server drains, the gateway passes on what it has already read from either side and closes both with 1012.
///   A message that the client sends later is answered `closing`. What the upstream sends later is dropped, including
///   answers that the gateway does not know to wait for; with [`correlate`](Self::correlate) it waits for them.
///
/// A client's handshake does not wait for the upstream, unless the upstream is dialled [before](Self::before_accept)
/// the handshake is accepted.
#[derive(Debug)]
pub struct WebSocket {
    /// The key of this backend's upstream connections in a connection's state.
    id: u64,
    config: Arc<Config>,
}

impl WebSocket {
    /// Forwards to the server at a `ws` or `wss` URL. `wss` needs the cargo feature `tls`.
    ///
    /// This is the URL of the upstream's handshake. Its query comes first, followed by the forwarded parameters. A user
    /// and a password in it are sent as `Authorization: Basic`, as by [`Http`](crate::Http). Its path and its query may
    /// have placeholders for what a client sends in its handshake, by the rules of [`Http`](crate::Http#request):
    /// `{name}` is a parameter of the channel's path, `{?name}` a parameter of the query. If a placeholder cannot be
    /// filled in, messages are answered `bad_request` and the gateway does not dial. An invalid URL prevents the
    /// gateway from being served.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// let gateway = gateway!(channel("/rooms/{room}", WebSocket::connect("ws://chat:9000/v2/{room}")));
    /// # drop(gateway);
    /// ```
    pub fn connect(url: impl AsRef<str>) -> Self {
        let (target, mistakes) = match Target::parse(url.as_ref()) {
            Ok(target) => (target, Mistakes::default()),
            Err(mistake) => (Target::default(), vec![mistake].into()),
        };
        Self {
            id: next_id(),
            config: Arc::new(Config::new(target, mistakes)),
        }
    }

    fn change(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    fn relay(&self, connection: &Connection) -> Arc<Relay> {
        connection.state_of(self.id, || Arc::new(Relay::new(Arc::clone(&self.config))))
    }
}

impl<S: Sync> Backend<S> for WebSocket {
    async fn call(&self, req: Request, _state: &S) -> Result<Reply> {
        let relay = self.relay(req.connection());
        sending::forward(&relay, req.message().clone(), req.connection()).await
    }

    fn owes_reply(&self, req: &Request) -> bool {
        let Some(at) = &self.config.correlate else {
            return false;
        };
        // The parser may have found the id already; this saves a second search.
        req.id().is_some() || at.find(req.message()).is_some()
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        visit(self);
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        let codes =
            crate::schema::Codes::of(&super::CODES).and(&crate::schema::Codes::of(&["closing"]));
        let mut answers = crate::schema::Answers::unknown::<Self>(codes);
        let lost = (1011, "The connection to an upstream was lost.");
        answers.closes.push(lost);
        if self.config.close_on_failed_dial {
            let unreachable = (1014, "An upstream cannot be reached.");
            answers.closes.push(unreachable);
        }
        let forward = &self.config.forward;
        let template = self.config.target.template().into_iter();
        let query = template.flat_map(Template::of_queries);
        let query = query.chain(forward.query.iter().map(String::as_str));
        answers.passed_on = super::passed_on(forward.headers.of_handshakes(), query);
        for passed in &mut answers.passed_on {
            passed.is_required = forward.requires(passed);
        }
        to.answers(answers);
    }
}

impl Lifecycle for WebSocket {
    fn check(&self) -> Result<(), String> {
        let config = &self.config;
        config.mistakes.check()?;
        if config.max_connection_age.is_some() && config.reconnect.is_none() {
            return Err("`WebSocket`: `max_connection_age` needs `reconnect`".to_owned());
        }
        if config.target.has_credentials()
            && config.forward.headers.owns(&http::header::AUTHORIZATION)
        {
            return Err(super::credentials::TWICE.to_owned());
        }
        config.check_tls()
    }

    fn forwards(&self) -> Vec<String> {
        let forward = &self.config.forward;
        let headers = forward.headers.of_clients().map(ToString::to_string);
        let template = self.config.target.template();
        let of_url = template.into_iter().flat_map(|template| {
            let names = template.parameters().chain(template.of_queries());
            names.map(str::to_owned)
        });
        let of_query = forward.query.iter().cloned();
        headers.chain(of_query).chain(of_url).collect()
    }

    fn parameters(&self) -> Vec<String> {
        let template = self.config.target.template().into_iter();
        let names = template.flat_map(Template::parameters);
        names.map(str::to_owned).collect()
    }

    fn probe(&self, way: &Way) -> Option<Result<Probe, String>> {
        match way.path {
            Some(_) => None,
            None if self.config.target.template().is_some() => Some(Err(
                "the URL of this node depends on the client; use `HealthCheck::with`".to_owned(),
            )),
            None => Some(Ok(probe::probe(&self.config, way))),
        }
    }

    fn handshake(&self, parts: &Parts) -> Result<(), HandshakeError> {
        self.config.forward.check(&parts.uri, &parts.headers)
    }

    fn prepare(&self, connection: &Connection) -> Option<Preparing> {
        if !self.config.before_accept {
            return None;
        }
        let dialing = self.relay(connection).prepare(connection.clone());
        Some(Box::pin(async {
            dialing.await.map_err(|error| {
                tracing::debug!(error = %said(&error), "cannot connect to the upstream for a handshake");
                error.refusal()
            })
        }))
    }

    fn connected(&self, connection: &Connection) {
        if self.config.eager || self.config.before_accept {
            // An error here reaches the first message.
            let _ = sending::start(&self.relay(connection), connection);
        }
    }
}
