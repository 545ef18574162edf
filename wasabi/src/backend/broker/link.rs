//! Keeps a session with a broker open: opens a new one whenever it has ended.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    BoxError, Error,
    backoff::{Backoff, Pauses},
    log::said,
    panics::{caught_future, discard},
};

/// Keeps a session open until it is dropped.
pub(crate) struct SessionLink<S> {
    state: watch::Receiver<SessionState<S>>,
    _keeper: AbortOnDropHandle<()>,
}

enum SessionState<S> {
    Up(Arc<Up<S>>),
    /// No session, and the reason.
    Down(Arc<str>),
}

/// A session that was open when it was handed out.
pub(crate) struct Up<S> {
    pub(crate) session: S,
    lost: CancellationToken,
    given_up: CancellationToken,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Opens the sessions of a link, for a queue or a cluster.
pub(crate) trait Opens: Send + Sync + 'static {
    type Session: Send + Sync + 'static;

    /// Opens a session. An attempt that takes longer than 10 s is dropped and repeated.
    fn open(&self) -> impl Future<Output = Result<Self::Session, BoxError>> + Send;

    /// Waits for the end of a session and returns the reason.
    fn ended(session: &Self::Session) -> impl Future<Output = BoxError> + Send;

    /// A number that grows when a session is of use. Such a session is replaced without a growing pause.
    fn served(&self) -> u64;
}

impl<S: Send + Sync + 'static> SessionLink<S> {
    pub(crate) fn open(opens: impl Opens<Session = S>) -> Self {
        let (sender, state) = watch::channel(SessionState::Down("not connected yet".into()));
        let keeper = tokio::spawn(keep(opens, sender));
        Self {
            state,
            _keeper: AbortOnDropHandle::new(keeper),
        }
    }

    /// Waits for an open session.
    pub(crate) async fn up(&self) -> Result<Arc<Up<S>>, Error> {
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

    pub(crate) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), SessionState::Up(_))
    }

    /// The reason why there is no session.
    pub(crate) fn down(&self) -> BoxError {
        match &*self.state.borrow() {
            SessionState::Up(_) => "the connection to the broker was replaced".into(),
            SessionState::Down(reason) => reason.to_string().into(),
        }
    }
}

impl<S> Up<S> {
    /// Waits for the end of the session.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Has the session replaced: it is open, and of no use.
    pub(crate) fn give_up(&self) {
        self.given_up.cancel();
    }
}

async fn keep<O: Opens>(opens: O, state: watch::Sender<SessionState<O::Session>>) {
    let mut pauses = backoff();
    loop {
        let connecting = timeout(CONNECT_TIMEOUT, opens.open());
        let error = match caught_future(connecting)
            .await
            // Caught so that the keeper goes on: the next attempt may succeed.
            .unwrap_or_else(|_| Ok(Err(PANICKED.into())))
        {
            Ok(Ok(session)) => {
                let up = Arc::new(Up {
                    session,
                    lost: CancellationToken::new(),
                    given_up: CancellationToken::new(),
                });
                tracing::debug!("connected to the broker");
                state.send_replace(SessionState::Up(Arc::clone(&up)));
                let (opened, served) = (Instant::now(), opens.served());
                let error = tokio::select! {
                    error = caught_future(O::ended(&up.session)) => {
                        error.unwrap_or_else(|_| PANICKED.into())
                    }
                    () = up.given_up.cancelled() => "the broker does not answer".into(),
                };
                state.send_replace(SessionState::Down(error.to_string().into()));
                up.lost.cancel();
                // A session that lasted or was of use shows that the broker is neither starting up nor refusing
                // the gateway.
                if opened.elapsed() > MAX_PAUSE || opens.served() > served {
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
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_no_further() {
        let pauses: Vec<_> = backoff().take(50).collect();
        assert!(pauses[0] <= MIN_PAUSE && pauses[0] >= MIN_PAUSE / 2);
        assert!(pauses[49] >= MAX_PAUSE / 2);
        assert!(pauses.iter().all(|pause| *pause <= MAX_PAUSE));
    }

    /// A broker that accepts connections and ends them after a while.
    #[derive(Clone, Default)]
    struct Flapping {
        lasts: Duration,
        is_of_use: bool,
        connects: Arc<AtomicU64>,
    }

    impl Opens for Flapping {
        type Session = Duration;

        async fn open(&self) -> Result<Duration, BoxError> {
            self.connects.fetch_add(1, Ordering::SeqCst);
            Ok(self.lasts)
        }

        async fn ended(lasts: &Duration) -> BoxError {
            sleep(*lasts).await;
            "ended".into()
        }

        fn served(&self) -> u64 {
            match self.is_of_use {
                true => self.connects.fetch_add(1 << 32, Ordering::SeqCst),
                false => 0,
            }
        }
    }

    /// How often it connects in this time.
    async fn connects(flapping: Flapping, time: Duration) -> u64 {
        let _link = SessionLink::open(flapping.clone());
        sleep(time).await;
        flapping.connects.load(Ordering::SeqCst) & u64::from(u32::MAX)
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_ends_each_session_at_once_is_not_hammered() {
        let connects = connects(Flapping::default(), Duration::from_secs(120)).await;
        assert!((60..140).contains(&connects), "{connects}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_was_of_use_is_replaced_at_once() {
        let flapping = Flapping {
            is_of_use: true,
            ..Flapping::default()
        };
        let connects = connects(flapping, 100 * MIN_PAUSE).await;
        assert!(connects >= 99, "{connects}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_lasted_is_replaced_at_once() {
        let flapping = Flapping {
            lasts: 2 * MAX_PAUSE,
            ..Flapping::default()
        };
        let connects = connects(flapping, 100 * MAX_PAUSE).await;
        assert!(connects >= 49, "{connects}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_given_up_is_replaced() {
        let flapping = Flapping {
            lasts: Duration::from_secs(3600),
            ..Flapping::default()
        };
        let link = SessionLink::open(flapping.clone());
        let up = link.up().await.expect("a session");
        up.give_up();
        up.lost().await;
        link.up().await.expect("another session");
        assert_eq!(flapping.connects.load(Ordering::SeqCst), 2);
    }
}
