//! Keeps the log equal to the feed of the engine, session after session.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

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
            self.history.tell_everybody();
            self.has_lost = false;
        }
        self.history.log().set_ready();
        self.history.moved.notify_waiters();
        Ok(())
    }

    /// Delivers what comes, until messages are lost.
    async fn go_on(&mut self, session: &impl EngineSession) -> Result<(), BoxError> {
        while self.read_page(session, false).await? {}
        Ok(())
    }

    /// Returns `false` if the engine has lost messages.
    async fn read_page(
        &mut self,
        session: &impl EngineSession,
        is_from_before: bool,
    ) -> Result<bool, BoxError> {
        let last = self.history.log().last();
        let entries = match session.read(&self.feed, last).await? {
            Page::Entries(entries) => entries,
            Page::Gap => {
                tracing::warn!("the engine of the cluster has lost messages of kept groups");
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
