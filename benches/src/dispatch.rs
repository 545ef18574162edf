//! Gateways whose dispatcher is measured without sockets: chain, router and function, declared and written by hand.
//!
//! A middleware runs the rest of the chain as often as its message says, and replies with the elapsed nanoseconds.

// Long: the macro needs each of its 200 routes written out.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, runtime::Runtime};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use wasabi::prelude::*;

/// The name of a variant, and the function that makes it.
pub type Variant = (&'static str, fn() -> Gateway);

/// All variants.
pub const VARIANTS: [Variant; 6] = [
    ("1 route, 0 middlewares", routes_1_middlewares_0),
    ("16 routes, 0 middlewares", routes_16_middlewares_0),
    ("16 routes, 3 middlewares", routes_16_middlewares_3),
    ("16 routes, 3 middlewares, by hand", by_hand),
    ("16 routes, 6 middlewares", routes_16_middlewares_6),
    ("200 routes, 3 middlewares", routes_200_middlewares_3),
];

/// A client's connection.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A running gateway and a connection to it.
pub struct Dispatcher<'r> {
    runtime: &'r Runtime,
    socket: Socket,
    handle: wasabi::ServerHandle,
}

impl<'r> Dispatcher<'r> {
    /// Serves a gateway on the runtime.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub fn serve(runtime: &'r Runtime, gateway: Gateway) -> Self {
        let server = Server::bind("127.0.0.1:0").signals(false);
        let handle = server.handle();
        runtime.spawn(server.serve(gateway));
        let socket = runtime.block_on(open(&handle));
        Self {
            runtime,
            socket,
            handle,
        }
    }

    /// Opens more connections to the gateway.
    ///
    /// # Panics
    ///
    /// If the gateway does not accept them.
    pub fn connect(&self, count: usize) -> Vec<Socket> {
        (0..count)
            .map(|_| self.runtime.block_on(open(&self.handle)))
            .collect()
    }

    /// Measures how long it takes to dispatch a request `times` times.
    ///
    /// # Panics
    ///
    /// If the gateway does not answer.
    pub fn dispatch(&mut self, times: u64) -> Duration {
        self.runtime.block_on(async {
            let message = times.to_string().into();
            self.socket.send(message).await.expect("sent");
            loop {
                let reply = self.socket.next().await.expect("a reply").expect("a reply");
                // Skips broadcasts.
                if let Ok(nanos) = reply.into_text().expect("text").parse() {
                    return Duration::from_nanos(nanos);
                }
            }
        })
    }

    /// The address that the gateway listens on.
    pub fn addr(&self) -> SocketAddr {
        self.runtime.block_on(self.handle.addr())
    }

    /// Opens connections that send one message and close, one after the other, while `goes_on` is set.
    pub fn churn(&self, goes_on: Arc<AtomicBool>) -> impl Future<Output = ()> + Send + use<> {
        let handle = self.handle.clone();
        async move {
            while goes_on.load(Ordering::Relaxed) {
                let mut socket = open(&handle).await;
                let _ = socket.send("hello".into()).await;
                let _ = socket.next().await;
            }
        }
    }
}

async fn open(handle: &wasabi::ServerHandle) -> Socket {
    let url = format!("ws://{}/", handle.addr().await);
    connect_async(url).await.expect("the server listens").0
}

impl Drop for Dispatcher<'_> {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// Routes by a fixed key, whatever the message contains.
fn key(message: &Message) -> Result<Option<Envelope<'_>>> {
    let _ = message;
    Ok(Some(Envelope::from_static("route.007")))
}

#[middleware]
async fn repeat(req: Request, next: impl Next) -> Result<Reply> {
    let times: u64 = match req.message().as_text().map(str::parse) {
        Some(Ok(times)) => times,
        _ => return next.run(req).await,
    };
    let start = Instant::now();
    for _ in 0..times {
        std::hint::black_box(next.run(req.clone()).await)?;
    }
    Ok(Reply::message(start.elapsed().as_nanos().to_string()))
}

/// Looks at the request and at the reply, as middleware does.
#[middleware]
async fn look(req: Request, next: impl Next) -> Result<Reply> {
    std::hint::black_box(req.key().len());
    let reply = next.run(req).await;
    std::hint::black_box(reply.is_ok());
    reply
}

async fn echo(message: Message) -> Message {
    message
}

/// The same gateway as a single backend: nested calls, with a match in the innermost.
struct ByHand;

async fn outer(req: Request) -> Result<Reply> {
    std::hint::black_box(req.key().len());
    let reply = middle(req).await;
    std::hint::black_box(reply.is_ok());
    reply
}

async fn middle(req: Request) -> Result<Reply> {
    std::hint::black_box(req.key().len());
    let reply = inner(req).await;
    std::hint::black_box(reply.is_ok());
    reply
}

async fn inner(req: Request) -> Result<Reply> {
    std::hint::black_box(req.key().len());
    let reply = route(req).await;
    std::hint::black_box(reply.is_ok());
    reply
}

async fn route(req: Request) -> Result<Reply> {
    match req.key() {
        "route.000" => echo(req.message().clone()).await.into_reply(),
        "route.001" => echo(req.message().clone()).await.into_reply(),
        "route.002" => echo(req.message().clone()).await.into_reply(),
        "route.003" => echo(req.message().clone()).await.into_reply(),
        "route.004" => echo(req.message().clone()).await.into_reply(),
        "route.005" => echo(req.message().clone()).await.into_reply(),
        "route.006" => echo(req.message().clone()).await.into_reply(),
        "route.007" => echo(req.message().clone()).await.into_reply(),
        "route.008" => echo(req.message().clone()).await.into_reply(),
        "route.009" => echo(req.message().clone()).await.into_reply(),
        "route.010" => echo(req.message().clone()).await.into_reply(),
        "route.011" => echo(req.message().clone()).await.into_reply(),
        "route.012" => echo(req.message().clone()).await.into_reply(),
        "route.013" => echo(req.message().clone()).await.into_reply(),
        "route.014" => echo(req.message().clone()).await.into_reply(),
        _ => echo(req.message().clone()).await.into_reply(),
    }
}

impl<S: Sync> Backend<S> for ByHand {
    async fn call(&self, req: Request, _state: &S) -> Result<Reply> {
        outer(req).await
    }
}

fn by_hand() -> Gateway {
    gateway!(channel("/", parser = key, middleware = [repeat], ByHand))
}

fn routes_1_middlewares_0() -> Gateway {
    gateway!(channel(
        "/",
        parser = key,
        middleware = [repeat],
        match key {
            _ => match key {
                _ => echo,
            },
        },
    ))
}

fn routes_16_middlewares_0() -> Gateway {
    gateway!(channel(
        "/",
        parser = key,
        middleware = [repeat],
        match key {
            _ => match key {
                "route.000" => echo,
                "route.001" => echo,
                "route.002" => echo,
                "route.003" => echo,
                "route.004" => echo,
                "route.005" => echo,
                "route.006" => echo,
                "route.007" => echo,
                "route.008" => echo,
                "route.009" => echo,
                "route.010" => echo,
                "route.011" => echo,
                "route.012" => echo,
                "route.013" => echo,
                "route.014" => echo,
                _ => echo,
            },
        },
    ))
}

fn routes_16_middlewares_3() -> Gateway {
    gateway!(channel(
        "/",
        parser = key,
        middleware = [repeat],
        match key {
            _ => with(
                [look, look, look],
                match key {
                    "route.000" => echo,
                    "route.001" => echo,
                    "route.002" => echo,
                    "route.003" => echo,
                    "route.004" => echo,
                    "route.005" => echo,
                    "route.006" => echo,
                    "route.007" => echo,
                    "route.008" => echo,
                    "route.009" => echo,
                    "route.010" => echo,
                    "route.011" => echo,
                    "route.012" => echo,
                    "route.013" => echo,
                    "route.014" => echo,
                    _ => echo,
                }
            ),
        },
    ))
}

fn routes_16_middlewares_6() -> Gateway {
    gateway!(channel(
        "/",
        parser = key,
        middleware = [repeat],
        match key {
            _ => with(
                [look, look, look, look, look, look],
                match key {
                    "route.000" => echo,
                    "route.001" => echo,
                    "route.002" => echo,
                    "route.003" => echo,
                    "route.004" => echo,
                    "route.005" => echo,
                    "route.006" => echo,
                    "route.007" => echo,
                    "route.008" => echo,
                    "route.009" => echo,
                    "route.010" => echo,
                    "route.011" => echo,
                    "route.012" => echo,
                    "route.013" => echo,
                    "route.014" => echo,
                    _ => echo,
                }
            ),
        },
    ))
}

// Long: a route is a line.
fn routes_200_middlewares_3() -> Gateway {
    gateway!(channel(
        "/",
        parser = key,
        middleware = [repeat],
        match key {
            _ => with(
                [look, look, look],
                match key {
                    "route.000" => echo,
                    "route.001" => echo,
                    "route.002" => echo,
                    "route.003" => echo,
                    "route.004" => echo,
                    "route.005" => echo,
                    "route.006" => echo,
                    "route.007" => echo,
                    "route.008" => echo,
                    "route.009" => echo,
                    "route.010" => echo,
                    "route.011" => echo,
                    "route.012" => echo,
                    "route.013" => echo,
                    "route.014" => echo,
                    "route.015" => echo,
                    "route.016" => echo,
                    "route.017" => echo,
                    "route.018" => echo,
                    "route.019" => echo,
                    "route.020" => echo,
                    "route.021" => echo,
                    "route.022" => echo,
                    "route.023" => echo,
                    "route.024" => echo,
                    "route.025" => echo,
                    "route.026" => echo,
                    "route.027" => echo,
                    "route.028" => echo,
                    "route.029" => echo,
                    "route.030" => echo,
                    "route.031" => echo,
                    "route.032" => echo,
                    "route.033" => echo,
                    "route.034" => echo,
                    "route.035" => echo,
                    "route.036" => echo,
                    "route.037" => echo,
                    "route.038" => echo,
                    "route.039" => echo,
                    "route.040" => echo,
                    "route.041" => echo,
                    "route.042" => echo,
                    "route.043" => echo,
                    "route.044" => echo,
                    "route.045" => echo,
                    "route.046" => echo,
                    "route.047" => echo,
                    "route.048" => echo,
                    "route.049" => echo,
                    "route.050" => echo,
                    "route.051" => echo,
                    "route.052" => echo,
                    "route.053" => echo,
                    "route.054" => echo,
                    "route.055" => echo,
                    "route.056" => echo,
                    "route.057" => echo,
                    "route.058" => echo,
                    "route.059" => echo,
                    "route.060" => echo,
                    "route.061" => echo,
                    "route.062" => echo,
                    "route.063" => echo,
                    "route.064" => echo,
                    "route.065" => echo,
                    "route.066" => echo,
                    "route.067" => echo,
                    "route.068" => echo,
                    "route.069" => echo,
                    "route.070" => echo,
                    "route.071" => echo,
                    "route.072" => echo,
                    "route.073" => echo,
                    "route.074" => echo,
                    "route.075" => echo,
                    "route.076" => echo,
                    "route.077" => echo,
                    "route.078" => echo,
                    "route.079" => echo,
                    "route.080" => echo,
                    "route.081" => echo,
                    "route.082" => echo,
                    "route.083" => echo,
                    "route.084" => echo,
                    "route.085" => echo,
                    "route.086" => echo,
                    "route.087" => echo,
                    "route.088" => echo,
                    "route.089" => echo,
                    "route.090" => echo,
                    "route.091" => echo,
                    "route.092" => echo,
                    "route.093" => echo,
                    "route.094" => echo,
                    "route.095" => echo,
                    "route.096" => echo,
                    "route.097" => echo,
                    "route.098" => echo,
                    "route.099" => echo,
                    "route.100" => echo,
                    "route.101" => echo,
                    "route.102" => echo,
                    "route.103" => echo,
                    "route.104" => echo,
                    "route.105" => echo,
                    "route.106" => echo,
                    "route.107" => echo,
                    "route.108" => echo,
                    "route.109" => echo,
                    "route.110" => echo,
                    "route.111" => echo,
                    "route.112" => echo,
                    "route.113" => echo,
                    "route.114" => echo,
                    "route.115" => echo,
                    "route.116" => echo,
                    "route.117" => echo,
                    "route.118" => echo,
                    "route.119" => echo,
                    "route.120" => echo,
                    "route.121" => echo,
                    "route.122" => echo,
                    "route.123" => echo,
                    "route.124" => echo,
                    "route.125" => echo,
                    "route.126" => echo,
                    "route.127" => echo,
                    "route.128" => echo,
                    "route.129" => echo,
                    "route.130" => echo,
                    "route.131" => echo,
                    "route.132" => echo,
                    "route.133" => echo,
                    "route.134" => echo,
                    "route.135" => echo,
                    "route.136" => echo,
                    "route.137" => echo,
                    "route.138" => echo,
                    "route.139" => echo,
                    "route.140" => echo,
                    "route.141" => echo,
                    "route.142" => echo,
                    "route.143" => echo,
                    "route.144" => echo,
                    "route.145" => echo,
                    "route.146" => echo,
                    "route.147" => echo,
                    "route.148" => echo,
                    "route.149" => echo,
                    "route.150" => echo,
                    "route.151" => echo,
                    "route.152" => echo,
                    "route.153" => echo,
                    "route.154" => echo,
                    "route.155" => echo,
                    "route.156" => echo,
                    "route.157" => echo,
                    "route.158" => echo,
                    "route.159" => echo,
                    "route.160" => echo,
                    "route.161" => echo,
                    "route.162" => echo,
                    "route.163" => echo,
                    "route.164" => echo,
                    "route.165" => echo,
                    "route.166" => echo,
                    "route.167" => echo,
                    "route.168" => echo,
                    "route.169" => echo,
                    "route.170" => echo,
                    "route.171" => echo,
                    "route.172" => echo,
                    "route.173" => echo,
                    "route.174" => echo,
                    "route.175" => echo,
                    "route.176" => echo,
                    "route.177" => echo,
                    "route.178" => echo,
                    "route.179" => echo,
                    "route.180" => echo,
                    "route.181" => echo,
                    "route.182" => echo,
                    "route.183" => echo,
                    "route.184" => echo,
                    "route.185" => echo,
                    "route.186" => echo,
                    "route.187" => echo,
                    "route.188" => echo,
                    "route.189" => echo,
                    "route.190" => echo,
                    "route.191" => echo,
                    "route.192" => echo,
                    "route.193" => echo,
                    "route.194" => echo,
                    "route.195" => echo,
                    "route.196" => echo,
                    "route.197" => echo,
                    "route.198" => echo,
                    _ => echo,
                }
            ),
        },
    ))
}
