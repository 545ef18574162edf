//! Waiting, for a bounded time, until this gateway has what somebody asks for.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::History;
use crate::{Error, Result};

/// How long somebody waits for the first history.
const READY: Duration = Duration::from_secs(5);
/// How long somebody waits who has seen more than this gateway.
const AHEAD: Duration = Duration::from_secs(2);

/// The outcome of an attempt.
pub(super) enum Tried<T> {
    Done(T),
    /// The history is not complete.
    TooEarly,
    /// The position has not come.
    Ahead,
}

impl History {
    /// Waits until this gateway has the history, so that whatever is published from now on arrives here.
    pub(in super::super) async fn attached(self: Arc<Self>) -> Result<()> {
        self.when_there(|_| {
            Ok(match self.log().is_ready() {
                true => Tried::Done(()),
                false => Tried::TooEarly,
            })
        })
        .await
    }

    /// Tries again when something has come. An attempt is told whether it may wait for a position.
    pub(super) async fn when_there<T>(
        &self,
        mut attempt: impl FnMut(bool) -> Result<Tried<T>>,
    ) -> Result<T> {
        let began = Instant::now();
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // Register before looking, or what comes in between would be missed.
            moved.as_mut().enable();
            match attempt(began.elapsed() < AHEAD)? {
                Tried::Done(done) => return Ok(done),
                Tried::Ahead => drop(timeout_at(began + AHEAD, moved).await),
                Tried::TooEarly => timeout_at(began + READY, moved)
                    .await
                    .map_err(|_| not_ready())?,
            }
        }
    }
}

fn not_ready() -> Error {
    Error::UpstreamUnreachable("the gateway has not read the messages of kept groups yet".into())
}
