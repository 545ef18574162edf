//! The gateway that the clients come to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    time::sleep,
};
use wasabi::{Error, ServerHandle, prelude::*};

use super::upstreams::{Upstreams, garbage};

/// The requests that the gateway's functions have begun and ended.
#[derive(Debug, Default)]
pub(crate) struct Work {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Work {
    /// Nothing is under way.
    pub(crate) fn rests(&self) -> bool {
        self.begun.load(Ordering::Relaxed) == self.ended.load(Ordering::Relaxed)
    }
}

struct Working(Arc<Work>);

impl Working {
    fn begin(work: &Arc<Work>) -> Self {
        work.begun.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(work))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// The channel that waits four seconds for clients to read, and the one that waits as long as it does if nothing is set.
pub(crate) const HASTY: &str = "/";
pub(crate) const PATIENT: &str = "/patient";

/// Bytes of the reply of `large`.
pub(crate) const LARGE: usize = 256 * 1024;

/// What clients ask for that has one JSON message as its outcome, with their id in it: a reply, or an error.
pub(crate) const ASKED: [&str; 16] = [
    "echo",
    "slow",
    "fail",
    "http",
    "websocket",
    "nothing",
    "echo",
    "echo",
    "mute/http",
    "mute/websocket",
    "refused/http",
    "refused/websocket",
    "wire/http",
    "wire/websocket",
    "garbage/http",
    "garbage/queue",
];

// Long: one declaration.
pub(crate) fn gateway(registry: Registry, work: Arc<Work>, upstreams: &Upstreams) -> Gateway {
    let Upstreams {
        http,
        websocket,
        mute,
        refused,
        http_wire,
        websocket_wire,
        garbage: garbage_http,
        ..
    } = upstreams;
    gateway!(
        state = work,
        get("/readyz", readiness),
        channel(
            "/",
            registry = registry.clone(),
            parser = JsonKey::at("/do").id("/id"),
            concurrency = 10,
            ping = 5s,
            pong_timeout = 20s,
            send_timeout = 4s,
            middleware = [Timeout::new(20s)],
            match key {
                "echo" => async |State(work): State<Arc<Work>>, message: Message| {
                    let _working = Working::begin(&work);
                    message
                },
                "slow" => async |State(work): State<Arc<Work>>, message: Message| {
                    let _working = Working::begin(&work);
                    sleep(Duration::from_millis(5)).await;
                    message
                },
                "fail" => async |State(work): State<Arc<Work>>| -> Result<Message> {
                    let _working = Working::begin(&work);
                    Err(Error::new("refused", "on purpose"))
                },
                "large" => async |State(work): State<Arc<Work>>| {
                    let _working = Working::begin(&work);
                    vec![0; LARGE]
                },
                "http" => Http::post(format!("http://{http}/")),
                "websocket" => WebSocket::connect(format!("ws://{websocket}/")).correlate("/id"),
                "mute/http" => with([Timeout::new(300ms)], Http::post(format!("http://{mute}/"))),
                "mute/websocket" => with(
                    [Timeout::new(300ms)],
                    WebSocket::connect(format!("ws://{mute}/")).correlate("/id"),
                ),
                "refused/http" => Http::post(format!("http://{refused}/")),
                "refused/websocket" =>
                    WebSocket::connect(format!("ws://{refused}/")).correlate("/id"),
                "wire/http" => with(
                    [Timeout::new(2s)],
                    Http::post(format!("http://{}/", http_wire.addr)),
                ),
                "wire/websocket" => with(
                    [Timeout::new(2s)],
                    WebSocket::connect(format!("ws://{}/", websocket_wire.addr))
                        .correlate("/id")
                        .reconnect(Backoff::exponential(10ms).max_pause(100ms)),
                ),
                "garbage/http" => with(
                    [Timeout::new(2s)],
                    Http::post(format!("http://{garbage_http}/")),
                ),
                "garbage/queue" => garbage().timeout(300ms),
                _ => NoRoute,
            },
        ),
        channel("/patient", registry = registry, async || vec![0; LARGE]),
    )
}

/// The gateway in threads of its own, with nothing else in its runtime.
pub(crate) fn serve(gateway: Gateway) -> (Handle, ServerHandle) {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = Server::bind("127.0.0.1:0")
            .signals(false)
            .also_bind_proxied("127.0.0.1:0", ["127.0.0.1/32"])
            .http2_streams(100)
            .header_timeout(Duration::from_secs(2));
        let _ = tell.send((runtime.handle().clone(), server.handle()));
        runtime.block_on(server.serve(gateway)).expect("it serves");
    });
    told.recv().expect("the server starts")
}
