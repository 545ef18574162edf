//! The hosts of one backend: the places of their requests, and their idle connections.

use std::{collections::HashMap, sync::Arc};

use tokio::time::Instant;

use super::{
    idle::{Idle, Kept},
    origin::Origin,
};
use crate::{
    ConnectionId, Error, Result,
    sync::{Mutex, Unpoisoned},
    turns::{self, Entered, Line, LineAccess, Rule},
};

/// The number of hosts up to which none is forgotten. Functions may name any number of hosts.
const MANY: usize = 64;

/// The number of hosts from which on those with idle connections are forgotten too, and the connections closed: a client
/// may have named the hosts.
const MOST: usize = 1024;

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

    /// Takes the connection that was used last.
    pub(super) fn take_idle(&self, now: Instant) -> Option<Kept> {
        self.idle.lock().unpoisoned().take(now)
    }

    /// Whether a connection is kept for the next request.
    fn has_idle(&self) -> bool {
        !self.idle.lock().unpoisoned().connections.is_empty()
    }

    /// Waits for a place among this many requests to the host.
    pub(super) async fn enter(
        self: &Arc<Self>,
        connection: ConnectionId,
        requests: usize,
    ) -> Result<Permit> {
        let line = Arc::clone(self);
        match turns::enter(line, connection, requests, Rule::Everybody(WAITING)) {
            Entered::Place(place) => Ok(place),
            Entered::Turn(turn) => Ok(turn.await),
            Entered::Full => Err(Error::Overloaded),
        }
    }
}

impl LineAccess for Host {
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        self.line.line(work)
    }
}

/// The hosts that a function names. When there are many, those without requests and connections are forgotten; when
/// there are very many, those without requests.
pub(super) struct Hosts(Mutex<Remembered>);

struct Remembered {
    hosts: HashMap<Origin, Arc<Host>>,
    /// The number of hosts at which the next new one makes the gateway look for those to forget.
    many: usize,
}

impl Default for Hosts {
    fn default() -> Self {
        Self(Mutex::new(Remembered {
            hosts: HashMap::new(),
            many: MANY,
        }))
    }
}

impl Hosts {
    pub(super) fn host(&self, origin: Origin) -> Arc<Host> {
        let mut remembered = self.0.lock().unpoisoned();
        if let Some(host) = remembered.hosts.get(&origin) {
            return Arc::clone(host);
        }
        if remembered.hosts.len() >= remembered.many {
            let hosts = &mut remembered.hosts;
            hosts.retain(|_, host| Arc::strong_count(host) > 1 || host.has_idle());
            if hosts.len() >= MOST {
                hosts.retain(|_, host| Arc::strong_count(host) > 1);
            }
            let twice = 2 * hosts.len();
            // With more in use than that, a look at all of them must be as rare.
            let most = if hosts.len() < MOST { MOST } else { twice };
            remembered.many = twice.clamp(MANY, most);
        }
        let host = Arc::new(Host::new(origin.clone()));
        remembered.hosts.insert(origin, Arc::clone(&host));
        host
    }
}

/// A place among the requests to a host.
pub(super) type Permit = turns::Permit<Arc<Host>>;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::client::conn::http1::handshake;
    use hyper_util::rt::TokioIo;

    use super::*;

    fn origin(n: usize) -> Origin {
        let url = format!("http://host-{n}:8080/").parse().expect("a URL");
        Origin::of(&url).expect("an origin")
    }

    /// A connection that is kept for a host.
    async fn kept() -> Kept {
        let (near, _far) = tokio::io::duplex(64);
        let (sender, connection) = handshake(TokioIo::new(near)).await.expect("a connection");
        // It stays open as long as its task waits.
        tokio::spawn(async move {
            let (_connection, _far) = (connection, _far);
            std::future::pending::<()>().await;
        });
        let later = Instant::now() + Duration::from_secs(60);
        Kept {
            sender,
            until: later,
            closes: later,
        }
    }

    #[tokio::test]
    async fn hosts_with_idle_connections_are_bounded_too() {
        let hosts = Hosts::default();
        let used = hosts.host(origin(0));
        for n in 0..3 * MOST {
            let host = hosts.host(origin(n));
            let connection = kept().await;
            host.idle.lock().unpoisoned().connections.push(connection);
            assert!(hosts.0.lock().unpoisoned().hosts.len() <= MOST);
        }
        assert!(Arc::ptr_eq(&used, &hosts.host(origin(0))));
    }

    #[test]
    fn hosts_without_requests_are_forgotten_and_others_stay() {
        let hosts = Hosts::default();
        let used: Vec<_> = (0..MANY / 2).map(|n| hosts.host(origin(n))).collect();
        for n in MANY..100 * MANY {
            drop(hosts.host(origin(n)));
            assert!(hosts.0.lock().unpoisoned().hosts.len() <= MANY);
        }
        let again: Vec<_> = (0..MANY / 2).map(|n| hosts.host(origin(n))).collect();
        assert!(
            used.iter()
                .zip(&again)
                .all(|(used, again)| Arc::ptr_eq(used, again))
        );
    }
}
