//! Every state in which a request can be cancelled.

use std::sync::Mutex;

use futures_util::{StreamExt, stream};
use wasabi::{
    ErrorFormat,
    middleware::request::{CircuitBreaker, Measure, Measured, Throttle},
    prelude::*,
};
use wasabi_tests::{Gate, serve, soon, until};

use super::{Alive, cancelled, signed, ticks};

#[tokio::test]
async fn a_running_request_is_cancelled_by_its_id_and_answered_once() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(channel("/", parser = signed, move || {
        let held = held.clone();
        async move {
            held.pass().await;
            "done"
        }
    })))
    .await;
    let mut client = server.connect("/").await;
    client.send("+7 wait").await;
    client.send("+8 wait").await;
    until("both run", || gate.running() == 2).await;
    client.send("-7").await;
    assert_eq!(client.text().await, cancelled("7"));
    until("its future is dropped", || gate.running() == 1).await;
    client.send("-7").await;
    client.silent().await;
    gate.open.add_permits(2);
    assert_eq!(client.text().await, "done");
    client.silent().await;
}

#[tokio::test]
async fn an_id_that_is_not_in_flight_is_ignored() {
    let server = serve(gateway!(channel("/", parser = signed, async || "done"))).await;
    let mut client = server.connect("/").await;
    client.send("-7").await;
    assert_eq!(client.ask("+7 now").await, "done");
    client.send("-7").await;
    client.silent().await;
}

#[tokio::test]
async fn a_request_that_waits_for_a_slot_is_answered_and_never_started() {
    let gate = Gate::closed();
    let (held, started) = (gate.clone(), Alive::default());
    let starts = started.clone();
    let server = serve(gateway!(channel(
        "/",
        concurrency = 1,
        parser = signed,
        move |id: RequestId| {
            let held = held.clone();
            std::mem::forget(starts.one());
            async move {
                held.pass().await;
                format!("{id} done")
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for message in ["+1 a", "+2 a", "+3 a", "-2"] {
        client.send(message).await;
    }
    assert_eq!(client.text().await, cancelled("2"));
    gate.open.add_permits(2);
    assert_eq!(client.text().await, "1 done");
    assert_eq!(client.text().await, "3 done");
    assert_eq!(started.count(), 2);
}

#[tokio::test]
async fn another_connections_ids_are_out_of_reach() {
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
    let mut one = server.connect("/").await;
    let mut other = server.connect("/").await;
    assert_eq!(one.ask("+7 ticks").await, "7 0");
    assert_eq!(other.ask("+7 ticks").await, "7 0");
    assert_eq!(other.ask("-7").await, cancelled("7"));
    until("one source is dropped", || alive.count() == 1).await;
    gate.open.add_permits(1);
    assert_eq!(one.text().await, "7 1");
    other.silent().await;
}

#[tokio::test]
async fn every_request_with_the_id_ends() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(channel(
        "/",
        concurrency = 2,
        parser = signed,
        move || {
            let held = held.clone();
            async move { held.pass().await }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for _ in 0..3 {
        client.send("+7 wait").await;
    }
    until("two run", || gate.running() == 2).await;
    client.send("-7").await;
    for _ in 0..3 {
        assert_eq!(client.text().await, cancelled("7"));
    }
    until("none runs", || gate.running() == 0).await;
    client.silent().await;
}

#[tokio::test]
async fn a_cancelled_request_returns_its_permit_and_so_does_a_stream() {
    let (gate, alive) = (Gate::closed(), Alive::default());
    let (held, lives) = (gate.clone(), alive.clone());
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        middleware = [Throttle::new(1).wait(9s)],
        move |id: RequestId| {
            let ticks = ticks(id, held.clone(), &lives);
            async { Replies(ticks) }
        },
    )))
    .await;
    let mut one = server.connect("/").await;
    let mut other = server.connect("/").await;
    assert_eq!(one.ask("+1 ticks").await, "1 0");
    // It waits in the throttle, and is cancelled there.
    other.send("+2 ticks").await;
    other.silent().await;
    assert_eq!(other.ask("-2").await, cancelled("2"));
    // The stream holds the permit.
    other.send("+3 ticks").await;
    other.silent().await;
    assert_eq!(one.ask("-1").await, cancelled("1"));
    assert_eq!(other.text().await, "3 0");
    assert_eq!(alive.count(), 1);
}

#[tokio::test]
async fn a_drain_waits_no_longer_for_a_cancelled_request() {
    let (gate, alive) = (Gate::closed(), Alive::default());
    let lives = alive.clone();
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        move |id: RequestId| {
            let ticks = ticks(id, gate.clone(), &lives);
            async { Replies(ticks) }
        }
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("+7 ticks").await, "7 0");
    let alone = alive.count();
    server.handle.drain();
    // The connection learns of it in its own time.
    for id in 8.. {
        let answer = client.ask(&format!("+{id} ticks")).await;
        if answer.starts_with(&format!("{id} closing: ")) {
            break;
        }
        assert_eq!(
            client.ask(&format!("-{id}")).await,
            cancelled(&id.to_string())
        );
    }
    assert_eq!(alive.count(), alone);
    assert_eq!(client.ask("-7").await, cancelled("7"));
    assert_eq!(client.closed().await.0, 1012);
    assert_eq!(alive.count(), 0);
    assert!(server.ended().await.is_ok());
}

#[tokio::test]
async fn measurements_say_cancelled_and_breakers_do_not_count_it() {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let gate = Gate::closed();
    let held = gate.clone();
    let measure = Measure::new(|measured: Measured<'_>| {
        let code = measured.outcome.code().to_owned();
        TOLD.lock().expect("not poisoned").push(code);
    });
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        middleware = [measure, CircuitBreaker::new(2, 1min)],
        move |key: Key| {
            let held = held.clone();
            async move {
                if &*key == "wait" {
                    held.pass().await;
                }
                "done"
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for id in 0..20 {
        client.send(format!("+{id} wait")).await;
        until("it runs", || gate.running() == 1).await;
        let end = client.ask(&format!("-{id}")).await;
        assert_eq!(end, cancelled(&id.to_string()));
    }
    assert_eq!(*TOLD.lock().expect("not poisoned"), ["cancelled"; 20]);
    assert_eq!(client.ask("+21 now").await, "done");
}

#[tokio::test]
async fn an_error_format_may_keep_silent_about_it() {
    fn quiet(error: &wasabi::Error, _id: Option<&RequestId>) -> Option<String> {
        (error.code() != "cancelled").then(|| error.code().to_owned())
    }
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        concurrency = 1,
        errors = ErrorFormat::with(quiet),
        move || {
            let held = held.clone();
            async move {
                held.pass().await;
                "done"
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("+7 wait").await;
    until("it runs", || gate.running() == 1).await;
    client.send("-7").await;
    until("it is dropped", || gate.running() == 0).await;
    gate.open.add_permits(1);
    assert_eq!(client.ask("+8 wait").await, "done");
}

#[tokio::test]
async fn a_destructor_that_panics_ends_only_its_request() {
    struct Explosive(Gate);
    impl Drop for Explosive {
        fn drop(&mut self) {
            self.0.open.add_permits(1);
            panic!("a destructor");
        }
    }
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(channel("/", parser = signed, move |key: Key| {
        let held = held.clone();
        async move {
            if &*key == "wait" {
                let _explosive = Explosive(held);
                std::future::pending::<()>().await;
            }
            Replies(stream::once(async { "done" }).boxed())
        }
    })))
    .await;
    let mut client = server.connect("/").await;
    client.send("+7 wait").await;
    assert_eq!(client.ask("-7").await, cancelled("7"));
    drop(soon(gate.open.acquire()).await);
    assert_eq!(client.ask("+7 now").await, "done");
}
