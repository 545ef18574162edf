use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{Backend, Result};

/// The longest of the first pauses between sessions.
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// A broker whose sessions end with the first reply.
struct Fragile(Arc<AtomicUsize>);

struct Answering(Inbox, CancellationToken);

impl Transport for Fragile {
    type Session = Answering;

    async fn connect(&self, inbox: Inbox) -> Result<Answering, BoxError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Answering(inbox, CancellationToken::new()))
    }
}

impl Session for Answering {
    async fn publish(&self, message: Outgoing<'_>) -> Result<()> {
        self.0.reply(message.id, "done");
        self.1.cancel();
        Ok(())
    }

    async fn closed(&self) -> BoxError {
        self.1.cancelled().await;
        "a reply that the client library could not read".into()
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_delivered_replies_is_replaced_at_once() {
    let connects = Arc::default();
    let queue = Queue::new(Fragile(Arc::clone(&connects)), "orders");
    let client = crate::testing::request("order", "tea");
    for _ in 0..50 {
        let began = Instant::now();
        let answered = Backend::call(&queue, client.clone(), &()).await;
        answered.expect("a reply");
        assert!(began.elapsed() <= 2 * MIN_PAUSE);
        sleep(MIN_PAUSE / 10).await;
    }
    assert_eq!(connects.load(Ordering::SeqCst), 50);
}
