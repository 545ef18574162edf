//! A node asks others, and waits no longer than it must.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    Error, Result,
    backend::broker::link::{SessionLink, Up},
    cluster::{
        engine::EngineSession,
        nodes::{
            Nodes,
            note::{Call, Note},
        },
    },
    connection::registry::{
        address::NodeId,
        elsewhere::{Asked, Whom, gone, not_all},
    },
};

/// How long others may take to answer.
const WITHIN: Duration = Duration::from_secs(1);

/// What is asked of whom.
pub(in crate::cluster) struct Asking {
    pub(in crate::cluster) whom: Whom,
    /// The name of the registry.
    pub(in crate::cluster) registry: Arc<str>,
    pub(in crate::cluster) question: Bytes,
    /// Only who has answered matters.
    pub(in crate::cluster) is_announcement: bool,
}

/// Asks a registry on other nodes.
pub(in crate::cluster) async fn call<S: EngineSession>(
    nodes: Arc<Nodes>,
    link: Arc<SessionLink<S>>,
    asking: Asking,
) -> Asked {
    let whom = asking.whom;
    let deadline = Instant::now() + WITHIN;
    let ready = async {
        nodes.meet(whom).await;
        link.up().await
    };
    let up = match timeout_at(deadline, ready).await {
        Ok(Ok(up)) => up,
        Ok(Err(error)) => return nodes.unasked(whom, error),
        Err(_) => return nodes.unasked(whom, Error::UpstreamUnreachable(unready(&link))),
    };
    let (on, passed_over) = match nodes.expected(whom) {
        Ok(expected) => expected,
        Err(error) => return Asked::nobody(Err(error)),
    };
    if on.is_empty() && passed_over.is_empty() {
        return Asked::nobody(Ok(()));
    }
    let waiter = match nodes.calls.begin(on, asking.is_announcement) {
        Ok(waiter) => waiter,
        Err(error) => return nodes.unasked(whom, error),
    };
    let note = Note::Call(Call {
        id: waiter.id,
        within_ms: u32::try_from(WITHIN.as_millis()).unwrap_or(u32::MAX),
        registry: asking.registry.to_string(),
        question: asking.question,
    });
    let told = nodes.told(&up, whom, &note, deadline).await;
    if told.is_ok() {
        tokio::select! {
            () = waiter.done() => {}
            () = sleep_until(deadline) => {}
            () = up.lost() => {}
        }
    }
    nodes.concluded(whom, waiter.finish(), passed_over, told)
}

/// Why nobody could be asked.
fn unready<S: Send + Sync + 'static>(link: &SessionLink<S>) -> crate::BoxError {
    match link.is_up() {
        true => "the other nodes are not known yet".into(),
        false => link.down(),
    }
}

impl Nodes {
    /// Waits until the others, or the one that is meant, are known.
    async fn meet(&self, whom: Whom) {
        if let Whom::Node(node) = whom
            && self.known().is_here(node)
        {
            return;
        }
        // The sender lives in `self`.
        let _ = self.met.subscribe().wait_for(|met| *met).await;
    }

    /// The nodes that a call waits for, and those that were silent the last time.
    fn expected(&self, whom: Whom) -> Result<(Vec<NodeId>, Vec<NodeId>)> {
        let mut known = self.known();
        match whom {
            Whom::Node(node) if known.is_gone(node) => Err(gone()),
            // It may have just started.
            Whom::Node(node) => Ok((vec![node], Vec::new())),
            Whom::All => {
                let all = known.nodes().into_iter();
                let (silent, on) = all.partition(|node| known.is_silent(*node));
                Ok((on, silent))
            }
        }
    }

    /// What a call has found out.
    fn concluded(
        &self,
        whom: Whom,
        (answers, mut silent): (Vec<(NodeId, Bytes)>, Vec<NodeId>),
        passed_over: Vec<NodeId>,
        told: Result<()>,
    ) -> Asked {
        let mut known = self.known();
        for node in &silent {
            known.set_silent(*node, told.is_ok());
        }
        let has_answered = |node: &NodeId| answers.iter().any(|(other, _)| other == node);
        silent.extend(passed_over.into_iter().filter(|node| !has_answered(node)));
        let elsewhere = match (told, whom) {
            (Ok(()), _) if silent.is_empty() => Ok(()),
            (Ok(()), Whom::Node(node)) if !known.is_here(node) => Err(gone()),
            (Ok(()), _) => Err(not_all()),
            (Err(error), _) => Err(error),
        };
        Asked {
            answers,
            silent,
            elsewhere,
        }
    }

    /// Nobody was asked.
    fn unasked(&self, whom: Whom, error: Error) -> Asked {
        let silent = match whom {
            Whom::All => self.known().nodes(),
            Whom::Node(node) => vec![node],
        };
        Asked {
            silent,
            ..Asked::nobody(Err(error))
        }
    }

    async fn told<S: EngineSession>(
        &self,
        up: &Up<S>,
        whom: Whom,
        note: &Note,
        deadline: Instant,
    ) -> Result<()> {
        let subject = match whom {
            Whom::All => self.all.to_string(),
            Whom::Node(node) => self.subject_of(node),
        };
        tokio::select! {
            biased;
            told = up.session.tell(&subject, note.seal(self.id)) => told,
            () = up.lost() => Err(Error::UpstreamLost("the connection to the engine was lost".into())),
            () = sleep_until(deadline) => Err(Error::UpstreamLost(
                "the engine of the cluster has not taken the question in time".into(),
            )),
        }
    }
}
