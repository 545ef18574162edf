//! Requests at the same time, and those that are given up.

use super::*;

/// A service whose requests stay in flight until the test releases them.
struct Gate {
    arrived: AtomicUsize,
    abandoned: AtomicUsize,
    open: Semaphore,
}

struct Abandoned(Arc<Gate>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.abandoned.fetch_add(1, Ordering::SeqCst);
    }
}

impl Gate {
    async fn upstream() -> (Arc<Self>, String) {
        let gate = Arc::new(Self {
            arrived: AtomicUsize::new(0),
            abandoned: AtomicUsize::new(0),
            open: Semaphore::new(0),
        });
        let service = Arc::clone(&gate);
        let handler = move || {
            let gate = Arc::clone(&service);
            async move {
                gate.arrived.fetch_add(1, Ordering::SeqCst);
                let guard = Abandoned(Arc::clone(&gate));
                gate.open.acquire().await.expect("never closed").forget();
                std::mem::forget(guard);
                "done"
            }
        };
        (gate, upstream(Router::new().fallback(handler)).await)
    }

    fn arrived(&self) -> usize {
        self.arrived.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn the_51st_request_to_a_host_waits() {
    let (gate, url) = Gate::upstream().await;
    let server = serve(gateway!(channel("/", concurrency = 60, Http::post(&url)))).await;
    let mut client = server.connect("/").await;
    for _ in 0..51 {
        client.send("x").await;
    }
    until("50 requests have arrived", || gate.arrived() == 50).await;
    client.silent().await;
    assert_eq!(gate.arrived(), 50);
    gate.open.add_permits(1);
    assert_eq!(client.text().await, "done");
    until("the 51st request has arrived", || gate.arrived() == 51).await;
    gate.open.add_permits(50);
    for _ in 0..50 {
        assert_eq!(client.text().await, "done");
    }
}

#[tokio::test]
async fn the_timeout_covers_the_wait_for_a_free_place() {
    let (gate, url) = Gate::upstream().await;
    let backend = Http::post(url).concurrency(1).timeout(1000 * MS);
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    client.send("held for the whole timeout").await;
    tokio::time::sleep(500 * MS).await;
    assert_eq!(gate.arrived(), 1);
    let sent = Instant::now();
    client.send("waits for half of its own").await;
    for _ in 0..2 {
        assert_eq!(client.text().await, "timed_out: no reply in time");
    }
    assert!(sent.elapsed() < 1400 * MS);
}

#[tokio::test]
async fn hosts_do_not_wait_for_each_other() {
    let (gate, url) = Gate::upstream().await;
    let free = upstream(Router::new().fallback(async || "free")).await;
    let backend = Http::with(move |req: &Request| {
        let is_free = req.message().as_text() == Some("free");
        Ok(HttpRequest::post(if is_free { &free } else { &url }))
    });
    let server = serve(gateway!(channel("/", backend.concurrency(1)))).await;
    let mut client = server.connect("/").await;
    client.send("held").await;
    client.send("waits").await;
    assert_eq!(client.ask("free").await, "free");
    assert_eq!(gate.arrived(), 1);
    gate.open.add_permits(2);
    for _ in 0..2 {
        assert_eq!(client.text().await, "done");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_call_of_the_upstream() {
    let (gate, url) = Gate::upstream().await;
    let server = serve(gateway!(channel("/", Http::post(&url)))).await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    until("the request has arrived", || gate.arrived() == 1).await;
    drop(client);
    until("the request is abandoned", || {
        gate.abandoned.load(Ordering::SeqCst) == 1
    })
    .await;
}
