//! Limits the number of concurrent requests to one host.

use std::{collections::HashMap, sync::Arc};

use crate::{
    ConnectionId, Error, Result,
    sync::{Mutex, MutexGuard, Unpoisoned},
    turns::{self, Entered, Line, Rule},
};

/// The maximum number of remembered hosts without requests in flight. Functions may name any number of hosts.
const KEPT: usize = 64;

/// The maximum number of waiting requests per host; each of them holds its message. Further ones would wait until they
/// time out.
const WAITING: usize = 10_000;

type Host = Arc<Mutex<Line>>;

/// Limits the requests in flight to each host. Connections take turns.
pub(super) struct HostLimit {
    requests: usize,
    hosts: Mutex<HashMap<Box<str>, Host>>,
}

impl HostLimit {
    pub(super) fn new(requests: usize) -> Self {
        Self {
            requests,
            hosts: Mutex::default(),
        }
    }

    /// Waits for a place among the requests to this host.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        host: &str,
        connection: ConnectionId,
    ) -> Result<Permit> {
        let host = Known {
            limit: Arc::clone(self),
            host: self.host(host),
        };
        let line = Arc::clone(&host.host);
        let place = match turns::enter(line, connection, self.requests, Rule::Everybody(WAITING)) {
            Entered::Place(place) => place,
            Entered::Turn(turn) => turn.await,
            Entered::Full => return Err(Error::Overloaded),
        };
        Ok(Permit {
            _place: place,
            _host: host,
        })
    }

    fn host(&self, name: &str) -> Host {
        let mut hosts = self.lock();
        if let Some(host) = hosts.get(name) {
            return Arc::clone(host);
        }
        let host = Host::default();
        hosts.insert(name.into(), Arc::clone(&host));
        host
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Host>> {
        self.hosts.lock().unpoisoned()
    }
}

/// A place among the requests to a host.
pub(super) struct Permit {
    _place: turns::Permit<Host>,
    _host: Known,
}

/// A host with a request in flight or waiting.
struct Known {
    limit: Arc<HostLimit>,
    host: Host,
}

impl Drop for Known {
    fn drop(&mut self) {
        let mut hosts = self.limit.lock();
        if hosts.len() > KEPT {
            let last = |host: &Host| Arc::ptr_eq(host, &self.host) && Arc::strong_count(host) == 2;
            hosts.retain(|_, host| Arc::strong_count(host) > 1 && !last(host));
        }
    }
}
