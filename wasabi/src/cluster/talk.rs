//! What a node does with the others: it says that it is there, asks, and answers.

mod answering;
mod beat;
mod calling;
mod watching;

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

pub(super) use self::{
    beat::bye,
    calling::{Asking, call},
};
use super::{
    engine::EngineSession,
    nodes::{Nodes, note::Note},
};
use crate::backend::broker::link::{SessionLink, Up};

/// How long the engine may take for a note.
const TELL: Duration = Duration::from_secs(2);

/// Begins to say that the node is there, and to answer. It must be called once, within a runtime.
pub(super) fn start<S: EngineSession>(
    nodes: &Arc<Nodes>,
    link: &Arc<SessionLink<S>>,
) -> Vec<AbortOnDropHandle<()>> {
    let mut tasks = vec![
        tokio::spawn(beat::keep(Arc::clone(nodes), Arc::clone(link))),
        tokio::spawn(watching::watch(Arc::clone(nodes))),
    ];
    if let Some(unanswered) = nodes.unanswered() {
        let answering = answering::answer(Arc::clone(nodes), Arc::clone(link), unanswered);
        tasks.push(tokio::spawn(answering));
    }
    tasks.into_iter().map(AbortOnDropHandle::new).collect()
}

/// Tells all nodes, or the one with this subject. A loss is no error here: whoever waits for an answer gets none.
async fn tell<S: EngineSession>(nodes: &Nodes, up: &Up<S>, subject: &str, note: &Note) {
    let told = up.session.tell(subject, note.seal(nodes.id()));
    match timeout(TELL, told).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "cannot tell other nodes"),
        Err(_) => tracing::debug!("cannot tell other nodes in time"),
    }
}
