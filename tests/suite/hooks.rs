//! The hooks that run when a connection opens and when it has ended.

mod extractors;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, mpsc};
use wasabi::{Close, CloseCode, prelude::*};
use wasabi_tests::{serve, serve_with, soon, until};

#[tokio::test]
async fn on_connect_may_greet_before_the_first_message_is_read() {
    let server = serve(gateway!(channel(
        "/",
        on_connect = async |connection: Connection| {
            for n in 0..1000 {
                let _ = connection.send(n.to_string()).await;
            }
        },
        async |message: Message| message,
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("hello").await;
    for n in 0..1000 {
        assert_eq!(client.text().await, n.to_string());
    }
    assert_eq!(client.text().await, "hello");
}

#[tokio::test]
async fn on_connect_may_refuse_with_code_and_reason() {
    let registry = Registry::new();
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let server = serve(gateway!(channel(
        "/{tenant}",
        registry = registry.clone(),
        on_connect = async |connection: Connection| match connection.uri().path() {
            "/acme" => Ok(()),
            _ => Err(Close::new(CloseCode::new::<4404>(), "unknown tenant")),
        },
        on_disconnect = move |_: Connection, _: Close| {
            let count = count.clone();
            async move {
                count.fetch_add(1, Ordering::SeqCst);
            }
        },
        async |message: Message| message,
    )))
    .await;
    let mut refused = server.connect("/nobody").await;
    assert_eq!(refused.closed().await, (4404, "unknown tenant".to_owned()));
    let mut client = server.connect("/acme").await;
    assert_eq!(client.ask("hi").await, "hi");
    client.close(1000, "").await;
    until("both have gone", || registry.is_empty()).await;
    until("the admitted one is told of", || {
        ended.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test]
async fn on_disconnect_runs_once_with_code_and_reason() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = serve(gateway!(channel(
        "/",
        on_disconnect = move |connection: Connection, close: Close| {
            let tell = tell.clone();
            async move {
                tell.send((connection.id(), close.to_string())).unwrap();
            }
        },
        async |connection: Connection, text: Text| {
            if text == "close" {
                connection.close(Close::new(CloseCode::new::<4000>(), "from here"));
                connection.close(Close::new(CloseCode::new::<4999>(), "too late"));
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("close").await;
    assert_eq!(client.closed().await.0, 4000);
    let (first, close) = soon(told.recv()).await.unwrap();
    assert_eq!(close, "4000 \"from here\"");

    server.connect("/").await.close(3999, "from there").await;
    let (second, close) = soon(told.recv()).await.unwrap();
    assert_eq!(close, "3999 \"from there\"");
    assert_ne!(first, second);

    server.drain().await.unwrap();
    assert!(told.recv().await.is_none(), "nothing is told twice");
}

#[tokio::test]
async fn a_panic_in_a_hook_affects_only_its_connection() {
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/{what}",
        registry = registry.clone(),
        on_connect = async |connection: Connection| {
            assert!(connection.uri().path() != "/connect", "on purpose");
        },
        on_disconnect = async |connection: Connection, _: Close| {
            assert!(connection.uri().path() != "/disconnect", "on purpose");
        },
        async |message: Message| message,
    )))
    .await;
    assert_eq!(server.connect("/connect").await.closed().await.0, 1011);
    server.connect("/disconnect").await.close(1000, "").await;
    until("the registry is empty", || registry.is_empty()).await;
    assert_eq!(server.connect("/fine").await.ask("fine").await, "fine");
}

#[tokio::test]
async fn an_on_connect_that_hangs_is_closed_after_the_open_timeout() {
    let registry = Registry::new();
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let server = serve(gateway!(channel(
        "/{who}",
        registry = registry.clone(),
        open_timeout = 100ms,
        on_connect = async |connection: Connection| {
            if connection.uri().path() == "/hangs" {
                std::future::pending::<()>().await;
            }
        },
        on_disconnect = move |_: Connection, _: Close| {
            let count = count.clone();
            async move {
                count.fetch_add(1, Ordering::SeqCst);
            }
        },
        async |message: Message| message,
    )))
    .await;
    let mut client = server.connect("/hangs").await;
    client.send("never read").await;
    let told = (1011, "not admitted in time".to_owned());
    assert_eq!(client.closed().await, told);
    until("it has gone", || registry.is_empty()).await;
    // A client that takes part is not affected, even after that time.
    let mut client = server.connect("/works").await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(client.ask("hi").await, "hi");
    client.close(1000, "").await;
    until("it has gone", || registry.is_empty()).await;
    until("only the admitted one is told of", || {
        ended.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test]
async fn an_on_connect_that_hangs_does_not_delay_a_drain() {
    let server = serve(gateway!(channel(
        "/",
        on_connect = async |_: Connection| std::future::pending::<()>().await,
        async |message: Message| message,
    )))
    .await;
    let mut client = server.connect("/").await;
    server.handle.drain();
    assert_eq!(client.closed().await.0, 1012);
    server.ended().await.expect("drained");
}

#[tokio::test]
async fn an_on_disconnect_that_hangs_holds_no_place_and_ends_with_the_drain() {
    let hanging = Arc::new(Notify::new());
    let told = Arc::clone(&hanging);
    let gateway = gateway!(channel(
        "/",
        max_connections = 1,
        on_disconnect = move |_: Connection, _: Close| {
            let told = told.clone();
            async move {
                told.notify_one();
                std::future::pending::<()>().await;
            }
        },
        async |message: Message| message,
    ));
    let server = serve_with(gateway, |server| {
        let timeout = Duration::from_millis(200);
        server.max_sockets(1).drain_timeout(timeout)
    })
    .await;
    for _ in 0..3 {
        let client = server.connect("/").await;
        client.close(1000, "").await;
        soon(hanging.notified()).await;
    }
    server.drain().await.expect("drained");
}
