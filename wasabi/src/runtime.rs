//! The state of a server that its connections share.

mod live;

#[cfg(feature = "http2")]
use std::any::Any;
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::StatusCode;
use hyper::upgrade::Upgraded;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::TaskTracker;

pub(crate) use self::live::Live;
use self::live::Place;
use crate::{
    Close, CloseCode, Connection,
    connection::{
        ConnectionId,
        held::Budget,
        transport::{TakeBack, Transport},
    },
    per_client::ClientPlace,
    sync::AtomicBool,
};

/// Part of the extensions of every HTTP request. A gateway that is not served by a [`Server`](crate::Server) finds
/// none, and makes an empty one.
#[derive(Clone, Default)]
pub(crate) struct Runtime(Arc<ServerState>);

#[derive(Default)]
struct ServerState {
    /// Readiness probes are told that the server will drain.
    leaving: AtomicBool,
    draining: AtomicBool,
    tasks: TaskTracker,
    live: Live,
    budget: Budget,
    take_back: Option<TakeBack>,
}

impl Runtime {
    /// For a server that limits the bytes of replies to all its clients together, and takes its sockets back from hyper.
    pub(crate) fn new(max_held: Option<usize>, take_back: TakeBack) -> Self {
        Self(Arc::new(ServerState {
            budget: Budget::new(max_held),
            take_back: Some(take_back),
            ..ServerState::default()
        }))
    }

    /// The budget for replies to all clients together.
    pub(crate) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    /// The stream of an upgraded connection, and the bytes already read from it.
    pub(crate) fn transport(&self, upgraded: Upgraded) -> (Transport, Vec<u8>) {
        Transport::of(upgraded, self.0.take_back)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.0.leaving.load(Ordering::Acquire)
    }

    /// Bytes of replies that wait for clients or are being read for them.
    #[cfg(feature = "metrics")]
    pub(crate) fn held(&self) -> usize {
        self.0.budget.held()
    }

    pub(crate) fn start_leaving(&self) {
        self.0.leaving.store(true, Ordering::Release);
    }

    pub(crate) fn start_draining(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.start_leaving();
    }

    /// Ids are unique within the process, so that those of two servers cannot be confused.
    pub(crate) fn next_id(&self) -> ConnectionId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(task);
    }

    /// Lists a connection until what it returns is dropped.
    pub(crate) fn list(&self, connection: &Connection) -> Listed {
        let listed = Listed {
            of: self.clone(),
            place: self.0.live.enter(connection),
        };
        if self.is_draining() {
            // The drain may have read the list before.
            connection.close(restart());
        }
        listed
    }

    pub(crate) fn live(&self) -> &Live {
        &self.0.live
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }
}

/// The place of a connection on the server's list.
pub(crate) struct Listed {
    of: Runtime,
    place: Place,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.of.0.live.leave(&self.place);
    }
}

/// The close of a drain.
pub(crate) fn restart() -> Close {
    Close::new(CloseCode::SERVICE_RESTART, "the server is restarting")
}

/// A place among the server's sockets, held until the last clone is dropped.
#[derive(Clone)]
pub(crate) struct SocketPermit(Arc<SocketPlace>);

/// The same for a connection that has its socket for itself: mostly nobody else holds the place, and nothing of it needs
/// memory of its own.
#[expect(dead_code, reason = "held")]
pub(crate) enum Seat {
    Own(OwnedSemaphorePermit),
    Shared(SocketPermit),
}

impl SocketPermit {
    /// For a connection. Everybody else should have dropped the place.
    pub(crate) fn seat(self) -> Seat {
        match Arc::try_unwrap(self.0) {
            Ok(place) if place.is_plain() => Seat::Own(place.place),
            Ok(place) => Seat::Shared(place.permit()),
            Err(shared) => Seat::Shared(Self(shared)),
        }
    }
}

/// A place among the server's sockets.
pub(crate) struct SocketPlace {
    place: OwnedSemaphorePermit,
    /// The place among the sockets of its client.
    of_client: Option<Box<ClientPlace<IpAddr>>>,
    /// The HTTP/2 stream that the place belongs to.
    #[cfg(feature = "http2")]
    stream: Option<Arc<dyn Any + Send + Sync>>,
}

impl SocketPlace {
    pub(crate) fn new(place: OwnedSemaphorePermit) -> Self {
        Self {
            place,
            of_client: None,
            #[cfg(feature = "http2")]
            stream: None,
        }
    }

    /// Whether there is nothing beside the place among the sockets.
    fn is_plain(&self) -> bool {
        #[cfg(feature = "http2")]
        if self.stream.is_some() {
            return false;
        }
        self.of_client.is_none()
    }

    pub(crate) fn of_client(mut self, place: Option<ClientPlace<IpAddr>>) -> Self {
        self.of_client = place.map(Box::new);
        self
    }

    #[cfg(feature = "http2")]
    pub(crate) fn of_stream(
        place: OwnedSemaphorePermit,
        stream: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self {
            stream: Some(stream),
            ..Self::new(place)
        }
    }

    /// The place, held while the socket is open.
    pub(crate) fn permit(self) -> SocketPermit {
        SocketPermit(Arc::new(self))
    }
}

/// An HTTP endpoint for readiness probes. It answers 200 while the server takes connections, and 503 as soon as the
/// server is told to stop, even while it still serves everything during a [`drain_delay`](crate::Server::drain_delay).
///
/// ```
/// use wasabi::prelude::*;
///
/// let gateway = gateway!(
///     get("/readyz", readiness),
///     channel("/echo", async |message: Message| message),
/// );
/// # drop(gateway);
/// ```
pub async fn readiness(req: axum::extract::Request) -> (StatusCode, &'static str) {
    match req.extensions().get::<Runtime>() {
        Some(runtime) if runtime.is_leaving() => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        _ => (StatusCode::OK, "ready"),
    }
}
