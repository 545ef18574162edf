//! Cancelled streams and long replies.

use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{middleware::request::Throttle, prelude::*};
use wasabi_tests::{Client, Gate, serve, until};

use super::{Alive, cancelled, signed, ticks};

#[tokio::test]
async fn a_stream_ends_and_nothing_of_it_follows() {
    let (gate, alive) = (Gate::closed(), Alive::default());
    let (held, lives) = (gate.clone(), alive.clone());
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        move |id: RequestId| {
            let ticks = ticks(id, held.clone(), &lives);
            async { Replies(ticks) }
        }
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("+7 ticks").await, "7 0");
    assert_eq!(client.ask("+8 ticks").await, "8 0");
    client.send("-7").await;
    assert_eq!(client.text().await, cancelled("7"));
    until("its source is dropped", || alive.count() == 1).await;
    gate.open.add_permits(3);
    for n in 1..=3 {
        assert_eq!(client.text().await, format!("8 {n}"));
    }
}

#[tokio::test]
async fn a_cancellation_needs_no_slot() {
    let (gate, alive) = (Gate::closed(), Alive::default());
    let lives = alive.clone();
    let server = serve(gateway!(channel(
        "/",
        concurrency = 1,
        parser = signed,
        move |id: RequestId| {
            let ticks = ticks(id, gate.clone(), &lives);
            async { Replies(ticks) }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for id in 1..=100 {
        assert_eq!(client.ask(&format!("+{id} ticks")).await, format!("{id} 0"));
        assert_eq!(alive.count(), 1);
        let end = client.ask(&format!("-{id}")).await;
        assert_eq!(end, cancelled(&id.to_string()));
    }
}

#[tokio::test]
async fn the_rest_of_a_long_reply_is_not_sent() {
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        async |id: RequestId| {
            vec![vec![b'x'; 32 * 1024]; 2000]
                .into_iter()
                .map(move |data| match id.as_str() {
                    "7" => Message::Binary(data.into()),
                    _ => Message::text("other"),
                })
                .collect::<Vec<_>>()
        }
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("+7 long").await;
    for _ in 0..10 {
        client.binary().await;
    }
    client.send("-7").await;
    let mut more = 0;
    loop {
        match client.next().await {
            Frame::Binary(_) => more += 1,
            end => break assert_eq!(end.into_text().expect("text"), cancelled("7")),
        }
    }
    // The system's buffers are full of them.
    assert!(more < 1000, "{more} more messages of 32 KiB");
    client.silent().await;
    assert_eq!(client.ask("+8 other").await, "other");
}

/// More messages than a connection writes in one turn.
const LONG: usize = 300_000;

/// The texts after a long reply.
async fn after_long_reply(client: &mut Client, count: usize) -> Vec<String> {
    // One is read already.
    for _ in 1..LONG {
        assert_eq!(client.text().await, "long", "nothing is written in between");
    }
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(client.text().await);
    }
    client.silent().await;
    texts
}

#[tokio::test]
async fn a_cancellation_during_a_long_reply_spares_what_comes_after_it() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(channel("/", parser = signed, move |key: Key| {
        let held = held.clone();
        async move {
            match &*key {
                "long" => vec!["long"; LONG],
                "wait" => {
                    held.pass().await;
                    vec!["late"]
                }
                _ => vec!["new"],
            }
        }
    })))
    .await;
    let mut client = server.connect("/").await;
    client.send("+7 wait").await;
    until("it runs", || gate.running() == 1).await;
    assert_eq!(client.ask("+8 long").await, "long");
    client.send("-7").await;
    client.send("+7 new").await;
    let texts = after_long_reply(&mut client, 2).await;
    assert_eq!(texts, [cancelled("7"), "new".to_owned()]);
    assert_eq!(gate.running(), 0);
}

#[tokio::test]
async fn a_request_that_waits_behind_a_long_reply_is_cancelled_and_answered_after_it() {
    let server = serve(gateway!(channel(
        "/",
        concurrency = 1,
        parser = signed,
        async |key: Key| match &*key {
            "long" => vec!["long"; LONG],
            _ => vec!["new"],
        }
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("+8 long").await, "long");
    for message in ["+7 new", "+6 new", "-7", "-6", "+7 new"] {
        client.send(message).await;
    }
    let texts = after_long_reply(&mut client, 3).await;
    assert_eq!(texts, [cancelled("7"), cancelled("6"), "new".to_owned()]);
}

#[tokio::test]
async fn ten_thousand_streams_cancelled_by_id_leave_nothing() {
    const CLIENTS: usize = 10;
    const EACH: usize = 1000;
    const STREAMS: usize = CLIENTS * EACH;
    let (gate, alive) = (Gate::closed(), Alive::default());
    let (held, lives) = (gate.clone(), alive.clone());
    let server = serve(gateway!(channel(
        "/",
        concurrency = EACH,
        parser = signed,
        middleware = [Throttle::new(STREAMS)],
        move |id: RequestId| {
            let ticks = ticks(id, held.clone(), &lives);
            async { Replies(ticks) }
        },
    )))
    .await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(server.connect("/").await);
    }
    let runtime = tokio::runtime::Handle::current().metrics();
    let before = runtime.num_alive_tasks();
    for _ in 0..2 {
        for client in &mut clients {
            for id in 0..EACH {
                client.send(format!("+{id} ticks")).await;
            }
            for id in 0..EACH {
                assert_eq!(client.text().await, format!("{id} 0"));
            }
        }
        assert_eq!((alive.count(), gate.running()), (STREAMS, STREAMS));
        for client in &mut clients {
            for id in 0..EACH {
                client.send(format!("-{id}")).await;
            }
            for id in 0..EACH {
                assert_eq!(client.text().await, cancelled(&id.to_string()));
            }
        }
        assert_eq!((alive.count(), gate.running()), (0, 0));
        assert_eq!(runtime.num_alive_tasks(), before);
        // The second round needs every slot and every permit again.
    }
}
