//! The messages and bytes of a connection.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};

use super::Counted;
use crate::{Close, Connection, connection::socket::Socket};

/// What a connection has received and sent. Only its own task counts, so that counting is a plain addition; anyone may
/// read.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(super) of: Counted,
    figures: [AtomicU64; 4],
    /// The part that the channel's counters already contain.
    told: [AtomicU64; 4],
}

/// The messages of a connection, counted in its task.
#[derive(Default)]
pub(crate) struct Tally {
    received: u64,
    sent: u64,
}

impl Tally {
    #[inline(always)]
    pub(crate) fn received(&mut self) {
        self.received += 1;
    }

    #[inline(always)]
    pub(crate) fn sent(&mut self) {
        self.sent += 1;
    }
}

impl Traffic {
    pub(crate) fn new(of: Counted) -> Self {
        Self {
            of,
            ..Self::default()
        }
    }

    /// Publishes the task's counts so far.
    #[inline]
    pub(crate) fn publish<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        tally: &Tally,
        socket: &Socket<T>,
    ) {
        let now = [
            tally.received,
            socket.received(),
            tally.sent,
            socket.written(),
        ];
        for (figure, now) in self.figures.iter().zip(now) {
            figure.store(now, Ordering::Relaxed);
        }
    }

    /// Counts one more message, after the task's last count.
    pub(crate) fn received_late(&self) {
        self.figures[0].fetch_add(1, Ordering::Relaxed);
    }

    /// Records the final counts of the socket.
    pub(crate) fn finish<T: AsyncRead + AsyncWrite + Unpin>(&self, socket: &Socket<T>) {
        self.figures[1].store(socket.received(), Ordering::Relaxed);
        self.figures[3].store(socket.written(), Ordering::Relaxed);
    }

    /// Adds what is new to the channel's counters. Two threads may do so at the same time.
    pub(super) fn tell(&self) {
        let figures = self.figures.iter().zip(&self.told);
        for ((figure, told), counter) in figures.zip(&self.of.figures().traffic) {
            let now = figure.load(Ordering::Relaxed);
            let before = told.fetch_max(now, Ordering::Relaxed);
            counter.increment(now.saturating_sub(before));
        }
    }

    /// Counts a broadcast that skipped the connection.
    pub(crate) fn skipped(&self) {
        self.of.skipped();
    }

    pub(crate) fn closed(&self, connection: &Connection, close: &Close) {
        self.tell();
        self.of.closed(close, connection.outbox().age());
    }
}
