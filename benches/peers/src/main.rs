//! Minimal servers for comparison with wasabi: `wasabi-bench-peers NAME --addr A [--upstream URL] [--tls FOLDER] [--threads N]`.

mod axum_ws;
mod broadcast;
mod calls;
mod cluster;
mod codec;
mod echo;
mod http_gateway;
mod libraries;
mod proxy;
mod tungstenite;
mod upstream;

use std::{env, error::Error, net::SocketAddr, path::PathBuf};

use tokio::net::TcpListener;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The options of the command line.
#[derive(Debug, Clone)]
pub(crate) struct Args {
    addr: SocketAddr,
    upstream: Option<String>,
    tls: Option<PathBuf>,
    threads: usize,
}

impl Args {
    fn upstream(&self) -> Result<&str, Failure> {
        self.upstream
            .as_deref()
            .ok_or_else(|| "`--upstream` is missing".into())
    }

    /// Listens with the same backlog as wasabi.
    fn listen(&self) -> Result<TcpListener, Failure> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(self.addr),
            socket2::Type::STREAM,
            None,
        )?;
        socket.set_reuse_address(true)?;
        socket.bind(&self.addr.into())?;
        socket.listen(1024)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from_std(socket.into())?)
    }
}

fn main() -> Result<(), Failure> {
    let mut words = env::args().skip(1);
    let name = words.next().ok_or("which server?")?;
    let (mut addr, mut upstream, mut tls, mut threads) = (None, None, None, 1);
    while let Some(word) = words.next() {
        let value = words
            .next()
            .ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--addr" => addr = Some(value.parse()?),
            "--upstream" => upstream = Some(value),
            "--tls" => tls = Some(value.into()),
            "--threads" => threads = value.parse()?,
            _ => return Err(format!("{word} is not known").into()),
        }
    }
    let args = Args {
        addr: addr.ok_or("`--addr` is missing")?,
        upstream,
        tls,
        threads,
    };
    match name.as_str() {
        // It has its own runtime.
        "actix-ws" => libraries::actix_ws(&args),
        "raw" => run(threads, codec::raw(args)),
        "own" => run(threads, codec::own(args)),
        "tungstenite" => run(threads, tungstenite::serve(args)),
        "tungstenite-tls" => run(threads, tungstenite::serve_tls(args)),
        "axum" => run(threads, axum_ws::as_people_write_it(args)),
        "axum-tuned" => run(threads, axum_ws::tuned(args)),
        "axum-routed" => run(threads, axum_ws::routed(args)),
        "fastwebsockets" => run(threads, libraries::fastwebsockets(args)),
        "tokio-websockets" => run(threads, libraries::tokio_websockets(args)),
        "sockudo-ws-deflate" => run(threads, libraries::sockudo_ws_deflate(args)),
        "sockudo-ws" => run(threads, libraries::sockudo_ws(args)),
        "http-reqwest" => run(threads, http_gateway::reqwest(args)),
        "http-reqwest-spawn" => run(threads, http_gateway::reqwest_spawning(args)),
        "http-hyper" => run(threads, http_gateway::hyper_util(args)),
        "http-bare" => run(threads, http_gateway::bare(args)),
        "proxy" => run(threads, proxy::one_task(args)),
        "proxy-split" => run(threads, proxy::two_tasks(args)),
        "broadcast-raw" => run(threads, broadcast::raw(args)),
        "broadcast-axum" => run(threads, broadcast::axum(args)),
        "calls-axum" => run(threads, calls::axum(args)),
        "calls-axum-plain" => run(threads, calls::axum_plain(args)),
        "jsonrpsee" => run(threads, calls::jsonrpsee(args)),
        "socketioxide" => run(threads, calls::socketioxide(args)),
        "socketioxide-redis" => run(threads, cluster::socketioxide(args)),
        "http-upstream" => run(threads, upstream::http(args)),
        _ => Err(format!("there is no server {name}").into()),
    }
}

/// Runs on a worker thread, like wasabi's gateway.
fn run(
    threads: usize,
    server: impl Future<Output = Result<(), Failure>> + Send + 'static,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?;
    runtime.block_on(async { tokio::spawn(server).await })?
}
