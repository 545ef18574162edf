//! A node answers what others ask.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::mpsc, time::timeout};

use super::{TELL, tell};
use crate::{
    backend::broker::link::SessionLink,
    cluster::{
        engine::EngineSession,
        nodes::{
            Asked, Nodes, What,
            note::{Call, Note, Outcome},
        },
    },
    connection::registry::elsewhere::WeakRegistry,
    log::limited,
    panics::caught,
    sync::Unpoisoned,
};

/// Answers one after the other, for ever.
pub(super) async fn answer<S: EngineSession>(
    nodes: Arc<Nodes>,
    link: Arc<SessionLink<S>>,
    mut unanswered: mpsc::Receiver<Asked>,
) {
    while let Some(Asked { from, came, what }) = unanswered.recv().await {
        nodes.asked_bytes.fetch_sub(what.bytes(), Ordering::AcqRel);
        let note = match what {
            // Its own hello, which is the first that others hear of it, says the same.
            What::Hello if *nodes.away.borrow() || !nodes.has_beaten() => continue,
            What::Hello => Note::Beat(nodes.next_beat()),
            // The caller has given up, and has said that it does not know.
            What::Call(call) if came.elapsed() > Duration::from_millis(call.within_ms.into()) => {
                continue;
            }
            What::Call(call) => Note::Answer(call.id, outcome(&nodes, call)),
        };
        let telling = async {
            if let Ok(up) = link.up().await {
                tell(&nodes, &up, &nodes.subject_of(from), &note).await;
            }
        };
        if timeout(TELL, telling).await.is_err() {
            tracing::debug!("cannot answer another node: no connection to the engine");
        }
        // Answers may be long, and others have work as well.
        tokio::task::yield_now().await;
    }
}

fn outcome(nodes: &Nodes, call: Call) -> Outcome {
    let registry = {
        let registries = nodes.registries.lock().unpoisoned();
        registries
            .get(&*call.registry)
            .and_then(WeakRegistry::upgrade)
    };
    let Some(registry) = registry else {
        return Outcome::NoRegistry;
    };
    match caught(|| registry.answer(call.question)) {
        Ok(Some(answer)) => Outcome::Answer(answer.into()),
        Ok(None) => Outcome::Unreadable,
        Err(_) => {
            limited!(ERROR, "the answer for another node panicked");
            Outcome::Unreadable
        }
    }
}
