//! Servers that drain while clients send requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::Gateway;

use crate::{Client, TestServer, serve_with, soon, until, upstream::Got};

const CLIENTS: usize = 20;
/// The number of open requests per client.
const WINDOW: usize = 10;

fn question(id: usize) -> Value {
    json!({"do": "ask", "id": id})
}

/// Drains a server that echoes each message while clients send requests without a pause. The server must answer every
/// request that it has read, those that came too late with `closing`, and then close every connection with 1012.
pub async fn loses_nothing(server: TestServer) {
    let replies = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = server.connect("/").await;
        clients.spawn(ask_until_the_end(client, Arc::clone(&replies)));
    }
    until("they are at work", || {
        replies.load(Ordering::Relaxed) >= 20 * CLIENTS
    })
    .await;
    server.drain().await.expect("drained");
    let refused: usize = clients.join_all().await.into_iter().sum();
    eprintln!(
        "{} replies, {refused} refusals",
        replies.load(Ordering::Relaxed)
    );
}

/// Returns the number of requests that came too late.
async fn ask_until_the_end(mut client: Client, replies: Arc<AtomicUsize>) -> usize {
    let (mut sent, mut refused) = (0, 0);
    let mut outcomes: Vec<bool> = Vec::new();
    let mut ended = 0;
    let close = loop {
        while sent - ended < WINDOW {
            // After the end this fails, and the close frame is read below.
            let _ = client
                .socket
                .send(Frame::text(question(sent).to_string()))
                .await;
            outcomes.push(false);
            sent += 1;
        }
        let text = match soon(client.socket.next()).await {
            Some(Ok(Frame::Text(text))) => text,
            Some(Ok(Frame::Close(close))) => break close,
            Some(Ok(Frame::Ping(_))) => continue,
            other => panic!("expected a reply or a close frame, got {other:?}"),
        };
        let reply: Value = serde_json::from_str(&text).expect("JSON");
        let id = reply["id"].as_u64().expect("the id of a request") as usize;
        assert!(!outcomes[id], "a second outcome: {reply}");
        outcomes[id] = true;
        ended += 1;
        if reply == question(id) {
            replies.fetch_add(1, Ordering::Relaxed);
        } else {
            assert_eq!(reply["error"]["code"], "closing", "{reply}");
            refused += 1;
        }
    };
    assert_eq!(close.map(|close| close.code.into()), Some(1012_u16));
    // The server reads requests in order: if one without an outcome was not read, no later one was.
    assert!(outcomes[..ended].iter().all(|ended| *ended), "one was lost");
    refused
}

/// Drains a server that forwards each message to a [`ticker`](crate::upstream::ticker) while both sides send without a
/// pause. What it has read from a client must reach the upstream; later messages are answered `closing`. What it has
/// read from the upstream by then must reach the client. Both are closed with 1012.
pub async fn passes_on_what_it_has_read(
    server: TestServer,
    mut upstream: mpsc::UnboundedReceiver<Got>,
) {
    let ticks = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for name in 0..CLIENTS {
        let client = server.connect("/").await;
        clients.spawn(tell_until_the_end(client, name, Arc::clone(&ticks)));
    }
    until("they are at work", || {
        ticks.load(Ordering::Relaxed) >= 20 * CLIENTS
    })
    .await;
    server.drain().await.expect("drained");
    let refused = clients.join_all().await;
    for _ in 0..CLIENTS {
        let got = soon(upstream.recv())
            .await
            .expect("the end of a connection");
        assert_eq!(
            got.close,
            Some((1012, "the server is restarting".to_owned()))
        );
        let sent = |text: &String| serde_json::from_str(text).expect("JSON");
        let sent: Vec<Value> = got.texts.iter().map(sent).collect();
        let name = sent[0]["name"].as_u64().expect("a name") as usize;
        let passed_on = (0..sent.len()).map(|id| statement(name, id));
        assert!(sent.iter().cloned().eq(passed_on), "{sent:?}");
        let (_, refused) = refused
            .iter()
            .find(|(other, _)| *other == name)
            .expect("it");
        let later = sent.len()..sent.len() + refused.len();
        assert!(
            refused.iter().copied().eq(later),
            "{} of {refused:?}",
            sent.len()
        );
    }
}

fn statement(name: usize, id: usize) -> Value {
    json!({"do": "tell", "id": id, "name": name})
}

/// Returns the ids of the messages that came too late.
async fn tell_until_the_end(
    client: Client,
    name: usize,
    ticks: Arc<AtomicUsize>,
) -> (usize, Vec<usize>) {
    let (mut sender, mut receiver) = client.socket.split();
    let telling = tokio::spawn(async move {
        for id in 0.. {
            let told = sender.send(Frame::text(statement(name, id).to_string()));
            if told.await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let (mut next, mut refused) = (0_u64, Vec::new());
    let close = loop {
        let text = match soon(receiver.next()).await {
            Some(Ok(Frame::Text(text))) => text,
            Some(Ok(Frame::Close(close))) => break close,
            Some(Ok(Frame::Ping(_))) => continue,
            other => panic!("expected a message or a close frame, got {other:?}"),
        };
        let message: Value = serde_json::from_str(&text).expect("JSON");
        if message.is_number() {
            assert_eq!(message, next);
            next += 1;
            ticks.fetch_add(1, Ordering::Relaxed);
        } else {
            assert_eq!(message["error"]["code"], "closing", "{message}");
            refused.push(message["id"].as_u64().expect("an id") as usize);
        }
    };
    assert_eq!(close.map(|close| close.code.into()), Some(1012_u16));
    telling.abort();
    (name, refused)
}

/// Drains a server whose channel `/` never answers. At the deadline the server must answer every request `interrupted`,
/// close every connection with 1012, and end.
pub async fn ends_in_time(gateway: Gateway) {
    let limit = Duration::from_millis(300);
    let server = serve_with(gateway, |server| server.drain_timeout(limit)).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = server.connect("/").await;
        for id in 0..WINDOW {
            client.send(question(id).to_string()).await;
        }
        // Everything sent before a ping that is answered has been read.
        client.send(Frame::Ping("read?".into())).await;
        assert!(matches!(client.next().await, Frame::Pong(_)));
        clients.push(client);
    }
    let start = Instant::now();
    let draining = tokio::spawn(server.drain());
    for client in &mut clients {
        let mut open = [true; WINDOW];
        for _ in 0..WINDOW {
            let reply = client.json().await;
            assert_eq!(reply["error"]["code"], "interrupted", "{reply}");
            let id = reply["id"].as_u64().expect("the id of a request") as usize;
            assert!(std::mem::take(&mut open[id]), "a second outcome: {reply}");
        }
        let told = (1012, "the server is restarting".to_owned());
        assert_eq!(client.closed().await, told);
    }
    soon(draining).await.expect("ended").expect("drained");
    assert!(start.elapsed() >= limit);
}
