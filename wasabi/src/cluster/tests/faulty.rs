//! An engine with faults, and a gateway that uses it.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::watch, time::sleep};

use crate::{
    BoxError, Cluster, Connection, ConnectionAddress, Kept, Message, Position, Registry, Result,
    cluster::{Attach, Engine, EngineSession, Feed, Inlet},
    connection::{few::Few, registry::RegistryEntry},
    sync::{Mutex, Unpoisoned},
    testing::connection,
};

/// An engine that does what the test says, and remembers what it was asked for.
#[derive(Clone)]
pub(super) struct Faulty(pub(super) Arc<FaultyState>);

pub(super) struct FaultyState {
    /// Sessions cannot be opened, and open ones end.
    pub(super) is_down: watch::Sender<bool>,
    /// Subscriptions are refused.
    pub(super) refuses: AtomicBool,
    /// Subscriptions with one of these groups are refused.
    pub(super) forbids: Mutex<Vec<&'static str>>,
    /// Its client library gives up itself, shortly before the cluster does.
    pub(super) is_hesitant: AtomicBool,
    /// It takes messages and commands, and never answers.
    pub(super) is_silent: AtomicBool,
    /// Others have replaced it: it does everything, but says so when it is asked.
    pub(super) is_replaced: AtomicBool,
    /// It keeps messages, and never says which.
    pub(super) keeps: AtomicBool,
    sessions: AtomicUsize,
    told: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

impl Faulty {
    pub(super) fn new() -> Self {
        Self(Arc::new(FaultyState {
            is_down: watch::Sender::new(false),
            refuses: AtomicBool::new(false),
            forbids: Mutex::default(),
            is_hesitant: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            is_replaced: AtomicBool::new(false),
            keeps: AtomicBool::new(false),
            sessions: AtomicUsize::new(0),
            told: AtomicUsize::new(0),
            asked: Mutex::default(),
        }))
    }

    pub(super) fn sessions(&self) -> usize {
        self.0.sessions.load(Ordering::SeqCst)
    }

    /// How many messages it was told.
    pub(super) fn told(&self) -> usize {
        self.0.told.load(Ordering::SeqCst)
    }

    /// What it was asked for since the last call.
    pub(super) fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.0.asked.lock().unpoisoned());
        asked.sort();
        asked
    }

    async fn asked_for(&self, what: char, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        if self.0.is_silent.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
        if self.0.is_hesitant.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(4900)).await;
            return Err("timed out".into());
        }
        if what == '+' && self.0.refuses.load(Ordering::SeqCst) {
            return Err("refused".into());
        }
        // Those of nodes are none of groups.
        let groups = subjects
            .iter()
            .filter(|subject| subject.split('.').count() == 5)
            .map(|subject| subject.rsplit('.').next().unwrap_or_default());
        let forbids = self.0.forbids.lock().unpoisoned().clone();
        if what == '+' && groups.clone().any(|group| forbids.contains(&group)) {
            return Err("forbidden".into());
        }
        let named = groups.map(|group| format!("{what}{group}"));
        self.0.asked.lock().unpoisoned().extend(named);
        Ok(())
    }
}

impl Engine for Faulty {
    type Session = Faulty;

    async fn connect(&self, _inlet: Inlet) -> Result<Faulty, BoxError> {
        if *self.0.is_down.borrow() {
            return Err("down".into());
        }
        self.0.sessions.fetch_add(1, Ordering::SeqCst);
        Ok(self.clone())
    }

    fn keeps(&self) -> bool {
        self.0.keeps.load(Ordering::SeqCst)
    }
}

impl EngineSession for Faulty {
    async fn tell(&self, _subject: &str, _message: Bytes) -> Result<()> {
        self.0.told.fetch_add(1, Ordering::SeqCst);
        Ok(self.asked_for('!', &[]).await?)
    }

    async fn subscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        self.asked_for('+', subjects).await
    }

    async fn unsubscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        self.asked_for('-', subjects).await
    }

    async fn newest(&self, _feed: &Feed) -> Result<Position, BoxError> {
        pending().await
    }

    async fn answers(&self) -> Result<(), BoxError> {
        if self.0.is_replaced.load(Ordering::SeqCst) {
            return Err("replaced".into());
        }
        self.asked_for('?', &[]).await
    }

    async fn closed(&self) -> BoxError {
        let mut is_down = self.0.is_down.subscribe();
        let _ = is_down.wait_for(|is_down| *is_down).await;
        "down".into()
    }
}

/// A gateway with one connection.
pub(super) struct Member {
    pub(super) registry: Registry,
    pub(super) node: Arc<dyn Attach>,
    connection: Connection,
    entry: Option<RegistryEntry>,
}

impl Member {
    pub(super) fn of(engine: impl Engine) -> Self {
        let registry = Registry::new();
        let node = Cluster::new(engine).node();
        Arc::clone(&node)
            .attach(&registry, "/")
            .expect("no mistake");
        let connection = connection(1, "/");
        let permit = registry.admit(None).expect("a place");
        Self {
            entry: Some(registry.enter(&connection, permit)),
            registry,
            node,
            connection,
        }
    }

    /// The same, where members of all groups are told who comes and who goes.
    pub(super) fn announced(engine: impl Engine) -> Self {
        let member = Self::of(engine);
        let announced = member.registry.keep(&[Kept::all().announced()]);
        announced.expect("the first");
        member
    }

    /// The texts that the connection was sent since the last call.
    pub(super) fn heard(&self) -> Vec<String> {
        let (mut sent, outbox) = (Few::default(), self.connection.outbox());
        outbox.take(&mut sent);
        let sent: Vec<_> = sent.drain().collect();
        outbox.release(sent.len(), sent.iter().map(Message::len).sum());
        let texts = sent.iter().filter_map(Message::as_text);
        texts.map(str::to_owned).collect()
    }

    /// The gateway without the connection.
    pub(super) fn disconnected(mut self) -> Self {
        self.entry = None;
        self
    }

    pub(super) fn address(&self) -> ConnectionAddress {
        self.registry.address(&self.connection)
    }

    pub(super) fn joins(&self, group: &str) {
        assert!(self.registry.join(group, &self.connection));
    }

    pub(super) fn leaves(&self, group: &str) {
        assert!(self.registry.leave(group, &self.connection));
    }

    pub(super) async fn attached(&self, group: &str) -> Result<()> {
        self.registry.group(group).attached().await
    }
}

pub(super) fn moment() -> tokio::time::Sleep {
    sleep(Duration::from_millis(100))
}
