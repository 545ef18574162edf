//! What the gateway talks to, and how badly it behaves.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::post};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{sleep, timeout},
};
use wasabi::{BoxError, prelude::*, queue::CorrelationId};
use wasabi_tests::chaos::Chaos;

use super::clients::Dice;

pub(crate) struct Upstreams {
    /// An HTTP service that sends back what it gets.
    pub(crate) http: SocketAddr,
    /// A WebSocket server that does.
    pub(crate) websocket: SocketAddr,
    /// It accepts everybody, and never says anything.
    pub(crate) mute: SocketAddr,
    /// Nobody listens there.
    pub(crate) refused: SocketAddr,
    /// An HTTP service whose answers are none.
    pub(crate) garbage: SocketAddr,
    /// Bad lines to the first two.
    pub(crate) http_wire: Chaos,
    pub(crate) websocket_wire: Chaos,
    /// Keeps its port from everybody.
    _refused: Socket,
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

impl Upstreams {
    pub(crate) async fn start() -> Self {
        let (http_listener, http) = listen().await;
        let router = Router::new().route("/", post(async |body: String| body));
        tokio::spawn(async move { axum::serve(http_listener, router).await });
        let (listener, websocket) = listen().await;
        tokio::spawn(echo(listener));
        let (listener, mute) = listen().await;
        tokio::spawn(hold(listener));
        let (listener, garbage) = listen().await;
        tokio::spawn(talk_garbage(listener));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&any.into()).expect("a port");
        let refused = socket.local_addr().expect("an address");
        Self {
            http,
            websocket,
            mute,
            refused: refused.as_socket().expect("an address"),
            garbage,
            http_wire: Chaos::to(http).await,
            websocket_wire: Chaos::to(websocket).await,
            _refused: socket,
        }
    }

    /// Breaks the lines in one way after the other, for ever.
    pub(crate) async fn break_wires(&self) {
        let mut dice = Dice::new(7);
        loop {
            for wire in [&self.http_wire, &self.websocket_wire] {
                match dice.roll(6) {
                    0 => wire.half_open(),
                    1 => wire.cut(),
                    2 => wire.reset(),
                    3 => wire.refuse(),
                    4 => wire.throttle(100),
                    _ => wire.calm(),
                }
            }
            sleep(Duration::from_millis(100 + dice.roll(400) as u64)).await;
        }
    }
}

async fn echo(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                return;
            };
            while let Some(Ok(message)) = socket.next().await {
                if !message.is_close() && socket.send(message).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Reads to the end, and says nothing.
async fn hold(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
        });
    }
}

const GARBAGE: [&[u8]; 6] = [
    b"",
    b"no HTTP\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\n\xff\xfe\xfd\xfc",
    b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut off",
    b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nx",
    b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno",
];

async fn talk_garbage(listener: TcpListener) {
    for garbage in GARBAGE.iter().cycle() {
        let Ok((mut stream, _)) = listener.accept().await else {
            return;
        };
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(garbage).await;
            let _ = stream.shutdown().await;
            let rest = async { while matches!(stream.read(&mut [0; 1024]).await, Ok(1..)) {} };
            let _ = timeout(Duration::from_secs(5), rest).await;
        });
    }
}

/// A queue whose worker replies to nobody, to others, twice, too much, or what is no text; now and then it is right.
pub(crate) fn garbage() -> Queue<impl wasabi::queue::Transport> {
    let (tell, mut told) = tokio::sync::mpsc::channel(1024);
    let queue = Queue::callback(move |req: Request, id: CorrelationId| {
        let (tell, message) = (tell.clone(), req.message().clone());
        async move { tell.send((id, message)).await.map_err(BoxError::from) }
    });
    let inbox = queue.inbox();
    tokio::spawn(async move {
        let mut turn = 0;
        let too_much = Bytes::from(vec![b'x'; 8 << 20]);
        while let Some((id, message)) = told.recv().await {
            turn += 1;
            match turn % 6 {
                0 => inbox.reply("not an id", message),
                1 => inbox.reply("0".repeat(48), message),
                2 => inbox.reply_with(id, Some(b"text"), None, Bytes::from_static(b"\xff")),
                3 => inbox.reply_with(id, Some(b"\xff"), None, too_much.clone()),
                4 => false,
                _ => inbox.reply(id, message.clone()) && inbox.reply(id, message),
            };
        }
    });
    queue
}
