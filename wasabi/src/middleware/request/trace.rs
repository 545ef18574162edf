//! A span for each request.

use tracing::{Instrument, Level, Span, field};

#[cfg(feature = "otel")]
use {
    crate::trace_context, opentelemetry::trace::Status, tracing_opentelemetry::OpenTelemetrySpanExt,
};

#[cfg(feature = "otel")]
use crate::Fault;
use crate::{Error, Middleware, Next, Reply, Request, Result, log::said, request::FailedSpan};

/// Puts each request into a [tracing](https://docs.rs/tracing) span.
///
/// The span is called `request`, has the level `INFO` and the fields
///
/// * `route`, as named by [`Request::route`],
/// * `connection`, its id,
/// * `id`, the client's id for the request, if there is one,
/// * `outcome`: `ok`, the code of the error, or `cancelled`, once it is known.
///
/// The span contains everything that is logged inside, by a backend, by other middleware or by what they call, and what
/// the gateway logs about a request that failed inside. Put it outermost to have all of it. The span closes when the
/// request ends, so it does not contain failures of a streaming reply after its start. Without a subscriber it costs
/// next to nothing.
///
/// ```
/// use wasabi::prelude::*;
///
/// async fn quote(text: Text) -> Text {
///     tracing::info!("logged with route, connection and id");
///     text
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     parser = JsonKey::at("/action").id("/id"),
///     middleware = [Trace::new()],
///     quote,
/// ));
/// # drop(gateway);
/// ```
#[cfg_attr(feature = "otel", doc = include_str!("trace/otel.md"))]
#[derive(Debug, Clone, Copy, Default)]
pub struct Trace {
    #[cfg(feature = "otel")]
    links_handshake: bool,
}

impl Trace {
    /// Creates a span for each request.
    pub const fn new() -> Self {
        Self {
            #[cfg(feature = "otel")]
            links_handshake: false,
        }
    }

    /// Links each span to the one named in the `traceparent` header of the client's handshake, if there is one.
    /// Requires the cargo feature `otel`.
    ///
    /// Off by default, because anyone can send any value in that header. It is a link and not a parent: a connection
    /// has many requests, over hours, which would all become one trace, and a parent would let the client decide which
    /// traces are kept. A link only records where a trace came from.
    #[cfg(feature = "otel")]
    #[must_use]
    pub const fn link_handshake(mut self) -> Self {
        self.links_handshake = true;
        self
    }

    fn span(&self, req: &Request) -> Span {
        #[cfg(not(feature = "otel"))]
        return tracing::span!(
            Level::INFO,
            "request",
            route = req.route(),
            connection = %req.connection().id(),
            id = req.id().map(|id| field::display(said(id))),
            outcome = field::Empty,
        );
        #[cfg(feature = "otel")]
        {
            let span = tracing::span!(
                Level::INFO,
                "request",
                otel.kind = "server",
                otel.name = req.route(),
                route = req.route(),
                connection = %req.connection().id(),
                id = req.id().map(|id| field::display(said(id))),
                outcome = field::Empty,
            );
            if self.links_handshake && !span.is_disabled() {
                span.add_link(trace_context::remote(req.connection().headers()));
            }
            span
        }
    }
}

impl Middleware for Trace {
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        let span = self.span(&req);
        let mut ending = Ending {
            failed: FailedSpan::of(&req, &span),
            span: span.clone(),
            is_known: false,
        };
        let outcome = next.run(req).instrument(span).await;
        #[cfg(feature = "otel")]
        if let Err(error) = &outcome
            && is_failure(error)
        {
            ending
                .span
                .set_status(Status::error(said(error).to_string()));
        }
        ending.record(outcome.as_ref().map_or_else(Error::code, |_| "ok"));
        if outcome.is_err() {
            ending.fail();
        }
        outcome
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::of(&[])
    }
}

/// Whether the gateway or an upstream failed, and not the client.
#[cfg(feature = "otel")]
fn is_failure(error: &Error) -> bool {
    error.fault() != Fault::Request
}

struct Ending {
    span: Span,
    /// Set if a subscriber records the span.
    failed: Option<FailedSpan>,
    is_known: bool,
}

impl Ending {
    fn record(&mut self, outcome: &str) {
        self.is_known = true;
        self.span.record("outcome", outcome);
    }

    fn fail(&mut self) {
        if let Some(failed) = self.failed.take() {
            failed.keep();
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.is_known {
            match std::thread::panicking() {
                true => {
                    self.record("internal");
                    self.fail();
                }
                false => self.record("cancelled"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use futures_util::FutureExt;
    use tracing_subscriber::fmt::format::FmtSpan;

    use super::*;
    use crate::{
        Backend, Envelope, Message, RequestId,
        middleware::Stack,
        request::Route,
        testing::{backend, connection},
    };

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_request_has_a_span_with_route_connection_id_and_outcome() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_span_events(FmtSpan::CLOSE)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let inner = backend(async |nth, _| {
                tracing::info!("inside");
                match nth {
                    0 => Ok(Reply::none()),
                    1 => Err(Error::NoRoute),
                    _ => std::future::pending().await,
                }
            });
            let chain = Stack::new(Trace::new(), inner);
            for id in [Some("7"), None, Some("\"a\"")] {
                let message = Message::text("x");
                let mut envelope = Envelope::from_static("k");
                if let Some(id) = id {
                    envelope = envelope.id(RequestId::new(id));
                }
                let parts = envelope.into_parts(&message);
                let mut req = Request::new(message, parts, &connection(3, "/"));
                req.set_route(Route { path: 0, name: "r" });
                let _ = chain.call(req, &()).now_or_never();
            }
        });
        let log = log.0.lock().expect("not poisoned");
        let log = String::from_utf8_lossy(&log);
        let expected = [
            "route=\"r\" connection=3 id=7}: wasabi::middleware::request::trace::tests: inside",
            "route=\"r\" connection=3 id=7 outcome=\"ok\"}",
            "route=\"r\" connection=3}: wasabi::middleware::request::trace::tests: inside",
            "route=\"r\" connection=3 outcome=\"no_route\"}",
            "route=\"r\" connection=3 id=\"a\"}: wasabi::middleware::request::trace::tests: inside",
            "route=\"r\" connection=3 id=\"a\" outcome=\"cancelled\"}",
        ];
        let lines: Vec<_> = log.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{log}");
        for (line, expected) in lines.into_iter().zip(expected) {
            assert!(line.contains(expected), "{line:?} has no {expected:?}");
        }
    }
}
