//! A gateway in front of an HTTP service, both in this program.
//!
//! Run `cargo run --example quickstart`, then paste the commands that it prints.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use axum::{Router, routing::post};
use clap::Parser;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wasabi::{Admin, prelude::*};

#[derive(Parser)]
#[command(about = "A WebSocket gateway in front of an HTTP service, both in this program")]
struct Args {
    /// Where the gateway listens; port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    addr: SocketAddr,
    /// Where the console listens, for you and not for clients.
    #[arg(long, default_value = "127.0.0.1:0")]
    admin_addr: SocketAddr,
    /// Where the HTTP service behind it listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    upstream_addr: SocketAddr,
}

#[derive(Deserialize, JsonSchema)]
struct Numbers {
    id: Value,
    values: Vec<f64>,
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    id: Value,
    sum: Value,
}

/// Adds numbers.
#[backend]
async fn sum(Json(numbers): Json<Numbers>) -> Json<Sum> {
    let sum: f64 = numbers.values.iter().sum();
    // Whole numbers are sent as integers.
    let whole = sum.fract() == 0.0 && sum.abs() < 2f64.powi(53);
    Json(Sum {
        id: numbers.id,
        sum: if whole { json!(sum as i64) } else { json!(sum) },
    })
}

async fn echo(message: Message) -> Message {
    message
}

/// Logs every request with its outcome.
#[middleware]
async fn log(req: Request, next: impl Next) -> Result<Reply> {
    let key = req.key().to_owned();
    let outcome = next.run(req).await;
    match &outcome {
        Ok(_) => println!("{key}: ok"),
        Err(error) => println!("{key}: {error}"),
    }
    outcome
}

/// The gateway, in front of the service at this URL.
pub(crate) fn gateway(upstream: &str) -> Gateway {
    gateway!(
        /// Is the process alive?
        get("/livez", async || "ok"),
        /// Is it ready for traffic? 503 while it drains.
        get("/readyz", readiness),
        /// Every message comes back unchanged.
        channel("/echo", echo),
        /// Requests with an action.
        channel(
            "/",
            parser = JsonKey::at("/action").id("/id"),
            middleware = [log, Timeout::new(5s)],
            match key {
                /// Adds the numbers in `values`.
                "sum" => sum,
                /// Asks the HTTP service for the time.
                "time" => Http::post(upstream),
                _ => NoRoute,
            },
        ),
    )
}

/// Plays the application behind the gateway: answers a POST with the time.
async fn application(axum::Json(request): axum::Json<Value>) -> axum::Json<Value> {
    let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
    axum::Json(json!({ "id": request["id"], "time": time.as_secs() }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();

    let upstream = tokio::net::TcpListener::bind(args.upstream_addr).await?;
    let url = format!("http://{}/time", upstream.local_addr()?);
    let service = Router::new().route("/time", post(application));
    tokio::spawn(async { axum::serve(upstream, service).await });

    let gateway = gateway(&url);
    let overview = gateway.describe().to_string();
    let server = Server::bind(args.addr).admin(Admin::bind(args.admin_addr).console());
    let handle = server.handle();
    tokio::spawn(async move {
        let (addr, admin) = (handle.addr().await, handle.admin_addr().await);
        println!("listening on ws://{addr} in front of {url}\n\n{overview}");
        println!("try it:");
        println!(
            "  npx wscat -c ws://{addr}/ -x '{{\"action\":\"sum\",\"id\":7,\"values\":[1,2,3]}}'"
        );
        println!("  npx wscat -c ws://{addr}/ -x '{{\"action\":\"time\",\"id\":8}}'");
        if let Some(admin) = admin {
            println!("or in a browser: http://{admin}/console");
        }
    });
    server.serve(gateway).await?;
    Ok(())
}
