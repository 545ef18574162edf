//! Passes the OpenTelemetry trace context of the current span on to upstreams.

#[cfg(feature = "queue")]
use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::{SpanContext, TraceContextExt},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Injects the trace context of the current span with the global propagator, if the span context is valid.
pub(crate) fn inject(carrier: &mut dyn Injector) {
    let context = Span::current().context();
    if context.span().span_context().is_valid() {
        global::get_text_map_propagator(|propagator| propagator.inject_context(&context, carrier));
    }
}

/// The remote span that the headers of a handshake name. The result is invalid if they name none.
pub(crate) fn remote(headers: &HeaderMap) -> SpanContext {
    let context = global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &Handshake(headers))
    });
    context.span().span_context().clone()
}

/// Headers of an HTTP request. An existing value belongs to another span, so it is replaced.
pub(crate) struct HttpHeaders<'a>(pub(crate) &'a mut HeaderMap);

impl Injector for HttpHeaders<'_> {
    fn set(&mut self, name: &str, value: String) {
        let Ok(name) = HeaderName::try_from(name) else {
            return;
        };
        self.0.remove(&name);
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// Headers of a broker message, with the same rule.
#[cfg(feature = "queue")]
pub(crate) struct MessageHeaders<'a>(pub(crate) &'a mut Vec<(Cow<'static, str>, String)>);

#[cfg(feature = "queue")]
impl Injector for MessageHeaders<'_> {
    fn set(&mut self, name: &str, value: String) {
        self.0.retain(|(other, _)| other != name);
        if !value.is_empty()
            && wasabi_rules::queue_header(name).is_ok()
            && wasabi_rules::is_queue_header_value(&value)
        {
            self.0.push((Cow::Owned(name.to_owned()), value));
        }
    }
}

struct Handshake<'a>(&'a HeaderMap);

impl Extractor for Handshake<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
