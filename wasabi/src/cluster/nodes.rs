//! The other nodes of a cluster: which are there, and what they are asked.
//!
//! Each node subscribes to a subject of all nodes and to one of its own. Neither is that of a group or a user, which have
//! five parts. On the first it says every 3 s that it is there. It keeps nothing of the others but who they are: whatever
//! somebody wants to know is asked for. `talk.rs` does that.

mod calls;
pub(super) mod known;
pub(super) mod note;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};

use self::{
    calls::Calls,
    known::Known,
    note::{Call, Note},
};
use super::{envelope::Sealed, names::token};
use crate::{
    connection::registry::{address::NodeId, elsewhere::WeakRegistry},
    sync::{Mutex, MutexGuard, Unpoisoned},
};

/// The questions of others that may wait.
const MAX_ASKED: usize = 1024;
/// The bytes of these questions, unless a single one is larger.
const MAX_ASKED_BYTES: usize = 16 * 1024 * 1024;

/// This node, and what it knows of the others.
pub(super) struct Nodes {
    pub(super) id: NodeId,
    /// What all subjects of the cluster begin with.
    #[cfg(feature = "redis")]
    pub(super) cluster: String,
    /// What the subjects of single nodes begin with.
    prefix: String,
    pub(super) all: Arc<str>,
    pub(super) own: Arc<str>,
    known: Mutex<Known>,
    /// A node has said good-bye.
    pub(super) goes: Notify,
    pub(super) calls: Calls,
    /// The registries whose connections are on this node.
    pub(super) registries: Mutex<HashMap<Arc<str>, WeakRegistry>>,
    /// The number of the last beat.
    beats: AtomicU64,
    asked: mpsc::Sender<Asked>,
    pub(super) asked_bytes: AtomicUsize,
    /// Whoever answers takes it.
    unanswered: Mutex<Option<mpsc::Receiver<Asked>>>,
    /// Whether those who are there have had the time to say so.
    pub(super) met: watch::Sender<bool>,
    /// Whether the node has said good-bye.
    pub(super) away: watch::Sender<bool>,
}

/// What another node wants.
pub(super) struct Asked {
    pub(super) from: NodeId,
    pub(super) came: Instant,
    pub(super) what: What,
}

pub(super) enum What {
    /// To know who is there.
    Hello,
    Call(Call),
}

/// Why a note was dropped.
pub(super) enum Dropped {
    Malformed,
    NoRoom,
}

impl Nodes {
    pub(super) fn new(id: NodeId, cluster: &str) -> Arc<Self> {
        // A name that is too long is a mistake, and nothing is served with it.
        let cluster = format!("wasabi.{}", token(cluster).unwrap_or_default());
        let prefix = format!("{cluster}.node.");
        let (asked, unanswered) = mpsc::channel(MAX_ASKED);
        Arc::new(Self {
            id,
            all: format!("{cluster}.nodes").into(),
            own: format!("{prefix}{id}").into(),
            #[cfg(feature = "redis")]
            cluster,
            prefix,
            known: Mutex::default(),
            goes: Notify::new(),
            calls: Calls::default(),
            registries: Mutex::default(),
            beats: AtomicU64::new(0),
            asked,
            asked_bytes: AtomicUsize::new(0),
            unanswered: Mutex::new(Some(unanswered)),
            met: watch::Sender::new(false),
            away: watch::Sender::new(false),
        })
    }

    pub(super) fn id(&self) -> NodeId {
        self.id
    }

    /// Answers for this registry from now on.
    pub(super) fn add(&self, name: Arc<str>, registry: WeakRegistry) {
        self.registries.lock().unpoisoned().insert(name, registry);
    }

    /// Whether it answers for a registry.
    pub(super) fn has_registries(&self) -> bool {
        !self.registries.lock().unpoisoned().is_empty()
    }

    /// Whether a registry of this node has connections.
    pub(super) fn has_connections(&self) -> bool {
        let registries = self.registries.lock().unpoisoned();
        let registries: Vec<_> = registries
            .values()
            .filter_map(WeakRegistry::upgrade)
            .collect();
        registries.iter().any(|registry| !registry.is_empty())
    }

    /// What others ask; `None` if somebody has it already.
    pub(super) fn unanswered(&self) -> Option<mpsc::Receiver<Asked>> {
        self.unanswered.lock().unpoisoned().take()
    }

    /// Ends the absence that a good-bye has begun.
    pub(super) fn come_back(&self) {
        if *self.away.borrow() {
            self.away.send_replace(false);
        }
    }

    /// Whether messages with this subject are notes.
    pub(super) fn takes(&self, subject: &str) -> bool {
        *subject == *self.all || *subject == *self.own
    }

    /// Takes a note of another node. Never waits.
    pub(super) fn receive(&self, sealed: Sealed) -> Result<(), Dropped> {
        let (from, kind, bytes) = sealed.note().ok_or(Dropped::Malformed)?;
        match Note::read(kind, bytes).ok_or(Dropped::Malformed)? {
            Note::Beat(number) => {
                self.known().heard(from, number);
                Ok(())
            }
            Note::Hello(number) => {
                self.known().heard(from, number);
                self.take(from, What::Hello)
            }
            Note::Bye(number) => {
                if self.known().left(from, number) {
                    self.calls.left(from);
                    self.goes.notify_one();
                }
                Ok(())
            }
            Note::Call(call) => self.take(from, What::Call(call)),
            Note::Answer(call, outcome) => {
                self.known().set_silent(from, false);
                match self.calls.answered(call, from, outcome) {
                    true => Ok(()),
                    false => Err(Dropped::NoRoom),
                }
            }
        }
    }

    fn take(&self, from: NodeId, what: What) -> Result<(), Dropped> {
        let bytes = what.bytes();
        let before = self.asked_bytes.fetch_add(bytes, Ordering::AcqRel);
        let asked = Asked {
            from,
            came: Instant::now(),
            what,
        };
        let has_room = before == 0 || before + bytes <= MAX_ASKED_BYTES;
        if has_room && self.asked.try_send(asked).is_ok() {
            return Ok(());
        }
        self.asked_bytes.fetch_sub(bytes, Ordering::AcqRel);
        Err(Dropped::NoRoom)
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unpoisoned()
    }

    pub(super) fn subject_of(&self, node: NodeId) -> String {
        format!("{}{node}", self.prefix)
    }

    /// Whether it has said anything of itself.
    pub(super) fn has_beaten(&self) -> bool {
        self.beats.load(Ordering::Relaxed) > 0
    }

    pub(super) fn next_beat(&self) -> u64 {
        self.beats.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl What {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Hello => 0,
            Self::Call(call) => call.question.len(),
        }
    }
}
