//! R28: clients that keep a connection busy all the time. As many of them as there are worker threads must not delay a
//! client that asks only now and then, whatever work they cause.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use futures_util::stream;
use tokio::runtime::{Builder, Runtime};
use wasabi::{Compression, prelude::*};
use wasabi_tests::{
    Client, TestServer,
    raw::{self, frame},
    serve, soon, told,
};

/// A turn takes some milliseconds in a debug build on a busy machine; the fault tested for takes many seconds.
const SOON_ENOUGH: Duration = Duration::from_secs(2);

/// How many of the others' 32 KiB messages may be handled before the answer. A turn handles about four.
const LARGE: usize = 50;

/// A server with its own runtime, which the floods do not share.
struct Flooded {
    server: TestServer,
    runtime: Option<Runtime>,
    clients: Runtime,
    flooding: Vec<(TcpStream, JoinHandle<()>)>,
}

impl Flooded {
    /// Serves a gateway with two worker threads.
    fn new(gateway: Gateway) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            server: runtime.block_on(serve(gateway)),
            runtime: Some(runtime),
            clients: Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            flooding: Vec::new(),
        }
    }

    /// Sends the same bytes repeatedly, and reads whatever comes back.
    fn flood(&mut self, path: &str, headers: &str, bytes: &[u8]) {
        let opening = async { raw::open_with(&self.server, path, headers).await.into_std() };
        let stream = self.clients.block_on(opening).expect("a socket");
        stream.set_nonblocking(false).expect("a blocking socket");
        let [mut reads, mut writes] = [(); 2].map(|()| stream.try_clone().expect("a socket"));
        let many = bytes.repeat((1 << 18) / bytes.len() + 1);
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while matches!(reads.read(&mut buffer), Ok(1..)) {}
        });
        let writing = thread::spawn(move || while writes.write_all(&many).is_ok() {});
        self.flooding.push((stream, writing));
    }

    /// Asks now and then. Returns how long the longest answer took, and how many messages of others were handled before
    /// an answer, for nine in ten of them: the system may let this thread wait between counting and asking.
    fn longest_wait(&self, handled: &AtomicUsize) -> (Duration, usize) {
        // Until the floods have started.
        thread::sleep(Duration::from_millis(300));
        self.clients.block_on(async {
            let request = self.server.url("/calm");
            let start = Instant::now();
            let mut client = Client::connect(request).await.expect("handshake");
            let (mut longest, mut others) = (start.elapsed(), Vec::new());
            while start.elapsed() < Duration::from_secs(2) {
                let (asked, before) = (Instant::now(), handled.load(Relaxed));
                let when: usize = client.ask("?").await.parse().expect("a number");
                longest = longest.max(asked.elapsed());
                others.push(when - before);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            others.sort_unstable();
            (longest, others[others.len() * 9 / 10])
        })
    }
}

impl Drop for Flooded {
    fn drop(&mut self) {
        for (stream, _) in &self.flooding {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Counts handled messages, and answers with their number.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl Counter {
    fn count(&self) -> usize {
        self.0.fetch_add(1, Relaxed)
    }

    fn answer(&self) -> impl Fn(Text) -> std::future::Ready<String> + Send + Sync + 'static {
        let this = self.clone();
        move |_: Text| std::future::ready(this.0.load(Relaxed).to_string())
    }
}

/// Runs as many floods as there are workers.
fn calm_beside(gateway: Gateway, counter: &Counter, headers: &str, bytes: &[u8], most: usize) {
    let mut flooded = Flooded::new(gateway);
    for _ in 0..2 {
        flooded.flood("/", headers, bytes);
    }
    let (longest, others) = flooded.longest_wait(&counter.0);
    let mut floods = flooded.flooding.iter();
    assert!(
        floods.all(|(_, writing)| !writing.is_finished()),
        "a flood has ended"
    );
    assert!(longest < SOON_ENOUGH, "{longest:?}");
    assert!(others < most, "after {others} messages of others");
}

/// An array with many of these items, as large as a message may be.
fn array(item: &str) -> Vec<u8> {
    let items = vec![item; 32_700 / (item.len() + 1)];
    frame(0x81, format!("[{}]", items.join(",")).as_bytes())
}

#[test]
fn floods_of_texts_that_are_parsed_to_values_delay_nobody() {
    let counter = Counter::default();
    let gateway = gateway!(
        channel("/calm", counter.answer()),
        channel("/", {
            let counter = counter.clone();
            move |Json(value): Json<serde_json::Value>| {
                std::hint::black_box(value);
                counter.count();
                std::future::ready(())
            }
        }),
    );
    calm_beside(gateway, &counter, "", &array(r#"{"":[]}"#), LARGE);
}

#[test]
fn floods_of_texts_without_the_routing_key_delay_nobody() {
    let counter = Counter::default();
    let gateway = gateway!(
        channel("/calm", counter.answer()),
        channel("/", parser = JsonKey::at("/a").or("x"), {
            let counter = counter.clone();
            move |_: Message| {
                counter.count();
                std::future::ready(())
            }
        }),
    );
    calm_beside(gateway, &counter, "", &array("[]"), LARGE);
}

#[test]
fn floods_of_small_messages_delay_nobody() {
    let counter = Counter::default();
    let gateway = gateway!(
        channel("/calm", counter.answer()),
        channel("/", async |text: Text| text),
    );
    calm_beside(gateway, &counter, "", &frame(0x81, b"x"), 1);
}

#[test]
fn floods_of_empty_compressed_messages_delay_nobody() {
    let counter = Counter::default();
    let gateway = gateway!(
        channel("/calm", counter.answer()),
        channel("/", compression = Compression::deflate(), {
            let counter = counter.clone();
            move |_: Message| {
                counter.count();
                std::future::ready(())
            }
        }),
    );
    // The bytes that are not sent complete the last block (RFC 7692, section 7.2.1).
    let mut empty_blocks = [0, 0, 0, 0xff, 0xff].repeat(7000);
    empty_blocks.push(0);
    let offer = "sec-websocket-extensions: permessage-deflate\r\n";
    calm_beside(gateway, &counter, offer, &frame(0xc1, &empty_blocks), LARGE);
}

#[test]
fn floods_of_requests_with_many_replies_each_delay_nobody() {
    let counter = Counter::default();
    let gateway = gateway!(
        channel("/calm", counter.answer()),
        channel("/", compression = Compression::deflate(), {
            let counter = counter.clone();
            move |_: Text| {
                counter.count();
                std::future::ready(vec!["many replies ".repeat(100); 2000])
            }
        }),
    );
    let offer = "sec-websocket-extensions: permessage-deflate\r\n";
    calm_beside(gateway, &counter, offer, &frame(0x81, b"x"), LARGE);
}

#[test]
fn streams_that_never_end_delay_nobody() {
    let counter = Counter::default();
    let gateway = gateway!(
        channel("/calm", counter.answer()),
        channel("/", concurrency = 1000, async |_: Text| {
            Replies(stream::repeat("more".to_owned()))
        }),
    );
    calm_beside(gateway, &counter, "", &frame(0x81, b"x"), 1);
}

#[test]
fn an_upstream_that_floods_delays_nobody() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let upstream = runtime.block_on(serve(gateway!(channel("/", async |_: Text| {
        Replies(stream::repeat(r#"{"id":1}"#.to_owned()))
    }))));
    let counter = Counter::default();
    let gateway = gateway!(
        channel("/calm", counter.answer()),
        channel(
            "/",
            WebSocket::connect(upstream.url("/")).correlate("/no/such/id")
        ),
    );
    calm_beside(gateway, &counter, "", &frame(0x81, b"x"), 1);
    runtime.shutdown_background();
}

#[test]
fn the_many_replies_of_one_request_come_before_the_reply_of_the_next() {
    let gateway = gateway!(channel("/", async |text: Text| match &*text {
        "many" => vec!["one of many".to_owned(); 10_000],
        _ => vec!["next".to_owned()],
    }));
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let server = serve(gateway).await;
        let mut client = server.connect("/").await;
        client.send("many").await;
        client.send("next").await;
        for _ in 0..10_000 {
            assert_eq!(soon(client.text()).await, "one of many");
        }
        assert_eq!(client.text().await, "next");
    });
}

#[test]
fn the_credentials_of_a_client_that_never_stops_expire_too() {
    let (hook, mut told) = told();
    let brief =
        async |_: String| Ok::<_, Denied>(Identity::new(()).expires_in(Duration::from_millis(500)));
    let gateway = gateway!(channel(
        "/",
        http = [BearerAuth::new(brief)],
        on_disconnect = hook,
        close_timeout = 500ms,
        async |_: Message| {},
    ));
    let mut flooded = Flooded::new(gateway);
    // More at once than a turn handles.
    let many = frame(0x81, b"x").repeat(1000);
    flooded.flood("/", "authorization: Bearer abc\r\n", &many);
    let told = flooded.clients.block_on(async { soon(told.recv()).await });
    assert_eq!(told, Some(4401));
}
