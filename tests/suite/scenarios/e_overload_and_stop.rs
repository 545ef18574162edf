//! A connection at its limit, and a process that is told to stop.

use std::{env, process::Command};

use axum::Router;
use tokio::sync::{mpsc, oneshot};
use wasabi::{Close, prelude::*, reqwest};
use wasabi_tests::{Client, example::Example, http_service, soon};

/// Tells the gateway's process its role, with the URL of its upstream.
const UPSTREAM: &str = "WASABI_SCENARIO_UPSTREAM";

/// The process that receives the signal.
async fn gateway(upstream: &str) {
    let registry = Registry::new();
    let gateway = gateway!(
        get("/readyz", readiness),
        channel(
            "/",
            concurrency = 10,
            registry = registry.clone(),
            on_disconnect = async |_: Connection, close: Close| println!("disconnected {close}"),
            Http::post(upstream),
        ),
    );
    let server = Server::bind("127.0.0.1:0");
    let handle = server.handle();
    tokio::spawn(async move { println!("listening on ws://{}", handle.addr().await) });
    server.serve(gateway).await.expect("a drain");
    println!("connections left: {}", registry.len());
}

// Long: one scenario.
#[tokio::test]
async fn the_eleventh_message_waits_and_sigterm_waits_for_the_reply_in_flight() {
    if let Ok(upstream) = env::var(UPSTREAM) {
        return gateway(&upstream).await;
    }

    // The upstream asks the test what to answer, and when.
    let (asks, mut asked) = mpsc::unbounded_channel();
    let url = http_service(Router::new().fallback(move |text: String| {
        let (answer, answered) = oneshot::channel::<String>();
        let _ = asks.send((text, answer));
        async { answered.await.unwrap_or_default() }
    }))
    .await;
    // Runs this test in its own process, where it is the gateway.
    let name = concat!(
        module_path!(),
        "::the_eleventh_message_waits_and_sigterm_waits_for_the_reply_in_flight"
    );
    let (_, name) = name
        .split_once("::")
        .expect("the name of the crate comes first");
    let mut command = Command::new(env::current_exe().expect("a path"));
    command
        .args(["--exact", name, "--nocapture"])
        .env(UPSTREAM, url);
    let process = Example::run(command, "ws://");
    let mut client = Client::connect(process.url()).await.expect("handshake");

    for n in 0..11 {
        client.send(n.to_string()).await;
    }
    let mut running = Vec::new();
    for _ in 0..10 {
        running.push(soon(asked.recv()).await.expect("a request"));
    }
    client.silent().await;
    assert!(asked.try_recv().is_err(), "the eleventh waits");
    let (text, answer) = running.remove(0);
    let _ = answer.send(text.clone());
    assert_eq!(client.text().await, text);
    let eleventh = soon(asked.recv()).await.expect("a request");
    assert_eq!(eleventh.0, "10");
    running.push(eleventh);
    for (text, answer) in running {
        let _ = answer.send(text.clone());
        assert_eq!(client.text().await, text);
    }

    client.send("the last").await;
    let (_, answer) = soon(asked.recv()).await.expect("a request");
    process.signal("TERM");
    let ready = process.url().replacen("ws", "http", 1) + "/readyz";
    let http = Http::client_builder().build().expect("a client");
    soon(async {
        let status = async || Ok::<_, reqwest::Error>(http.get(&ready).send().await?.status());
        while status().await.expect("an answer") != 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let refused = Client::connect(process.url()).await.err();
    assert_eq!(refused.expect("a refusal").status(), 503);
    let _ = answer.send("delivered".to_owned());
    assert_eq!(client.text().await, "delivered");
    assert_eq!(client.closed().await.0, 1012);

    let (status, printed) = process.end();
    assert!(status.success(), "{printed}");
    assert_eq!(printed.matches("disconnected").count(), 1, "{printed}");
    assert!(printed.contains("disconnected 1012"), "{printed}");
    assert!(printed.contains("connections left: 0"), "{printed}");
}
