//! Spans as a program exports them, and the header that passes them to upstreams.

use opentelemetry::{KeyValue, Value, trace::TracerProvider as _};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData},
};
use tracing_subscriber::layer::SubscriberExt;

use crate::subscribed::Subscribed;

/// A program that exports its spans; here to memory, and for this thread only.
pub struct Exporting {
    spans: InMemorySpanExporter,
    _provider: SdkTracerProvider,
    _subscribed: Subscribed,
}

impl Exporting {
    /// Samples every trace.
    pub fn all() -> Self {
        Self::sampling(Sampler::AlwaysOn)
    }

    /// Samples some traces.
    pub fn sampling(sampler: Sampler) -> Self {
        let spans = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_simple_exporter(spans.clone())
            .build();
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("gateway"));
        let subscriber = tracing_subscriber::registry().with(layer);
        Self {
            spans,
            _provider: provider,
            _subscribed: Subscribed::new(subscriber),
        }
    }

    /// Returns every span that has ended.
    pub fn ended(&self) -> Vec<SpanData> {
        self.spans.get_finished_spans().expect("they are there")
    }

    /// Returns the ended span of the request with this id.
    pub fn of(&self, id: usize) -> SpanData {
        let mut found = self.ended();
        found.retain(|span| attribute(span, "id") == Some(id.to_string()));
        assert_eq!(found.len(), 1, "spans of the request {id}");
        found.remove(0)
    }
}

/// Returns the text of an attribute.
pub fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let find = |attribute: &&KeyValue| attribute.key.as_str() == name;
    let attribute = span.attributes.iter().find(find)?;
    match &attribute.value {
        Value::String(text) => Some(text.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

/// The header that an upstream must receive so that its spans become children of this one.
pub fn traceparent(span: &SpanData) -> String {
    let context = &span.span_context;
    format!("00-{}-{}-01", context.trace_id(), context.span_id())
}
