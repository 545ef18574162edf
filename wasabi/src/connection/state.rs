//! What the handles to a connection share.

use std::{
    sync::{Arc, OnceLock},
    task::Wake,
};

use super::{
    ConnectionId, Handshake,
    attached::Attached,
    held::Held,
    in_flight::{self, Shared, Woken},
    outbox::Outbox,
    socket::Limits,
};
use crate::metrics::Traffic;

/// There is one for every connection, so each byte counts.
pub(crate) struct ConnectionState {
    pub(super) id: ConnectionId,
    pub(super) handshake: Handshake,
    pub(super) outbox: Outbox,
    /// Which requests were woken. The outbox knows the task to wake.
    pub(super) woken: Woken,
    pub(super) held: Held,
    pub(super) traffic: Traffic,
    pub(super) limits: Limits,
    /// Made when first needed: few connections have something attached.
    pub(super) attached: OnceLock<Box<Attached>>,
    #[cfg(feature = "cache")]
    pub(super) client: OnceLock<crate::digest::Digest>,
}

impl ConnectionState {
    pub(super) fn attached(&self) -> &Attached {
        self.attached.get_or_init(Box::default)
    }
}

impl Shared for ConnectionState {
    fn woken(&self) -> &Woken {
        &self.woken
    }

    fn wake_task(&self) {
        self.outbox.wake();
    }
}

/// Wakes the first request.
impl Wake for ConnectionState {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        in_flight::wake(&**self, 0);
    }
}
