//! The hosts of one backend: the places of their requests, and their idle connections.

use std::{collections::HashMap, sync::Arc};

use super::{idle::Idle, origin::Origin};
use crate::{
    ConnectionId, Error, Result,
    sync::{Mutex, MutexGuard, Unpoisoned},
    turns::{self, Entered, Line, LineAccess, Rule},
};

/// The maximum number of remembered hosts without requests in flight. Functions may name any number of hosts.
const KEPT: usize = 64;

/// The maximum number of waiting requests per host; each of them holds its message. Further ones would wait until they
/// time out.
const WAITING: usize = 10_000;

/// A host that requests go to.
pub(super) struct Host {
    pub(super) origin: Origin,
    line: Mutex<Line>,
    pub(super) idle: Mutex<Idle>,
}

impl Host {
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            origin,
            line: Mutex::default(),
            idle: Mutex::default(),
        }
    }
}

impl LineAccess for Host {
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        self.line.line(work)
    }
}

/// The hosts that a function names.
#[derive(Default)]
pub(super) struct Hosts(Mutex<HashMap<Origin, Arc<Host>>>);

impl Hosts {
    pub(super) fn host(self: &Arc<Self>, origin: Origin) -> Known {
        let mut hosts = self.lock();
        let host = match hosts.get(&origin) {
            Some(host) => Arc::clone(host),
            None => {
                let host = Arc::new(Host::new(origin.clone()));
                hosts.insert(origin, Arc::clone(&host));
                host
            }
        };
        drop(hosts);
        Known {
            host,
            among: Some(Arc::clone(self)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, Arc<Host>>> {
        self.0.lock().unpoisoned()
    }
}

/// A host with a request in flight or waiting.
pub(super) struct Known {
    host: Arc<Host>,
    among: Option<Arc<Hosts>>,
}

impl Known {
    /// Waits for a place among this many requests to the host.
    pub(super) async fn enter(self, connection: ConnectionId, requests: usize) -> Result<Permit> {
        let line = Arc::clone(&self.host);
        let place = match turns::enter(line, connection, requests, Rule::Everybody(WAITING)) {
            Entered::Place(place) => place,
            Entered::Turn(turn) => turn.await,
            Entered::Full => return Err(Error::Overloaded),
        };
        Ok(Permit {
            _place: place,
            known: self,
        })
    }
}

impl From<Arc<Host>> for Known {
    /// A host that is remembered elsewhere.
    fn from(host: Arc<Host>) -> Self {
        Self { host, among: None }
    }
}

impl std::ops::Deref for Known {
    type Target = Arc<Host>;

    fn deref(&self) -> &Arc<Host> {
        &self.host
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let Some(hosts) = &self.among else {
            return;
        };
        let mut hosts = hosts.lock();
        if hosts.len() > KEPT {
            // An open connection of a response that is still arriving counts as well.
            let last =
                |host: &Arc<Host>| Arc::ptr_eq(host, &self.host) && Arc::strong_count(host) == 2;
            hosts.retain(|_, host| Arc::strong_count(host) > 1 && !last(host));
        }
    }
}

/// A place among the requests to a host.
pub(super) struct Permit {
    _place: turns::Permit<Arc<Host>>,
    pub(super) known: Known,
}
