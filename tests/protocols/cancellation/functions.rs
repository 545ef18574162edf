//! Functions that cancel requests with the extractor `InFlight`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use wasabi::{InFlight, prelude::*};
use wasabi_tests::{Gate, serve, soon, until};

use super::{Alive, cancelled, signed, ticks};

#[derive(Deserialize)]
struct Cancel {
    of: RequestId,
}

async fn cancel(Json(cancel): Json<Cancel>, in_flight: InFlight) -> Json<usize> {
    Json(in_flight.cancel(&cancel.of).await)
}

#[tokio::test]
async fn a_function_ends_a_stream_and_learns_that_it_did() {
    let (gate, alive) = (Gate::closed(), Alive::default());
    let lives = alive.clone();
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        match key {
            "ticks" => move |id: RequestId| {
                let ticks = ticks(id, gate.clone(), &lives);
                async { Replies(ticks) }
            },
            "cancel" => cancel,
            _ => NoRoute,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    let ask = |id| json!({"do": "ticks", "id": id}).to_string();
    assert_eq!(client.ask(&ask(json!("a"))).await, "\"a\" 0");
    assert_eq!(client.ask(&ask(json!(7))).await, "7 0");
    assert_eq!(client.ask(&ask(json!(7))).await, "7 0");
    for (of, ended) in [
        (json!("a"), 1),
        (json!(7), 2),
        (json!(7), 0),
        (json!("7"), 0),
    ] {
        client
            .send(json!({"do": "cancel", "of": of}).to_string())
            .await;
        for _ in 0..ended {
            let error = client.json().await;
            assert_eq!(
                (&error["id"], &error["error"]["code"]),
                (&of, &json!("cancelled"))
            );
        }
        assert_eq!(client.text().await, ended.to_string());
    }
    assert_eq!(alive.count(), 0);
    for of in [json!({}), json!([7]), json!(true)] {
        let refused = client.ask_json(json!({"do": "cancel", "of": of})).await;
        assert_eq!(refused["error"]["code"], "invalid_params");
    }
}

#[tokio::test]
async fn a_request_never_cancels_itself() {
    let (gate, alive) = (Gate::closed(), Alive::default());
    let lives = alive.clone();
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        match key {
            "ticks" => move |id: RequestId| {
                let ticks = ticks(id, gate.clone(), &lives);
                async { Replies(ticks) }
            },
            "end" => async |id: RequestId, in_flight: InFlight| {
                in_flight.cancel(&id).await.to_string()
            },
            _ => NoRoute,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("+7 end").await, "0");
    assert_eq!(client.ask("+7 ticks").await, "7 0");
    assert_eq!(client.ask("+7 end").await, cancelled("7"));
    assert_eq!(client.text().await, "1");
    assert_eq!(alive.count(), 0);
}

/// Hands each request's `InFlight` to the test.
fn handing_out() -> (
    impl Fn(InFlight) -> std::future::Ready<()> + Clone + Send + Sync + 'static,
    mpsc::UnboundedReceiver<InFlight>,
) {
    let (hand, handed) = mpsc::unbounded_channel();
    let function = move |in_flight| {
        let _ = hand.send(in_flight);
        std::future::ready(())
    };
    (function, handed)
}

#[tokio::test]
async fn a_task_cancels_a_stream_whose_client_reads_nothing() {
    let alive = Alive::default();
    let lives = alive.clone();
    let (hand_out, mut handed) = handing_out();
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        match key {
            "flood" => move || {
                let life = lives.one();
                async {
                    Replies(futures_util::stream::repeat_with(move || {
                        let _alive = &life;
                        vec![0; 64 * 1024]
                    }))
                }
            },
            _ => hand_out,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("+1 hand").await;
    let in_flight = soon(handed.recv()).await.expect("one");
    client.send("+7 flood").await;
    client.send("+8 flood").await;
    until("both flow", || alive.count() == 2).await;
    assert_eq!(soon(in_flight.cancel(&RequestId::new("7"))).await, 1);
    assert_eq!(alive.count(), 1);
    assert_eq!(soon(in_flight.cancel(&RequestId::new("8"))).await, 1);
    assert_eq!(alive.count(), 0);
    let mut ends = Vec::new();
    while ends.len() < 2 {
        if let tokio_tungstenite::tungstenite::Message::Text(text) = client.next().await {
            ends.push(text.to_string());
        }
    }
    assert_eq!(ends, [cancelled("7"), cancelled("8")]);
    client.silent().await;
}

#[tokio::test]
async fn a_reply_that_only_waits_for_its_client_goes_out() {
    const MIB: usize = 1 << 20;
    let gate = Gate::closed();
    let held = gate.clone();
    let (hand_out, mut handed) = handing_out();
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        match key {
            "fill" => async || Bytes::from(vec![b'x'; 12 * MIB]),
            "late" => move || {
                let held = held.clone();
                async move {
                    held.pass().await;
                    "done"
                }
            },
            _ => hand_out,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("+1 hand").await;
    let in_flight = soon(handed.recv()).await.expect("one");
    client.send("+7 late").await;
    client.send("+8 late").await;
    until("both run", || gate.running() == 2).await;
    client.send("+9 fill").await;
    // The client takes no more of this until it reads.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    gate.open.add_permits(1);
    until("one has its reply", || gate.running() == 1).await;
    let (done, running) = (RequestId::new("7"), RequestId::new("8"));
    assert_eq!(soon(in_flight.cancel(&done)).await, 0);
    assert_eq!(soon(in_flight.cancel(&running)).await, 1);
    assert_eq!(client.binary().await.len(), 12 * MIB);
    assert_eq!(client.text().await, "done");
    assert_eq!(client.text().await, cancelled("8"));
    client.silent().await;
}

#[tokio::test]
async fn a_task_may_end_the_request_that_spawned_it_or_a_later_one_in_its_slot() {
    let gate = Gate::closed();
    let held = gate.clone();
    let (hand, mut handed) = mpsc::unbounded_channel();
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        move |in_flight: InFlight| {
            let _ = hand.send(in_flight);
            let held = held.clone();
            async move { held.pass().await }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("+7 wait").await;
    let in_flight: InFlight = soon(handed.recv()).await.expect("one");
    for id in ["7", "8"] {
        assert_eq!(soon(in_flight.cancel(&RequestId::new(id))).await, 1);
        assert_eq!(client.text().await, cancelled(id));
        assert_eq!(gate.running(), 0);
        client.send("+8 wait").await;
        until("the next one runs", || gate.running() == 1).await;
    }
}

#[tokio::test]
async fn what_goes_on_after_its_client_is_cancelled_too() {
    let gate = Gate::closed();
    let held = gate.clone();
    let (hand_out, mut handed) = handing_out();
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        close_timeout = 1min,
        match key {
            "publish" => move || {
                let held = held.clone();
                async move { held.pass().await }
            },
            _ => hand_out,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("+1 hand").await;
    let in_flight = soon(handed.recv()).await.expect("one");
    client.send("+7 publish").await;
    client.send("+8 publish").await;
    until("both run", || gate.running() == 2).await;
    client.close(1000, "").await;
    assert_eq!(soon(in_flight.cancel(&RequestId::new("7"))).await, 1);
    assert_eq!(gate.running(), 1);
    assert_eq!(soon(in_flight.cancel(&RequestId::new("8"))).await, 1);
    until("none runs", || gate.running() == 0).await;
    // Nothing is left, and nothing waits for ever.
    assert_eq!(soon(in_flight.cancel(&RequestId::new("8"))).await, 0);
}

#[tokio::test]
async fn a_cancellation_whose_caller_has_gone_is_carried_out() {
    let gate = Gate::closed();
    let held = gate.clone();
    let (hand_out, mut handed) = handing_out();
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        match key {
            "wait" => move || {
                let held = held.clone();
                async move { held.pass().await }
            },
            _ => hand_out,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("+1 hand").await;
    let in_flight = Arc::new(soon(handed.recv()).await.expect("one"));
    client.send("+7 wait").await;
    until("it runs", || gate.running() == 1).await;
    let (polled, was_polled) = oneshot::channel();
    let id = RequestId::new("7");
    tokio::select! {
        biased;
        _ = in_flight.cancel(&id) => panic!("the connection's task has not run yet"),
        () = async { polled.send(()).expect("the test") } => {}
    }
    soon(was_polled).await.expect("polled");
    assert_eq!(client.text().await, cancelled("7"));
}
