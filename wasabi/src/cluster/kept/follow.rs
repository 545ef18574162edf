//! Keeps the log equal to the feed of the engine, session after session.

use std::{sync::Arc, time::Duration};

use tokio::time::{error::Elapsed, sleep, timeout};

use super::History;
use crate::{
    BoxError,
    backend::broker::link::SessionLink,
    cluster::{
        engine::EngineSession,
        feed::{Feed, Page},
    },
    connection::registry::Turn,
    log::{limited, said},
};

/// How long the engine may take to say what there is.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the engine is not asked again after an error.
const RETRY: Duration = Duration::from_secs(1);
/// How often old messages are removed that nothing else removes.
const SWEEP: Duration = Duration::from_secs(1);
const LOST: &str = "the engine of the cluster has lost messages of kept groups";

/// Follows the feed until the link is gone.
pub(in super::super) async fn follow<S: EngineSession>(
    history: Arc<History>,
    feed: Feed,
    link: Arc<SessionLink<S>>,
) {
    let sweeping = async {
        loop {
            sleep(SWEEP).await;
            history.log().trim();
        }
    };
    let following = async {
        let mut reader = Reader {
            history: Arc::clone(&history),
            feed,
            has_lost: false,
        };
        while let Ok(up) = link.up().await {
            tokio::select! {
                () = up.lost() => {}
                error = reader.read(&up.session) => {
                    limited!(WARN, error = %said(&error), "cannot read the messages of kept groups");
                    // An engine that does not say what there is will not say it in this session.
                    if error.is::<Elapsed>() {
                        up.give_up();
                    }
                    // Dropped first, or a session that has ended would be kept.
                    drop(up);
                    sleep(RETRY).await;
                }
            }
        }
    };
    tokio::select! {
        () = sweeping => {}
        () = following => {}
    }
}

struct Reader {
    history: Arc<History>,
    feed: Feed,
    /// The engine has lost messages, and the members have not been told.
    has_lost: bool,
}

impl Reader {
    /// Reads until the session fails. May be dropped at any time.
    async fn read(&mut self, session: &impl EngineSession) -> BoxError {
        loop {
            let is_ready = self.history.log().is_ready();
            let read = match is_ready {
                true => self.go_on(session).await,
                false => self.load(session).await,
            };
            if let Err(error) = read {
                return error;
            }
        }
    }

    /// Reads what the engine has. It is delivered to nobody.
    async fn load(&mut self, session: &impl EngineSession) -> Result<(), BoxError> {
        let newest = timeout(ANSWER, session.newest(&self.feed)).await??;
        while self.history.log().last() < Some(newest) {
            // What was the newest may have expired.
            if !timeout(ANSWER, self.read_page(session, true)).await?? {
                return Ok(());
            }
        }
        if self.has_lost {
            // Of what is there from before, nobody knows what came after it.
            self.history.log().lose_before_last();
            self.history.tell_everybody();
            self.has_lost = false;
        }
        self.history.log().set_ready();
        self.history.moved.notify_waiters();
        Ok(())
    }

    /// Delivers what comes, until everything must be read again.
    async fn go_on(&mut self, session: &impl EngineSession) -> Result<(), BoxError> {
        while self.read_page(session, false).await? {}
        Ok(())
    }

    /// Returns `false` if everything must be read again.
    async fn read_page(
        &mut self,
        session: &impl EngineSession,
        is_from_before: bool,
    ) -> Result<bool, BoxError> {
        let last = self.history.log().last();
        let entries = match session.read(&self.feed, last).await? {
            Page::Entries(entries) => entries,
            Page::AfterGap(entries) => {
                // First, or somebody who joins meanwhile would not hear of it.
                self.history.log().lose_before_next();
                // What was lost before this gateway has read anything, nobody here has missed.
                if !is_from_before {
                    tracing::warn!("{LOST}");
                    self.history.tell_everybody();
                }
                entries
            }
            Page::Gap => {
                tracing::warn!("{LOST}");
                self.has_lost = true;
                self.history.log().reset();
                return Ok(false);
            }
        };
        let mut turn = Turn::default();
        for entry in entries {
            let bytes = entry.message.len();
            let members = self.history.append(entry, is_from_before);
            turn.delivered(bytes, members).await;
        }
        self.history.moved.notify_waiters();
        Ok(true)
    }
}
