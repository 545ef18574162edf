//! The socket of a connection that has ended.

use std::time::Duration;

use tokio::time::timeout;

use super::life::Remains;
use crate::{
    Connection,
    connection::{
        linger,
        socket::Socket,
        transport::{LINGER, Transport},
    },
};

/// A socket to be closed, and what is left to do before that.
pub(crate) struct Parting<T> {
    pub(super) socket: Socket<T>,
    pub(super) remains: Remains,
}

impl Parting<Transport> {
    /// Sends what is left within this limit, and ends the stream.
    pub(crate) async fn part(mut self, connection: &Connection, limit: Duration) {
        if self.remains.is_unsent {
            let _ = timeout(limit, linger::flush(&mut self.socket)).await;
        }
        let (received, sent) = (self.socket.received(), self.socket.written());
        connection.traffic().finish(received, sent);
        let mut io = self.socket.into_io();
        if self.remains.lingers {
            io.linger().await;
        } else {
            let _ = timeout(LINGER, io.finish()).await;
        }
    }
}
