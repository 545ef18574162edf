//! Keeps the engine's subscriptions equal to the table, in every session.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};

use super::{engine::EngineSession, table::Table};
use crate::{
    backend::broker::link::{SessionLink, Up},
    log::{limited, said},
    time::FOREVER,
};

/// How many subjects the engine is told at once.
const BATCH: usize = 256;
/// How long the engine may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How often it is asked whether it is there.
const BEAT: Duration = Duration::from_secs(2);
/// How long the engine is not asked again for a subscription that it has refused.
const RETRY: Duration = Duration::from_secs(1);

pub(super) async fn keep<S: EngineSession>(table: Arc<Table>, link: Arc<SessionLink<S>>) {
    loop {
        let up = tokio::select! {
            up = link.up() => up,
            // Without a session, groups come and go as well.
            never = sweep(&table) => match never {},
        };
        let Ok(up) = up else { return };
        table.forget();
        tokio::select! {
            () = up.lost() => {}
            () = attend(&table, &up) => {
                up.give_up();
                up.lost().await;
            }
        }
        table.forget();
    }
}

async fn sweep(table: &Table) -> std::convert::Infallible {
    loop {
        if table.take_left(BATCH).is_empty() {
            rest(table, Instant::now() + FOREVER).await;
        }
    }
}

/// Waits for work, but not beyond this time.
async fn rest(table: &Table, until: Instant) {
    let next = table.next_left().unwrap_or(until).min(until);
    tokio::select! {
        () = table.work.notified() => {}
        () = sleep_until(next) => {}
    }
}

/// Returns when the engine does not answer.
async fn attend<S: EngineSession>(table: &Table, up: &Up<S>) {
    let session = &up.session;
    // Only the answer counts: a server that others have replaced may accept subscriptions for ever.
    let mut answered = Instant::now();
    let mut retry = None;
    loop {
        if answered.elapsed() >= BEAT {
            match timeout(ANSWER, session.answers()).await {
                Ok(Ok(())) => answered = Instant::now(),
                Ok(Err(_)) | Err(_) => return,
            }
        }
        let left = table.take_left(BATCH);
        if !left.is_empty() {
            match timeout(ANSWER, session.unsubscribe(&left)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(error = %said(&error), "cannot unsubscribe from groups");
                }
                Err(_) => return,
            }
        }
        let may_retry = retry.is_none_or(|retry| retry <= Instant::now());
        let asked = table.take_waiting(BATCH, may_retry);
        if !asked.is_empty() {
            match timeout(ANSWER, session.subscribe(&asked)).await {
                Ok(Ok(())) => table.subscribed(&asked),
                Ok(Err(error)) => {
                    limited!(WARN, error = %said(&error), "cannot subscribe to groups");
                    table.refused(&asked);
                    retry = Some(Instant::now() + RETRY);
                }
                Err(_) => return,
            }
        } else if left.is_empty() {
            let beat = answered + BEAT;
            let next = retry.filter(|retry| *retry > Instant::now());
            rest(table, next.map_or(beat, |retry| retry.min(beat))).await;
        }
    }
}
