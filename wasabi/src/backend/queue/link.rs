//! Keeps the session of a queue open: opens a new one whenever it has ended.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{Inbox, Session, Transport};
use crate::{
    BoxError, Error,
    backoff::{Backoff, Pauses},
    log::said,
    panics::{caught_future, discard},
};

/// Keeps a session open until it is dropped.
pub(super) struct SessionLink<S> {
    state: watch::Receiver<SessionState<S>>,
    _keeper: AbortOnDropHandle<()>,
}

enum SessionState<S> {
    Up(Arc<Up<S>>),
    /// No session, and the reason.
    Down(Arc<str>),
}

/// A session that was open when it was handed out.
pub(super) struct Up<S> {
    pub(super) session: S,
    lost: CancellationToken,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);

impl<S: Session> SessionLink<S> {
    pub(super) fn open<T: Transport<Session = S>>(transport: Arc<T>, inbox: Inbox) -> Self {
        let (sender, state) = watch::channel(SessionState::Down("not connected yet".into()));
        let keeper = tokio::spawn(keep(transport, inbox, sender));
        Self {
            state,
            _keeper: AbortOnDropHandle::new(keeper),
        }
    }

    /// Waits for an open session.
    pub(super) async fn up(&self) -> Result<Arc<Up<S>>, Error> {
        if let SessionState::Up(up) = &*self.state.borrow() {
            return Ok(Arc::clone(up));
        }
        let mut state = self.state.clone();
        match state
            .wait_for(|state| matches!(state, SessionState::Up(_)))
            .await
            .as_deref()
        {
            Ok(SessionState::Up(up)) => Ok(Arc::clone(up)),
            Ok(SessionState::Down(_)) | Err(_) => Err(Error::UpstreamUnreachable(self.down())),
        }
    }

    #[cfg(feature = "metrics")]
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), SessionState::Up(_))
    }

    /// The reason why there is no session.
    pub(super) fn down(&self) -> BoxError {
        match &*self.state.borrow() {
            SessionState::Up(_) => "the connection to the broker was replaced".into(),
            SessionState::Down(reason) => reason.to_string().into(),
        }
    }
}

impl<S> Up<S> {
    /// Waits for the end of the session.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

async fn keep<T: Transport>(
    transport: Arc<T>,
    inbox: Inbox,
    state: watch::Sender<SessionState<T::Session>>,
) {
    let mut pauses = backoff();
    loop {
        let connecting = timeout(CONNECT_TIMEOUT, transport.connect(inbox.clone()));
        let error = match caught_future(connecting)
            .await
            // Caught so that the keeper goes on: the next attempt may succeed.
            .unwrap_or_else(|_| Ok(Err(PANICKED.into())))
        {
            Ok(Ok(session)) => {
                let up = Arc::new(Up {
                    session,
                    lost: CancellationToken::new(),
                });
                tracing::debug!("connected to the broker");
                state.send_replace(SessionState::Up(Arc::clone(&up)));
                let (opened, matched) = (Instant::now(), inbox.matched());
                let error = caught_future(up.session.closed()).await;
                let error = error.unwrap_or_else(|_| PANICKED.into());
                state.send_replace(SessionState::Down(error.to_string().into()));
                up.lost.cancel();
                // A session that lasted or delivered replies shows that the broker is neither starting up nor refusing
                // the gateway.
                if opened.elapsed() > MAX_PAUSE || inbox.matched() > matched {
                    pauses = backoff();
                }
                // Usually this is the last reference, and the destructor is user code.
                discard(up);
                error
            }
            Ok(Err(error)) => error,
            Err(_) => "the broker did not accept a connection in time".into(),
        };
        let pause = pauses.next().unwrap_or(MAX_PAUSE);
        tracing::warn!(error = %said(&error), ?pause, "cannot connect to the broker");
        state.send_replace(SessionState::Down(error.to_string().into()));
        sleep(pause).await;
    }
}

fn backoff() -> Pauses {
    Backoff::exponential(MIN_PAUSE)
        .max_pause(MAX_PAUSE)
        .pauses()
}

const PANICKED: &str = "the transport panicked";

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{super::Outgoing, *};

    #[test]
    fn pauses_grow_up_to_the_longest_and_no_further() {
        let pauses: Vec<_> = backoff().take(50).collect();
        assert!(pauses[0] <= MIN_PAUSE && pauses[0] >= MIN_PAUSE / 2);
        assert!(pauses[49] >= MAX_PAUSE / 2);
        assert!(pauses.iter().all(|pause| *pause <= MAX_PAUSE));
    }

    /// A broker that accepts connections and ends them after a while.
    struct Flapping(Duration, Arc<AtomicUsize>);

    struct Session(Duration);

    impl Transport for Flapping {
        type Session = Session;

        async fn connect(&self, _inbox: Inbox) -> Result<Session, BoxError> {
            self.1.fetch_add(1, Ordering::SeqCst);
            Ok(Session(self.0))
        }
    }

    impl super::super::Session for Session {
        async fn publish(&self, _message: Outgoing<'_>) -> crate::Result<()> {
            Ok(())
        }

        async fn closed(&self) -> BoxError {
            sleep(self.0).await;
            "ended".into()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_ends_each_session_at_once_is_not_hammered() {
        let connects = Arc::default();
        let flapping = Flapping(Duration::ZERO, Arc::clone(&connects));
        let _link = SessionLink::open(Arc::new(flapping), Inbox::new());
        sleep(Duration::from_secs(120)).await;
        let connects = connects.load(Ordering::SeqCst);
        assert!((24..80).contains(&connects), "{connects}");
    }

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

    impl super::super::Session for Answering {
        async fn publish(&self, message: Outgoing<'_>) -> crate::Result<()> {
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
        let queue = super::super::Queue::new(Fragile(Arc::clone(&connects)), "orders");
        let client = crate::testing::request("order", "tea");
        for _ in 0..50 {
            let began = Instant::now();
            crate::Backend::call(&queue, client.clone(), &())
                .await
                .expect("a reply");
            assert!(began.elapsed() <= 2 * MIN_PAUSE);
            sleep(MIN_PAUSE / 10).await;
        }
        assert_eq!(connects.load(Ordering::SeqCst), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_lasted_is_replaced_at_once() {
        let connects = Arc::default();
        let flapping = Flapping(2 * MAX_PAUSE, Arc::clone(&connects));
        let _link = SessionLink::open(Arc::new(flapping), Inbox::new());
        sleep(100 * MAX_PAUSE).await;
        let connects = connects.load(Ordering::SeqCst);
        assert!(connects >= 49, "{connects}");
    }
}
