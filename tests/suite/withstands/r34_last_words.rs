//! R34: what a client has sent before it leaves is still carried out where no reply is owed.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{Gateway, prelude::*, queue::Memory};
use wasabi_tests::{Gate, TestServer, raw, serve, soon, told, until};

/// What a target has received, in order.
#[derive(Clone, Default)]
struct Got(Arc<Mutex<Vec<String>>>);

impl Got {
    fn push(&self, text: impl Into<String>) {
        self.0.lock().expect("no panic").push(text.into());
    }

    fn len(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }

    fn texts(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

/// A WebSocket server with a slow handshake; also returns the code that it is closed with.
async fn slow_to_open(got: &Got) -> (String, mpsc::UnboundedReceiver<u16>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let (tell, told) = mpsc::unbounded_channel();
    let got = got.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (got, tell) = (got.clone(), tell.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let accepted = tokio_tungstenite::accept_async(stream).await;
                let Ok(mut socket) = accepted else { return };
                while let Some(Ok(message)) = socket.next().await {
                    match message {
                        Frame::Text(text) => got.push(text.as_str()),
                        Frame::Close(Some(close)) => drop(tell.send(close.code.into())),
                        _ => {}
                    }
                }
            });
        }
    });
    (url, told)
}

/// Sends five messages and ends as told, in one write, so that they are read together.
async fn say_five_and_go(server: &TestServer, path: &str, end: End) {
    let mut stream = raw::open_at(server, path).await;
    let mut bytes = Vec::new();
    for n in 0..5 {
        bytes.extend(raw::frame(0x81, n.to_string().as_bytes()));
    }
    match end {
        End::Close => bytes.extend(raw::frame(0x88, &4000_u16.to_be_bytes())),
        End::HangUp => {}
        End::Mistake => bytes.extend(raw::frame(0x83, b"an opcode that nobody has defined")),
    }
    stream.write_all(&bytes).await.expect("write");
    match end {
        // The answer to the close frame, or to the mistake.
        End::Close | End::Mistake => {
            let mut answer = Vec::new();
            soon(stream.read_to_end(&mut answer))
                .await
                .expect("the end");
            assert!(!answer.is_empty());
        }
        End::HangUp => drop(stream),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    HangUp,
    Mistake,
}

const ENDS: [End; 3] = [End::Close, End::HangUp, End::Mistake];

fn five() -> Vec<String> {
    (0..5).map(|n: i32| n.to_string()).collect()
}

#[tokio::test]
async fn messages_sent_before_the_end_reach_an_upstream_that_is_still_being_dialled() {
    for end in ENDS {
        let got = Got::default();
        let (url, mut closed) = slow_to_open(&got).await;
        let server = serve(gateway!(channel("/", WebSocket::connect(url)))).await;
        say_five_and_go(&server, "/", end).await;
        until("all are there", || got.len() == 5).await;
        assert_eq!(got.texts(), five(), "{end:?}");
        let code = soon(closed.recv()).await.expect("a close frame");
        let expected = match end {
            End::Close => 4000,
            End::HangUp => 1001,
            End::Mistake => 1002,
        };
        assert_eq!(code, expected, "{end:?}");
    }
}

/// Through middleware that waits, a group of nodes and a match inside a match.
// Long: one case for each kind of target.
#[tokio::test]
async fn messages_sent_before_the_end_arrive_at_every_kind_of_target() {
    #[middleware]
    async fn waits(req: Request, next: impl Next) -> Result<Reply> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        next.run(req).await
    }
    for end in ENDS {
        let (got, broker) = (Got::default(), Memory::new());
        let (url, _closed) = slow_to_open(&got).await;
        let (other, _other_closed) = slow_to_open(&got).await;
        let worker_got = got.clone();
        let mut worker = broker.worker("jobs");
        tokio::spawn(async move {
            loop {
                let job = worker.next().await;
                worker_got.push(job.message().as_text().unwrap_or_default());
            }
        });
        let function_got = got.clone();
        let note = move |text: Text| {
            let got = function_got.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                got.push(text.as_str());
                Ok::<_, wasabi::Error>(())
            }
        };
        let server = serve(gateway!(
            concurrency = 2,
            middleware = [waits],
            channel(
                "/match",
                match key {
                    "binary" => async || "owed",
                    _ => match key {
                        "text" => with([Timeout::new(5s)], WebSocket::connect(&url)),
                        _ => NoRoute,
                    },
                },
            ),
            channel(
                "/balance",
                balance([
                    (1, WebSocket::connect(&url)),
                    (1, WebSocket::connect(&other))
                ]),
            ),
            channel("/queue", Queue::new(broker, "jobs").no_reply()),
            channel("/function", note),
        ))
        .await;
        for (n, path) in ["/match", "/balance", "/queue", "/function"]
            .into_iter()
            .enumerate()
        {
            say_five_and_go(&server, path, end).await;
            until("all are there", || got.len() == 5 * (n + 1)).await;
            let mut texts = got.texts().split_off(5 * n);
            texts.sort();
            assert_eq!(texts, five(), "{path} {end:?}");
        }
    }
}

/// More messages than there are slots and read-ahead places, and the client does not wait for an answer to its close
/// frame.
#[tokio::test]
async fn unread_messages_of_a_client_that_hangs_up_are_processed_too() {
    let (got, gate) = (Got::default(), Gate::closed());
    let (taken, held) = (got.clone(), gate.clone());
    let (hook, mut told) = told();
    let server = serve(gateway!(channel(
        "/",
        concurrency = 2,
        on_disconnect = hook,
        move |text: Text| {
            let (taken, held) = (taken.clone(), held.clone());
            async move {
                held.pass().await;
                taken.push(text.as_str());
            }
        },
    )))
    .await;
    let mut stream = raw::open(&server).await;
    for n in 0..100 {
        let frame = raw::frame(0x81, n.to_string().as_bytes());
        stream.write_all(&frame).await.expect("write");
    }
    let close = raw::frame(0x88, &4000_u16.to_be_bytes());
    stream.write_all(&close).await.expect("write");
    until("both slots are busy", || gate.running() == 2).await;
    drop(stream);
    // Nothing moves until the hang-up is noticed.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    gate.open.add_permits(100);
    until("all are there", || got.len() == 100).await;
    assert_eq!(soon(told.recv()).await, Some(4000));
}

#[tokio::test]
async fn requests_that_owe_a_reply_are_cancelled_with_their_client_and_others_are_not() {
    let (asked, told) = (Gate::closed(), Gate::closed());
    let (asks, tells) = (asked.clone(), told.clone());
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        parser = JsonKey::at("/do"),
        match key {
            "ask" => move || {
                let gate = asks.clone();
                async move {
                    gate.pass().await;
                    "answer"
                }
            },
            _ => move || {
                let gate = tells.clone();
                async move { gate.pass().await }
            },
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for key in ["ask", "tell"] {
        client.send(json!({ "do": key }).to_string()).await;
    }
    until("both run", || asked.running() + told.running() == 2).await;
    client.close(1000, "").await;
    until("the request is cancelled", || asked.running() == 0).await;
    assert_eq!((told.running(), registry.len()), (1, 1));
    told.open.add_permits(1);
    until("it has ended", || registry.is_empty()).await;
}

/// Messages with an id are requests that the upstream answers; the others are notifications.
#[tokio::test]
async fn a_correlated_upstream_gets_messages_that_need_no_answer() {
    let got = Got::default();
    let (url, _closed) = slow_to_open(&got).await;
    let server = serve(gateway!(channel(
        "/",
        WebSocket::connect(url).correlate("/id")
    )))
    .await;
    let mut client = server.connect("/").await;
    for message in [json!({"n": 1}), json!({"n": 2, "id": 7}), json!({"n": 3})] {
        client.send(message.to_string()).await;
    }
    client.close(1000, "").await;
    until("both are there", || got.len() == 2).await;
    assert_eq!(got.texts(), [r#"{"n":1}"#, r#"{"n":3}"#]);
}

/// Functions that run until they see the end of their connection, and `on_disconnect`, which waits for them no longer
/// than the close timeout.
#[tokio::test]
async fn requests_of_a_client_that_left_see_its_end_and_stop_at_the_close_timeout() {
    let (heard, order) = (Arc::new(Notify::new()), Got::default());
    let (hears, last) = (Arc::clone(&heard), order.clone());
    let server = serve(gateway!(channel(
        "/",
        close_timeout = 300ms,
        on_disconnect = move |_: Connection, _| {
            let last = last.clone();
            async move { last.push("disconnected") }
        },
        move |connection: Connection| {
            let hears = Arc::clone(&hears);
            async move {
                connection.closed().await;
                hears.notify_one();
                pending::<()>().await;
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("for ever").await;
    let start = Instant::now();
    client.close(1000, "").await;
    soon(heard.notified()).await;
    assert_eq!(order.len(), 0);
    until("it has ended", || order.len() == 1).await;
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_stop_cuts_requests_that_outlive_their_client() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(channel("/", move || {
        let held = held.clone();
        async move { held.pass().await }
    })))
    .await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    until("it runs", || gate.running() == 1).await;
    client.close(1000, "").await;
    let start = Instant::now();
    server.handle.stop();
    server.ended().await.expect("stopped");
    assert_eq!(gate.running(), 0);
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// There are at most as many as the connection's slots and what was read ahead.
#[tokio::test]
async fn requests_that_outlive_their_client_keep_the_concurrency_limit() {
    fn gateway(running: Arc<AtomicUsize>, most: Arc<AtomicUsize>) -> Gateway {
        gateway!(channel("/", concurrency = 3, move || {
            let (running, most) = (running.clone(), most.clone());
            async move {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                running.fetch_sub(1, Ordering::SeqCst);
            }
        }))
    }
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = serve(gateway(running.clone(), most.clone())).await;
    let mut client = server.connect("/").await;
    for _ in 0..15 {
        client.send("x").await;
    }
    client.close(1000, "").await;
    until("all have ended", || running.load(Ordering::SeqCst) == 0).await;
    assert_eq!(most.load(Ordering::SeqCst), 3);
}
