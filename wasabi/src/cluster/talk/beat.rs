//! A node says that it is there, and that it goes.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::tell;
use crate::{
    backend::broker::link::{SessionLink, Up},
    cluster::{
        engine::EngineSession,
        nodes::{Nodes, note::Note},
    },
    log::{limited, said},
};

/// How often a node says that it is there.
const BEAT: Duration = Duration::from_secs(3);
/// How long those who are there may take to answer a hello.
const MEETING: Duration = Duration::from_millis(500);
/// How long the engine may take to subscribe.
const SUBSCRIBE: Duration = Duration::from_secs(5);
/// How long the engine is not asked again after it has refused.
const RETRY: Duration = Duration::from_secs(1);
/// How long a good-bye may take: also on a busy machine, else others would miss the node for a while.
const BYE: Duration = Duration::from_secs(2);

/// Keeps the node known to the others, in every session.
pub(super) async fn keep<S: EngineSession>(nodes: Arc<Nodes>, link: Arc<SessionLink<S>>) {
    loop {
        let Ok(up) = link.up().await else { return };
        tokio::select! {
            () = up.lost() => {}
            () = attend(&nodes, &up) => {
                up.give_up();
                up.lost().await;
            }
        }
        nodes.met.send_replace(false);
    }
}

/// Returns when the engine does not answer.
async fn attend<S: EngineSession>(nodes: &Nodes, up: &Up<S>) {
    let subjects = [Arc::clone(&nodes.all), Arc::clone(&nodes.own)];
    loop {
        match timeout(SUBSCRIBE, up.session.subscribe(&subjects)).await {
            Ok(Ok(())) => break,
            Ok(Err(error)) => {
                limited!(WARN, error = %said(&error), "cannot hear other nodes of the cluster");
                sleep(RETRY).await;
            }
            Err(_) => return,
        }
    }
    let mut away = nodes.away.subscribe();
    loop {
        // The sender lives in `nodes`.
        let _ = away.wait_for(|away| !away).await;
        let hello = Note::Hello(nodes.next_beat());
        tell(nodes, up, &nodes.all, &hello).await;
        sleep(MEETING).await;
        nodes.known().set_met();
        nodes.met.send_replace(true);
        loop {
            let goes = tokio::select! {
                () = sleep(BEAT) => false,
                _ = away.wait_for(|away| *away) => true,
            };
            if goes {
                break;
            }
            let beat = Note::Beat(nodes.next_beat());
            tell(nodes, up, &nodes.all, &beat).await;
        }
        nodes.met.send_replace(false);
    }
}

/// Says good-bye, unless the node has connections or has said it already. The node is silent until it
/// [comes back](Nodes::come_back).
pub(in crate::cluster) async fn bye<S: EngineSession>(nodes: &Nodes, link: &SessionLink<S>) {
    if nodes.has_connections() || nodes.away.send_replace(true) {
        return;
    }
    let telling = async {
        if let Ok(up) = link.up().await {
            let bye = Note::Bye(nodes.next_beat());
            tell(nodes, &up, &nodes.all, &bye).await;
        }
    };
    // Without it, the others notice after a while.
    let _ = timeout(BYE, telling).await;
}
