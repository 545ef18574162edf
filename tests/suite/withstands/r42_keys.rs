//! Keys that clients choose: what the gateway remembers of them does not grow with their size.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use wasabi::{Bytes, prelude::*};
use wasabi_tests::{Gate, serve, until};

/// A key of any size, with a count of those alive.
struct Key {
    bytes: Bytes,
    live: Arc<AtomicUsize>,
}

impl Key {
    fn of(req: &Request, live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Self {
            bytes: req.payload(),
            live: Arc::clone(live),
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn limits_and_caches_keep_no_key_that_a_client_chose() {
    let live = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let gate = Gate::closed();
    let [limits, throttles, caches] = live.clone();
    let reached = Arc::new(AtomicUsize::new(0));
    let patient = {
        let (gate, reached) = (gate.clone(), Arc::clone(&reached));
        move |_: Bytes| {
            let gate = gate.clone();
            reached.fetch_add(1, Ordering::SeqCst);
            async move {
                gate.pass().await;
                "done"
            }
        }
    };
    let server = serve(gateway!(channel(
        "/",
        middleware = [
            RateLimit::per_hour(1).by(move |req| Key::of(req, &limits)),
            Throttle::new(1).by(move |req| Key::of(req, &throttles)),
            Cache::new(1h).by(move |req| Some(Key::of(req, &caches))),
        ],
        patient,
    )))
    .await;
    let mut client = server.connect("/").await;
    let key = |n: usize| format!("{n}{}", "x".repeat(30_000));
    for n in 0..20 {
        client.send(key(n)).await;
    }
    until("all of them at the function", || {
        reached.load(Ordering::SeqCst) == 20
    })
    .await;
    // The requests are in flight, and counted.
    for live in &live {
        assert_eq!(live.load(Ordering::SeqCst), 0);
    }
    gate.open.add_permits(100);
    for _ in 0..20 {
        assert_eq!(client.text().await, "done");
    }
    assert!(client.ask(&key(3)).await.starts_with("rate_limited"));
    assert_eq!(client.ask(&key(20)).await, "done");
}

#[tokio::test]
async fn the_names_of_the_groups_of_a_connection_are_bounded_in_bytes() {
    let registry = Registry::new();
    let join = {
        let registry = registry.clone();
        move |name: Text, connection: Connection| {
            let joined = registry.join(&*name, &connection);
            async move { joined.to_string() }
        }
    };
    let server = serve(gateway!(channel("/", registry = registry.clone(), join))).await;
    let mut client = server.connect("/").await;
    let large = |n: usize| format!("{n}{}", "x".repeat(30_000));
    assert_eq!(client.ask(&large(1)).await, "true");
    assert_eq!(client.ask(&large(2)).await, "true");
    for n in 3..20 {
        assert_eq!(client.ask(&large(n)).await, "false");
    }
    assert_eq!(registry.groups().len(), 2);
    let connection = registry.connections().pop().expect("a connection");
    assert!(registry.leave(large(1), &connection));
    let mut joined = 0;
    while client.ask(&joined.to_string()).await == "true" {
        joined += 1;
    }
    assert!((400..1000).contains(&joined), "{joined} short names");
    // Another connection has its own room.
    assert_eq!(server.connect("/").await.ask("one").await, "true");

    let small = Registry::new().max_group_bytes(100);
    let alone = small.clone();
    let join = move |name: Text, connection: Connection| {
        let joined = alone.join(&*name, &connection);
        async move { joined.to_string() }
    };
    let server = serve(gateway!(channel("/", registry = small, join))).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("one").await, "true");
    assert_eq!(client.ask("two").await, "false");
}
