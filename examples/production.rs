//! A gateway for production: its settings come from a file, operators have a separate address with metrics, and SIGTERM
//! drains it. `examples/production` contains the environment: nginx, HAProxy, a container, Kubernetes, systemd, and a
//! Grafana dashboard of the metrics.
//!
//! `cargo run --example production -- examples/production/gateway.json`

use std::{error::Error, fs, path::PathBuf, time::Duration};

use clap::Parser;
use listenfd::ListenFd;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde::Deserialize;
use wasabi::{
    Admin, ServerConfig,
    middleware::{http::LimitClients, request::Measure},
    prelude::*,
};

#[derive(Parser)]
#[command(about = "A WebSocket gateway in front of an HTTP service")]
struct Args {
    /// The settings, in JSON.
    settings: PathBuf,
}

/// The content of the settings file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    server: ServerConfig,
    /// The networks of the proxies in front of the gateway.
    #[serde(default)]
    proxies: Vec<String>,
    /// The origins of the pages that may connect.
    #[serde(default)]
    origins: Vec<String>,
    /// The HTTP service that orders are sent to.
    orders: String,
}

async fn whoami(ip: ClientIp) -> String {
    ip.to_string()
}

/// The gateway with these settings.
pub(crate) fn gateway(settings: &Settings) -> Gateway {
    let orders = Http::post(&settings.orders)
        .timeout(Duration::from_secs(5))
        .forwarded_for();
    gateway!(
        http = [
            ClientIp::trusting(&settings.proxies),
            LimitClients::new().connections(50).handshakes_per_second(10),
        ],
        middleware = [Trace::new(), Measure::metrics()],
        /// Is the process alive?
        get("/livez", async || "ok"),
        /// Is it ready for traffic? 503 while it drains.
        get("/readyz", readiness),
        channel(
            "/v1",
            origins = &settings.origins,
            max_connections = 10_000,
            max_message_size = 16KiB,
            ping = 20s,
            parser = JsonKey::at("/do").id("/id"),
            middleware = [
                RateLimit::per_second(20).by(|req| req.connection().client_ip()),
                Timeout::new(10s),
            ],
            match key {
                /// Returns the client's address.
                "whoami" => whoami,
                /// Places an order.
                "order" => with([CircuitBreaker::new(5, 10s)], orders),
                _ => NoRoute,
            },
        ),
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let settings: Settings = serde_json::from_slice(&fs::read(&args.settings)?)?;
    let metrics = PrometheusBuilder::new().install_recorder()?;

    let mut server = Server::configured(&settings.server)?;
    // Also listens on the sockets that systemd has opened.
    let mut opened = ListenFd::from_env();
    for nth in 0..opened.len() {
        if let Some(listener) = opened.take_tcp_listener(nth)? {
            server = server.also_on(listener);
        }
    }
    let admin = settings.server.admin.as_deref().unwrap_or("127.0.0.1:9090");
    let server = server.admin(Admin::bind(admin).metrics(move || metrics.render()));
    let handle = server.handle();
    tokio::spawn(async move {
        for addr in handle.addrs().await {
            println!("listening on ws://{addr}");
        }
    });
    server.serve(gateway(&settings)).await?;
    Ok(())
}
