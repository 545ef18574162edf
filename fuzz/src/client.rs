//! A client and a server at the two ends of a pipe, on one thread and on a clock that jumps.

use std::{cell::OnceCell, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncReadExt, DuplexStream},
    runtime::{Builder, Runtime},
    time,
};

use crate::frames::{self, Sent};

thread_local! {
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

/// Longer than every timeout of a channel. Time only goes by while nothing else can happen, so that something that
/// takes so long has hung.
const TOO_LONG: Duration = Duration::from_secs(600);

/// Runs something to its end, and panics when that does not come.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| {
        let runtime = runtime.get_or_init(|| {
            let mut builder = Builder::new_current_thread();
            let builder = builder.enable_time().start_paused(true);
            builder.build().expect("a runtime")
        });
        runtime.block_on(async { within(future).await })
    })
}

/// Waits for something that must come.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    time::timeout(TOO_LONG, future).await.expect("an end")
}

/// Serves a gateway to the other end of a pipe which holds so many bytes in each direction.
pub fn serve(router: &Router, capacity: usize) -> DuplexStream {
    let (client, server) = tokio::io::duplex(capacity);
    let service = TowerToHyperService::new(router.clone());
    let served = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    tokio::spawn(async move {
        // What a client sends may be anything: that is no error of this.
        let _ = served.with_upgrades().await;
    });
    client
}

/// Reads the head of a response. `None` at the end of the stream.
pub async fn head(stream: &mut DuplexStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).expect("a head of ASCII"))
}

/// Reads a server's frame. `None` at the end of the stream, within a frame too.
pub async fn frame(stream: &mut DuplexStream) -> Option<Sent> {
    let mut bytes = Vec::new();
    loop {
        bytes.push(stream.read_u8().await.ok()?);
        if let Some((sent, _)) = frames::server(&bytes) {
            return Some(sent);
        }
    }
}
