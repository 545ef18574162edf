//! What nodes know of each other, and what they ask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::faulty::{Faulty, Member};
use crate::{
    BoxError, CloseCode, Page, Presence, Registry, Result,
    cluster::{Engine, EngineSession, Inlet, Memory, MemoryNode},
};

/// An engine whose clients can be cut off: what they say is lost.
#[derive(Clone)]
pub(super) struct Cut {
    memory: Memory,
    is_cut: Arc<AtomicBool>,
}

pub(super) struct CutSession {
    session: MemoryNode,
    is_cut: Arc<AtomicBool>,
}

impl Cut {
    pub(super) fn of(memory: &Memory) -> Self {
        Self {
            memory: memory.clone(),
            is_cut: Arc::default(),
        }
    }

    pub(super) fn set(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

impl Engine for Cut {
    type Session = CutSession;

    async fn connect(&self, inlet: Inlet) -> Result<CutSession, BoxError> {
        Ok(CutSession {
            session: self.memory.connect(inlet).await?,
            is_cut: Arc::clone(&self.is_cut),
        })
    }
}

impl EngineSession for CutSession {
    async fn tell(&self, subject: &str, message: Bytes) -> Result<()> {
        match self.is_cut.load(Ordering::SeqCst) {
            true => Ok(()),
            false => self.session.tell(subject, message).await,
        }
    }

    async fn subscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        self.session.subscribe(subjects).await
    }

    async fn unsubscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        self.session.unsubscribe(subjects).await
    }

    async fn answers(&self) -> Result<(), BoxError> {
        self.session.answers().await
    }

    async fn closed(&self) -> BoxError {
        self.session.closed().await
    }
}

/// Who is in the room, and how long the answer took in milliseconds.
async fn asked(registry: &Registry) -> (Presence, u128) {
    let began = Instant::now();
    let present = registry.group("room").presence(Page::default()).await;
    (present, began.elapsed().as_millis())
}

fn code<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    outcome.expect_err("an error").code().to_owned()
}

/// Two nodes with a member each, which know each other; the second one can be cut off.
async fn two() -> (Member, Member, Cut) {
    let memory = Memory::new();
    let (here, cut) = (Member::of(memory.clone()), Cut::of(&memory));
    let there = Member::of(cut.clone());
    for member in [&here, &there] {
        member.joins("room");
    }
    let (present, _) = asked(&here.registry).await;
    present.elsewhere.expect("all have answered");
    assert_eq!(present.total, 2);
    (here, there, cut)
}

#[tokio::test(start_paused = true)]
async fn queries_never_wait_for_dead_nodes() {
    let (here, there, cut) = two().await;
    let address = there.address();
    cut.set(true);
    let (present, took) = asked(&here.registry).await;
    assert_eq!(present.silent, [address.node()]);
    assert_eq!((present.total, took), (1, 1000));
    assert_eq!(code(present.elsewhere), "upstream_lost");
    // Once is enough.
    for _ in 0..3 {
        let (present, took) = asked(&here.registry).await;
        assert_eq!((present.total, present.silent.len(), took), (1, 1, 0));
    }
    // Whoever means that node waits for it, and learns that nobody knows.
    let sent = here.registry.connection(address).send("hello").await;
    assert_eq!(code(sent), "upstream_lost");
    sleep(Duration::from_secs(12)).await;
    let (present, took) = asked(&here.registry).await;
    present.elsewhere.expect("it is gone");
    assert_eq!((present.total, present.silent.len(), took), (1, 0, 0));
    let sent = here.registry.connection(address).send("hello").await;
    assert_eq!(code(sent), "gone");
}

#[tokio::test(start_paused = true)]
async fn members_of_killed_nodes_vanish_and_never_resurface() {
    let (here, _there, cut) = two().await;
    cut.set(true);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        let (present, _) = asked(&here.registry).await;
        assert_eq!(present.members.len(), 1);
        match began.elapsed().as_secs() {
            ..7 => assert_eq!(present.silent.len(), 1),
            7..12 => {}
            12.. => assert!(present.silent.is_empty()),
        }
        sleep(Duration::from_millis(700)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_cut_off_is_back_with_its_next_beat_and_its_members_come_once() {
    let (here, _there, cut) = two().await;
    cut.set(true);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(asked(&here.registry).await.0.total, 1);
    cut.set(false);
    sleep(Duration::from_secs(4)).await;
    let (present, _) = asked(&here.registry).await;
    present.elsewhere.expect("all have answered");
    assert_eq!((present.total, present.members.len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_goes_is_gone_at_once_and_may_come_back() {
    let memory = Memory::new();
    let (here, there) = (Member::of(memory.clone()), Member::of(memory));
    assert_eq!(here.registry.nodes().await.nodes.len(), 2);
    // It has a connection, and so it stays.
    there.node.leave().await;
    assert_eq!(here.registry.nodes().await.nodes.len(), 2);
    let Member { registry, node, .. } = there.disconnected();
    let asking = async {
        // It is asked while it goes.
        let nodes = here.registry.nodes().await;
        nodes.elsewhere.expect("nobody is missing");
    };
    tokio::join!(node.leave(), asking);
    let nodes = here.registry.nodes().await;
    nodes.elsewhere.expect("nobody is missing");
    assert_eq!((nodes.nodes.len(), nodes.silent.len()), (1, 0));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(here.registry.nodes().await.nodes.len(), 1);
    // Whoever asks is there again.
    assert_eq!(registry.nodes().await.nodes.len(), 2);
    assert_eq!(here.registry.nodes().await.nodes.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_node_says_good_bye() {
    let memory = Memory::new();
    let (here, there) = (Member::of(memory.clone()), Member::of(memory));
    assert_eq!(here.registry.nodes().await.nodes.len(), 2);
    drop(there);
    sleep(Duration::from_millis(1)).await;
    let nodes = here.registry.nodes().await;
    nodes.elsewhere.expect("nobody is missing");
    assert_eq!(nodes.nodes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_engine_the_members_here_are_listed_and_the_answer_says_so() {
    let engine = Faulty::new();
    engine.0.is_down.send_replace(true);
    let member = Member::of(engine);
    member.joins("room");
    let (present, took) = asked(&member.registry).await;
    assert_eq!((present.members.len(), took), (1, 1000));
    assert_eq!(code(present.elsewhere), "upstream_unreachable");
    let own = member.registry.connection(member.address());
    own.send("hello").await.expect("it is here");
    own.info().await.expect("it is here");
    own.close(CloseCode::NORMAL).await.expect("it is here");
    assert_eq!(code(own.close(CloseCode::NORMAL).await), "gone");
}

#[tokio::test(start_paused = true)]
async fn open_questions_are_bounded() {
    let (here, there, cut) = two().await;
    cut.set(true);
    let other = here.registry.connection(there.address());
    let asking = (0..300).map(|_| async { code(other.info().await) });
    let codes = futures_util::future::join_all(asking).await;
    let of = |code: &str| codes.iter().filter(|other| *other == code).count();
    assert_eq!((of("upstream_lost"), of("overloaded")), (256, 44));
    // And there is room again.
    cut.set(false);
    other.info().await.expect("it is there");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_at_rest_beats_and_says_nothing_else() {
    let engine = Faulty::new();
    let member = Member::of(engine.clone());
    member.joins("room");
    member.attached("room").await.expect("attached");
    let told = engine.told();
    sleep(Duration::from_secs(60)).await;
    let beats = engine.told() - told;
    assert!((19..=21).contains(&beats), "{beats}");
}
