//! The messages and bytes of a connection.

use std::{
    mem,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

#[cfg(feature = "console")]
use std::sync::atomic::AtomicUsize;

use super::Counted;
use crate::CloseCode;

/// What a connection has received and sent. Only its own task counts, so that counting is a plain addition; anyone may
/// read.
#[derive(Default)]
pub(crate) struct Traffic {
    of: Counted,
    figures: [AtomicU64; 4],
    /// The part that the channel's counters already contain.
    told: [AtomicU64; 4],
    #[cfg(feature = "console")]
    in_flight: AtomicUsize,
}

/// The messages of one turn of a connection, counted in its task.
#[derive(Default)]
pub(crate) struct Tally {
    received: u32,
    sent: u32,
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

    /// Publishes the messages of a turn, and how many bytes the socket has received and sent so far.
    #[inline]
    pub(crate) fn publish(&self, tally: &mut Tally, received: u64, sent: u64) {
        let Tally {
            received: messages_in,
            sent: messages_out,
        } = mem::take(tally);
        let more = |figure: usize, more: u32| {
            self.figures[figure].load(Ordering::Relaxed) + u64::from(more)
        };
        let now = [more(0, messages_in), received, more(2, messages_out), sent];
        for (figure, now) in self.figures.iter().zip(now) {
            figure.store(now, Ordering::Relaxed);
        }
    }

    /// Publishes how many requests have no reply yet.
    #[cfg(feature = "console")]
    #[inline]
    pub(crate) fn publish_in_flight(&self, requests: usize) {
        self.in_flight.store(requests, Ordering::Relaxed);
    }

    /// How many requests had no reply after the last turn.
    #[cfg(feature = "console")]
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts one more message, after the task's last count.
    pub(crate) fn received_late(&self) {
        self.figures[0].fetch_add(1, Ordering::Relaxed);
    }

    /// Publishes how many bytes the socket has received and sent in the end.
    pub(crate) fn finish(&self, received: u64, sent: u64) {
        self.figures[1].store(received, Ordering::Relaxed);
        self.figures[3].store(sent, Ordering::Relaxed);
    }

    /// The channel that the connection belongs to.
    pub(crate) fn channel(&self) -> &Counted {
        &self.of
    }

    /// Adds what is new to the channel's counters. Two threads may do so at the same time.
    pub(crate) fn tell(&self) {
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

    /// Counts the end of a connection.
    pub(crate) fn closed(&self, code: CloseCode, age: Duration) {
        self.tell();
        self.of.closed(code, age);
    }
}
