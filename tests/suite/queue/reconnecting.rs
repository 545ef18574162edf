//! Queues whose transport or broker fails.

use super::*;

/// A broker that can be switched off. It answers on its own unless it is told to stay silent.
#[derive(Clone)]
struct Fragile {
    on: watch::Sender<bool>,
    connects: Arc<AtomicUsize>,
    published: Arc<Mutex<Vec<CorrelationId>>>,
    answers: bool,
    keeps_replies: bool,
    /// Publishing takes a permit.
    gate: Arc<Semaphore>,
}

impl Fragile {
    fn new() -> Self {
        Self {
            on: watch::Sender::new(true),
            connects: Arc::default(),
            published: Arc::default(),
            answers: true,
            keeps_replies: false,
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    fn published(&self) -> usize {
        self.published.lock().expect("not poisoned").len()
    }
}

struct FragileSession(Fragile, Inbox);

impl Transport for Fragile {
    type Session = FragileSession;

    async fn connect(&self, inbox: Inbox) -> Result<FragileSession, BoxError> {
        self.connects.fetch_add(1, Ordering::SeqCst);
        if *self.on.borrow() {
            Ok(FragileSession(self.clone(), inbox))
        } else {
            Err("switched off".into())
        }
    }

    fn keeps_replies(&self) -> bool {
        self.keeps_replies
    }
}

impl Session for FragileSession {
    async fn publish(&self, message: Outgoing<'_>) -> Result<()> {
        let permit = self.0.gate.acquire().await;
        drop(permit.map_err(Error::internal)?);
        self.0
            .published
            .lock()
            .expect("not poisoned")
            .push(message.id);
        if self.0.answers {
            self.1.reply(message.id, message.message().clone());
        }
        Ok(())
    }

    async fn closed(&self) -> BoxError {
        let _ = self.0.on.subscribe().wait_for(|on| !on).await;
        "switched off".into()
    }
}

#[tokio::test]
async fn the_broker_is_connected_to_when_the_first_client_connects() {
    let broker = Fragile::new();
    let queue = Queue::new(broker.clone(), "orders");
    let server = serve(gateway!(channel("/", queue))).await;
    assert_eq!(broker.connects.load(Ordering::SeqCst), 0);
    for _ in 0..2 {
        let _client = server.connect("/").await;
        let connected = || broker.connects.load(Ordering::SeqCst) == 1;
        until("the broker is connected to", connected).await;
    }
}

#[tokio::test]
async fn a_queue_works_again_after_its_broker_returns() {
    let broker = Fragile::new();
    let queue = Queue::new(broker.clone(), "orders").publish_timeout(Duration::from_millis(20));
    let server = serve(gateway!(channel("/", errors = Json, queue.clone()))).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("before").await, "before");
    broker.on.send_replace(false);
    for _ in 0..3 {
        let reply = client.ask_json(json!("away")).await;
        assert_eq!(reply["error"]["code"], "upstream_unreachable");
    }
    broker.on.send_replace(true);
    // Longer than the pauses that the queue has reached by now.
    let patient = queue.clone().publish_timeout(Duration::from_secs(5));
    let server = serve(gateway!(channel("/", errors = Json, patient))).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("after").await, "after");
    assert_eq!(queue.pending(), 0);
}

/// Panics on its first connect, and in the next session once something is published.
struct Clumsy(Fragile);

struct ClumsySession(FragileSession, usize);

impl Transport for Clumsy {
    type Session = ClumsySession;

    async fn connect(&self, inbox: Inbox) -> Result<ClumsySession, BoxError> {
        let session = self.0.connect(inbox).await?;
        let nth = self.0.connects.load(Ordering::SeqCst);
        assert!(nth != 1, "on purpose");
        Ok(ClumsySession(session, nth))
    }
}

impl Session for ClumsySession {
    async fn publish(&self, message: Outgoing<'_>) -> Result<()> {
        self.0.publish(message).await
    }

    async fn closed(&self) -> BoxError {
        if self.1 > 2 {
            return self.0.closed().await;
        }
        until("it is published", || self.0.0.published() == 1).await;
        panic!("on purpose");
    }
}

#[tokio::test]
async fn a_transport_that_panics_is_connected_again() {
    let broker = Fragile {
        answers: false,
        ..Fragile::new()
    };
    let queue = Queue::new(Clumsy(broker.clone()), "orders");
    let server = serve(gateway!(channel("/", errors = Json, queue.clone()))).await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    assert_eq!(client.json().await["error"]["code"], "upstream_lost");
    client.send("y").await;
    until("it is published", || broker.published() == 2).await;
    let id = broker.published.lock().expect("not poisoned")[1];
    assert!(queue.inbox().reply(id, "fine"));
    assert_eq!(client.text().await, "fine");
}

/// Its first session ends at once, and panics when it is dropped.
struct Dying(Fragile);

struct DyingSession(FragileSession, bool);

impl Transport for Dying {
    type Session = DyingSession;

    async fn connect(&self, inbox: Inbox) -> Result<DyingSession, BoxError> {
        let session = self.0.connect(inbox).await?;
        let first = self.0.connects.load(Ordering::SeqCst) == 1;
        Ok(DyingSession(session, first))
    }
}

impl Session for DyingSession {
    async fn publish(&self, message: Outgoing<'_>) -> Result<()> {
        self.0.publish(message).await
    }

    async fn closed(&self) -> BoxError {
        match self.1 {
            true => "over".into(),
            false => self.0.closed().await,
        }
    }
}

impl Drop for DyingSession {
    fn drop(&mut self) {
        assert!(!self.1, "on purpose");
    }
}

#[tokio::test]
async fn a_session_that_panics_when_it_is_dropped_is_followed_by_another() {
    let queue = Queue::new(Dying(Fragile::new()), "orders");
    let server = serve(gateway!(channel("/", queue))).await;
    assert_eq!(server.connect("/").await.ask("fine").await, "fine");
}

#[tokio::test]
async fn a_request_waits_for_the_broker_as_long_as_it_may() {
    let broker = Fragile::new();
    broker.on.send_replace(false);
    let server = serve(gateway!(channel("/", Queue::new(broker.clone(), "orders")))).await;
    let mut client = server.connect("/").await;
    client.send("early").await;
    until("the broker was asked", || {
        broker.connects.load(Ordering::SeqCst) > 1
    })
    .await;
    broker.on.send_replace(true);
    assert_eq!(client.text().await, "early");
}

#[tokio::test]
async fn requests_fail_when_the_connection_for_their_replies_is_lost() {
    let broker = Fragile {
        answers: false,
        ..Fragile::new()
    };
    let queue = Queue::new(broker.clone(), "orders");
    let server = serve(gateway!(channel("/", errors = Json, queue.clone()))).await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    until("it is published", || broker.published() == 1).await;
    broker.on.send_replace(false);
    assert_eq!(client.json().await["error"]["code"], "upstream_lost");
}

#[tokio::test]
async fn requests_survive_a_lost_connection_if_the_broker_keeps_replies() {
    let broker = Fragile {
        answers: false,
        keeps_replies: true,
        ..Fragile::new()
    };
    let queue = Queue::new(broker.clone(), "orders");
    let server = serve(gateway!(channel("/", queue.clone()))).await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    until("it is published", || broker.published() == 1).await;
    broker.on.send_replace(false);
    client.silent().await;
    let id = broker.published.lock().expect("not poisoned")[0];
    // As the next session would do.
    assert!(queue.inbox().reply(id, "kept"));
    assert_eq!(client.text().await, "kept");
}

#[tokio::test]
async fn a_broker_that_accepts_nothing_makes_nothing_grow() {
    let broker = Fragile {
        gate: Arc::new(Semaphore::new(0)),
        ..Fragile::new()
    };
    let queue = Queue::new(broker.clone(), "orders")
        .max_pending(5)
        .publish_timeout(Duration::from_millis(50));
    let server = serve(gateway!(channel("/", errors = Json, queue.clone()))).await;
    let mut client = server.connect("/").await;
    for _ in 0..20 {
        client.send("x").await;
    }
    let mut overloaded = 0;
    for _ in 0..20 {
        let code = client.json().await["error"]["code"].clone();
        match code.as_str() {
            Some("overloaded") => overloaded += 1,
            code => assert_eq!(code, Some("upstream_lost")),
        }
        assert!(queue.pending() <= 5);
    }
    assert!(overloaded > 0);
    until("all places are free", || queue.pending() == 0).await;
    assert_eq!(broker.published(), 0);
    broker.gate.add_permits(10);
    assert_eq!(client.ask("again").await, "again");
}
