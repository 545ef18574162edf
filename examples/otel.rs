//! A gateway whose traces continue in the HTTP service behind it. Both are in this program, which exports its spans to
//! a collector over OTLP.
//!
//! Run `cargo run -p wasabi-examples --example otel --features otel`, then paste the command that it prints. The
//! collector is the one at `OTEL_EXPORTER_OTLP_ENDPOINT`, by default `http://localhost:4318`.

use std::net::SocketAddr;

use axum::{Router, http::HeaderMap, routing::post};
use clap::Parser;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use serde_json::{Value, json};
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};
use wasabi::{prelude::*, rustls::crypto::ring};

#[derive(Parser)]
#[command(about = "A WebSocket gateway whose traces go on in the HTTP service behind it")]
struct Args {
    /// Where the gateway listens; port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    addr: SocketAddr,
    /// Where the HTTP service behind it listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    upstream_addr: SocketAddr,
}

/// The gateway, in front of the service at this URL.
pub(crate) fn gateway(upstream: &str) -> Gateway {
    gateway!(channel(
        "/",
        parser = JsonKey::at("/action").id("/id"),
        middleware = [Trace::new()],
        match key {
            "context" => Http::post(upstream),
            _ => NoRoute,
        },
    ))
}

/// Plays the application behind the gateway: answers with the trace context that would be the parent of its own spans.
async fn application(
    headers: HeaderMap,
    axum::Json(request): axum::Json<Value>,
) -> axum::Json<Value> {
    let context = headers.get("traceparent").map(|value| value.to_str());
    axum::Json(json!({ "id": request["id"], "traceparent": context.and_then(Result::ok) }))
}

/// Exports the spans of this program to a collector, and passes their context to upstreams.
fn export_traces() -> Result<SdkTracerProvider, Box<dyn std::error::Error>> {
    // The exporter's HTTP client needs a crypto provider, even for a collector without TLS.
    let _ = ring::default_provider().install_default();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .build()?;
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("gateway").build())
        .with_batch_exporter(exporter)
        .build();
    tracing_subscriber::registry()
        .with(tracing_subscriber::EnvFilter::new("info"))
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("gateway")))
        .init();
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    Ok(provider)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let traces = export_traces()?;

    let upstream = tokio::net::TcpListener::bind(args.upstream_addr).await?;
    let url = format!("http://{}/", upstream.local_addr()?);
    let service = Router::new().route("/", post(application));
    tokio::spawn(async { axum::serve(upstream, service).await });

    let server = Server::bind(args.addr);
    let handle = server.handle();
    tokio::spawn(async move {
        let addr = handle.addr().await;
        println!("listening on ws://{addr}\ntry it:");
        println!("  npx wscat -c ws://{addr}/ -x '{{\"action\":\"context\",\"id\":7}}'");
    });
    server.serve(gateway(&url)).await?;
    // Sends the remaining spans. It blocks, so it must not run on a thread that others need.
    tokio::task::spawn_blocking(move || traces.shutdown()).await??;
    Ok(())
}
