//! What must not allocate: counted by an allocator of this program's own.

// Long: the gateway that is measured, and a test for each way through it.

#[path = "allocations/counting.rs"]
mod counting;

use std::{hint::black_box, net::SocketAddr};

use flate2::{Compress, FlushCompress};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wasabi::{BoxBackend, JsonRpc, Params, Parser, RouteTable, prelude::*};

use counting::{ALLOCATIONS, HELD};

/// How many allocations `work` makes on this thread.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counting_allocator_counts() {
    assert_eq!(allocations(|| drop(black_box(Box::new(7)))), 1);
}

#[test]
fn reading_key_and_id_of_a_json_message_allocates_nothing() {
    let text = r#"{"req_id":"a-1","params":{"nested":{"deeper":[1,{"x":null}]},"text":"an \"escape\" \u00e4"},"action":"order.place"}"#;
    // As they come from the wire: in memory that is shared already.
    let shared = Bytes::from(text.to_owned());
    let _also_shared = shared.clone();
    let messages = [
        Message::Text(Text::try_from(shared.clone()).expect("UTF-8")),
        Message::Binary(shared),
    ];
    let parser = JsonKey::at("/action").id("/req_id");
    for message in &messages {
        let count = allocations(|| {
            for _ in 0..1000 {
                let envelope = parser.parse(black_box(message));
                assert!(matches!(black_box(envelope), Ok(Some(_))));
            }
        });
        assert_eq!(count, 0, "{message:?}");
    }
}

#[middleware]
async fn outer(req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

#[middleware]
async fn inner(
    connection: Connection,
    State(()): State<()>,
    req: Request,
    next: impl Next,
) -> Result<Reply> {
    drop(black_box(connection));
    next.run(req).await
}

async fn echo(message: Message) -> Message {
    message
}

/// Is pending several times before it replies.
async fn patient(message: Message) -> Message {
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
    message
}

/// The allocations of the thread that the server runs on.
async fn count() -> String {
    ALLOCATIONS.get().to_string()
}

async fn add(Params((one, other)): Params<(u64, u64)>) -> Json<u64> {
    Json(one + other)
}

/// The bytes that the thread that the server runs on has allocated and not freed.
async fn held() -> String {
    HELD.get().to_string()
}

mod module {
    use super::*;

    pub(super) fn routes() -> impl Routes {
        routes!(match key {
            "other" => count,
            "listed" => echo,
        })
    }

    pub(super) fn more() -> impl Routes {
        routes!(
            middleware = [outer],
            routes = [routes_inside()],
            match key {
                "more" => with(
                    [inner],
                    match key {
                        "never" => count,
                        _ => patient,
                    }
                ),
            }
        )
    }

    fn routes_inside() -> impl Routes {
        routes!(match key {
            "inside" => echo,
        })
    }
}

// Long: one declaration.
fn gateway(upstream: &str) -> Gateway {
    gateway!(
        channel(
            "/deflate",
            compression = Compression::deflate().threshold(32B),
            parser = JsonKey::at("/action"),
            match key {
                "count" => count,
                _ => echo,
            },
        ),
        channel("/held", held),
        channel(
            "/rpc",
            protocol = JsonRpc::new(),
            match key {
                "add" => add,
                "count" => count,
                _ => NoRoute,
            },
        ),
        channel(
            "/",
            parser = JsonKey::at("/action").id("/id"),
            middleware = [Timeout::new(5s), outer, inner],
            routes = [module::routes(), with([inner], module::more()),],
            match key {
                "count" => count,
                "patient" => patient,
                "limited" => with(
                    [
                        Trace::new(),
                        Measure::new(|measured| assert_eq!(measured.outcome.code(), "ok")),
                        Measure::metrics(),
                        Throttle::new(100),
                        Throttle::new(100).by(|req| req.connection().id()),
                        RateLimit::per_second(1_000_000).by(|req| req.connection().id()),
                        RateLimit::per_second(1_000_000),
                        Retry::new(Backoff::exponential(100ms).retries(3)),
                        CircuitBreaker::new(5, 10s),
                        Timeout::new(1s),
                    ],
                    balance([(1, echo), (2, patient)]),
                ),
                "forwarded" => WebSocket::connect(upstream),
                "correlated" => WebSocket::connect(upstream).correlate("/id"),
                "a1" => echo,
                "a2" => echo,
                "a3" => echo,
                "a4" => echo,
                "a5" => echo,
                "a6" => echo,
                "a7" => echo,
                "a8" => echo,
                "a9" => echo,
                "a10" => echo,
                "a11" => echo,
                "a12" => echo,
                "a13" => echo,
                "tabled" => RouteTable::new().route("tabled", BoxBackend::new(echo)),
                _ => echo,
            },
        ),
    )
}

#[test]
fn what_is_counted_here_is_a_gateway_with_the_feature_schema() {
    assert!(gateway("ws://upstream/").operations().len() > 20);
}

/// A gateway on a thread of its own, so that what the client allocates is not counted.
fn serve_on_a_thread(upstream: String) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            tell.send(wasabi_tests::serve(gateway(&upstream)).await.addr)
                .expect("somebody waits");
            std::future::pending::<()>().await;
        });
    });
    told.recv().expect("the server listens")
}

/// A WebSocket server that answers with what it gets.
async fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a socket");
            let mut socket = tokio_tungstenite::accept_async(stream)
                .await
                .expect("handshake");
            tokio::spawn(async move {
                while let Some(Ok(message)) = socket.next().await {
                    socket.send(message).await.expect("send");
                }
            });
        }
    });
    url
}

/// The allocations of the server while `rounds` times `batch` messages with this action are answered, from the
/// socket to the socket.
async fn allocations_on_the_wire(action: &str, batch: usize, rounds: usize) -> usize {
    let message = format!(r#"{{"action":"{action}","id":7,"text":"some more of it"}}"#);
    let asks = r#"{"action":"count"}"#;
    allocations_by_exchanges("", asks, (&message, &message), batch, rounds).await
}

/// The same for messages with these replies on a channel with a function that counts.
async fn allocations_by_exchanges(
    path: &str,
    asks: &'static str,
    (message, expected): (&str, &str),
    batch: usize,
    rounds: usize,
) -> usize {
    let url = format!("ws://{}/{path}", serve_on_a_thread(upstream().await));
    let (mut socket, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("handshake");
    let mut counts = Vec::new();
    // The first rounds open what the others use again. A queue grows when it is as full as it has never been, which may be
    // late: of three times the quietest one counts, in which what every message allocates would be seen all the same.
    for rounds in [100, rounds, rounds, rounds, 0] {
        for _ in 0..rounds {
            for _ in 0..batch {
                socket.feed(message.to_owned().into()).await.expect("send");
            }
            socket.flush().await.expect("send");
            for _ in 0..batch {
                let reply = socket.next().await.expect("a reply").expect("a reply");
                assert_eq!(reply.into_text().expect("text"), expected);
            }
        }
        socket.send(asks.into()).await.expect("send");
        let count = socket.next().await.expect("a reply").expect("a reply");
        let count = count.into_text().expect("text");
        // The last number, of a response of JSON-RPC too.
        let count = count.trim_end_matches('}').rsplit(':').next();
        counts.push(count.expect("a part").parse::<usize>().expect("a number"));
    }
    let mut made: Vec<_> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let asking = made.pop().expect("a last count");
    made.into_iter().min().expect("several counts") - asking
}

#[tokio::test]
async fn a_message_through_three_middlewares_and_a_router_of_16_keys_allocates_nothing() {
    assert_eq!(allocations_on_the_wire("a13", 1, 1000).await, 0);
}

#[tokio::test]
async fn sets_of_routes_and_matches_inside_each_other_allocate_nothing() {
    assert_eq!(allocations_on_the_wire("listed", 1, 1000).await, 0);
    assert_eq!(allocations_on_the_wire("inside", 1, 1000).await, 0);
    assert_eq!(allocations_on_the_wire("more", 16, 100).await, 0);
}

#[tokio::test]
async fn a_route_that_is_known_only_at_run_time_allocates_once() {
    assert_eq!(allocations_on_the_wire("tabled", 1, 1000).await, 1000);
}

#[tokio::test]
async fn sixteen_requests_in_flight_allocate_nothing_after_the_first_round() {
    assert_eq!(allocations_on_the_wire("patient", 16, 100).await, 0);
}

#[tokio::test]
async fn limits_measuring_and_balancing_allocate_nothing() {
    assert_eq!(allocations_on_the_wire("limited", 16, 100).await, 0);
}

#[tokio::test]
async fn forwarding_to_a_websocket_server_and_back_allocates_nothing() {
    assert_eq!(allocations_on_the_wire("forwarded", 1, 1000).await, 0);
    assert_eq!(allocations_on_the_wire("forwarded", 16, 100).await, 0);
}

#[tokio::test]
async fn matching_answers_of_a_websocket_server_by_id_allocates_nothing() {
    assert_eq!(allocations_on_the_wire("correlated", 1, 1000).await, 0);
}

#[tokio::test]
async fn a_large_message_is_read_and_written_without_an_allocation() {
    let text = "some more of it ".repeat(1000);
    let message = format!(r#"{{"action":"a1","id":7,"text":"{text}"}}"#);
    let asks = r#"{"action":"count"}"#;
    let count = allocations_by_exchanges("", asks, (&message, &message), 1, 100).await;
    assert_eq!(count, 0);
}

#[tokio::test]
async fn a_call_of_json_rpc_allocates_nothing_but_its_parameters() {
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"add","params":[3,4]}"#;
    let response = r#"{"jsonrpc":"2.0","id":7,"result":7}"#;
    let asks = r#"{"jsonrpc":"2.0","id":8,"method":"count"}"#;
    let count = allocations_by_exchanges("rpc", asks, (call, response), 1, 1000).await;
    assert_eq!(count, 0);
}

/// A WebSocket whose frames are written by hand, for tungstenite does not compress.
async fn open_compressed(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.expect("TCP connection");
    let request = "GET /deflate HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        sec-websocket-extensions: permessage-deflate\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    let head = String::from_utf8_lossy(&head);
    assert!(head.contains("permessage-deflate"), "{head}");
    stream
}

/// Sends a frame and returns the first byte and the payload of the one that comes back.
async fn ask_frame(stream: &mut TcpStream, first: u8, payload: &[u8]) -> (u8, Vec<u8>) {
    let mut frame = vec![first, 0x80 | 126];
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    stream.write_all(&frame).await.expect("write");
    let first = stream.read_u8().await.expect("a frame");
    let len = match stream.read_u8().await.expect("a length") {
        126 => usize::from(stream.read_u16().await.expect("a length")),
        short => usize::from(short),
    };
    let mut payload = vec![0; len];
    stream.read_exact(&mut payload).await.expect("a payload");
    (first, payload)
}

#[tokio::test]
async fn inflating_a_message_and_compressing_its_reply_allocates_nothing() {
    let mut stream = open_compressed(serve_on_a_thread(upstream().await)).await;
    let text = format!(
        r#"{{"action":"a","text":"{}"}}"#,
        "some more of it ".repeat(200)
    );
    let mut payload = Vec::with_capacity(10_000);
    let mut compress = Compress::new(flate2::Compression::best(), false);
    compress
        .compress_vec(text.as_bytes(), &mut payload, FlushCompress::Sync)
        .expect("it compresses");
    payload.truncate(payload.len() - 4);
    let mut counts = Vec::new();
    for rounds in [10, 1000, 0] {
        for _ in 0..rounds {
            let (first, reply) = ask_frame(&mut stream, 0xc1, &payload).await;
            assert!(first == 0xc1 && reply.len() < text.len() / 5);
        }
        let (first, count) = ask_frame(&mut stream, 0x81, br#"{"action":"count"}"#).await;
        assert_eq!(first, 0x81);
        let count = String::from_utf8(count).expect("text");
        counts.push(count.parse::<usize>().expect("a number"));
    }
    let asking = counts[2] - counts[1];
    assert_eq!(counts[1] - counts[0] - asking, 0);
}

/// With all features, in a debug build. The allocator's rounding comes on top.
#[tokio::test]
async fn an_idle_connection_holds_little_memory() {
    const CONNECTIONS: usize = 500;
    let addr = serve_on_a_thread(upstream().await);
    let connect = async || {
        let url = format!("ws://{addr}/held");
        let connected = tokio_tungstenite::connect_async(url).await;
        let (mut client, _) = connected.expect("a connection");
        client.send("x".into()).await.expect("sent");
        let held = client.next().await.expect("a reply").expect("a message");
        let held: isize = held.to_text().expect("text").parse().expect("a number");
        (client, held)
    };
    // What is allocated once.
    let (_first, before) = connect().await;
    let mut clients = Vec::new();
    let mut held = before;
    for _ in 0..CONNECTIONS {
        let (client, now) = connect().await;
        clients.push(client);
        held = now;
    }
    let each = (held - before) / CONNECTIONS as isize;
    assert!((1000..2000).contains(&each), "{each} bytes");
}
