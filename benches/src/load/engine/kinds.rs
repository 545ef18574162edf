//! What the event loop does for each kind of measurement.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Engine, OPEN_LIMIT};
use crate::load::{Histogram, Outcome, Window, connection::Connection};

/// How long to wait for replies after the window.
const DRAIN: Duration = Duration::from_secs(5);

impl Engine<'_> {
    /// Keeps messages in flight on every connection.
    pub(crate) fn messages(&mut self, window: Window) -> io::Result<Outcome> {
        self.open_all()?;
        self.sending = true;
        for index in 0..self.connections.len() {
            self.connections[index].owe(self.load.depth);
            self.write(index)?;
        }
        self.run_for(window.warmup, |_| false)?;
        self.latency = Histogram::default();
        let (first, start) = (self.received, self.start());
        let last = first + window.limit.unwrap_or(u64::MAX / 2);
        self.run_for(window.length, |engine| engine.received >= last)?;
        let mut outcome = self.end(&start);
        outcome.count = (self.received - first) * self.load.payload.requests() as u64;
        outcome.latency = std::mem::take(&mut self.latency);
        self.sending = false;
        self.connections.iter_mut().for_each(Connection::stop);
        self.run_for(DRAIN, |engine| {
            engine.closed > 0 || engine.connections.iter().all(Connection::is_settled)
        })?;
        self.verdict(&mut outcome);
        Ok(outcome)
    }

    /// Sends over the first connection, again as soon as all connections have received the message.
    pub(crate) fn broadcasts(&mut self, window: Window) -> io::Result<Outcome> {
        self.shares_messages = true;
        self.open_all()?;
        self.broadcast()?;
        let (first, start) = (self.received, self.start());
        while start.at.elapsed() < window.length {
            let at = Instant::now();
            if !self.broadcast()? {
                break;
            }
            self.latency.record(at.elapsed());
        }
        let mut outcome = self.end(&start);
        outcome.count = self.received - first;
        outcome.latency = std::mem::take(&mut self.latency);
        self.verdict(&mut outcome);
        outcome.missing = self.expected() - self.received.min(self.expected());
        Ok(outcome)
    }

    /// Sends one broadcast. Returns whether all connections have received it.
    fn broadcast(&mut self) -> io::Result<bool> {
        self.connections[0].owe(1);
        self.write(0)?;
        self.run_for(DRAIN, |engine| {
            engine.closed > 0 || engine.received >= engine.expected()
        })?;
        Ok(self.closed == 0 && self.received >= self.expected())
    }

    /// The number of messages that all connections together must have received.
    fn expected(&self) -> u64 {
        self.connections[0].sent() * self.connections.len() as u64
    }

    /// Opens connections, replacing each as soon as it is open.
    pub(crate) fn handshakes(&mut self, window: Window) -> io::Result<Outcome> {
        self.reopening = true;
        for _ in 0..self.load.connections {
            self.open(None)?;
        }
        self.run_for(window.warmup, |_| false)?;
        let (first, full, start) = (self.opened, self.full, self.start());
        let last = first + window.limit.unwrap_or(u64::MAX / 2);
        self.run_for(window.length, |engine| engine.opened >= last)?;
        let mut outcome = self.end(&start);
        outcome.count = self.opened - first;
        outcome.full = self.full - full;
        Ok(outcome)
    }

    /// Opens connections, sends one message over each, closes it, and replaces it.
    pub(crate) fn churn(&mut self, window: Window) -> io::Result<Outcome> {
        self.churning = true;
        for _ in 0..self.load.connections {
            self.open(None)?;
        }
        self.run_for(window.warmup, |_| false)?;
        let (first, start) = (self.ended, self.start());
        let last = first + window.limit.unwrap_or(u64::MAX / 2);
        self.run_for(window.length, |engine| engine.ended >= last)?;
        let mut outcome = self.end(&start);
        outcome.count = self.ended - first;
        outcome.closed = self.closed;
        Ok(outcome)
    }

    /// Opens connections, sends one message over each, and measures the server's memory.
    pub(crate) fn idle(&mut self, window: Window) -> io::Result<Outcome> {
        let start = self.start();
        self.open_all()?;
        for index in 0..self.connections.len() {
            self.connections[index].owe(1);
            self.write(index)?;
        }
        self.run_for(OPEN_LIMIT, |engine| {
            engine.closed > 0 || engine.connections.iter().all(|c| c.received() == 1)
        })?;
        self.run_for(window.length, |_| false)?;
        let mut outcome = self.end(&start);
        outcome.count = self.connections.len() as u64;
        self.verdict(&mut outcome);
        Ok(outcome)
    }
}
