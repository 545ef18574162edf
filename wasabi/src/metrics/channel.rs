//! Metrics of a channel.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use axum::response::Response;
use metrics::{Counter, Gauge, Histogram};

use super::{Rejected, names};
use crate::{CloseCode, sync::Unpoisoned};

/// Counts the events of a channel's connections; clones share their counts.
#[derive(Clone, Default)]
pub(crate) struct Counted(Arc<ChannelCounts>);

#[derive(Default)]
struct ChannelCounts {
    /// The full path of the channel, including where it is mounted.
    path: Mutex<String>,
    /// Created on first use, when the recorder has been installed.
    figures: OnceLock<ChannelFigures>,
}

pub(super) struct ChannelFigures {
    path: String,
    active: Gauge,
    opened: Counter,
    duration: Histogram,
    skipped: Counter,
    queued_messages: Gauge,
    queued_bytes: Gauge,
    /// In the same order as those of [`Traffic`](super::Traffic).
    pub(super) traffic: [Counter; 4],
}

impl ChannelFigures {
    fn new(path: String) -> Self {
        names::describe();
        let label = || [("channel", path.clone())];
        let flow = |name: &'static str, direction: &'static str| metrics::counter!(name, "channel" => path.clone(), "network_io_direction" => direction);
        Self {
            active: metrics::gauge!(names::ACTIVE, &label()),
            opened: metrics::counter!(names::OPENED, &label()),
            duration: metrics::histogram!(names::DURATION, &label()),
            skipped: metrics::counter!(names::SKIPPED, &label()),
            queued_messages: metrics::gauge!(names::QUEUED_MESSAGES, &label()),
            queued_bytes: metrics::gauge!(names::QUEUED_BYTES, &label()),
            traffic: [
                flow(names::MESSAGES, "receive"),
                flow(names::BYTES, "receive"),
                flow(names::MESSAGES, "transmit"),
                flow(names::BYTES, "transmit"),
            ],
            path,
        }
    }
}

impl Counted {
    /// Sets the path of the channel, which becomes the label of all its metrics.
    pub(super) fn reached_by(&self, path: &str) {
        path.clone_into(&mut self.0.path.lock().unpoisoned());
    }

    /// The full path of the channel.
    #[cfg(feature = "console")]
    pub(crate) fn path(&self) -> String {
        self.0.path.lock().unpoisoned().clone()
    }

    pub(super) fn figures(&self) -> &ChannelFigures {
        self.0.figures.get_or_init(|| {
            let path = self.0.path.lock().unpoisoned();
            ChannelFigures::new(path.clone())
        })
    }

    pub(crate) fn opened(&self) {
        self.figures().opened.increment(1);
        self.figures().active.increment(1);
    }

    pub(super) fn closed(&self, close: CloseCode, age: Duration) {
        let figures = self.figures();
        figures.active.decrement(1);
        figures.duration.record(age);
        let path = figures.path.clone();
        metrics::counter!(names::CLOSED, "channel" => path, "code" => code(close)).increment(1);
    }

    pub(super) fn skipped(&self) {
        self.figures().skipped.increment(1);
    }

    /// Counts the answer to a handshake if it refuses it.
    pub(super) fn answered(&self, response: &Response) {
        let status = response.status();
        let reason = match response.extensions().get::<Rejected>() {
            Some(reason) => Cow::Borrowed(reason.as_str()),
            None if status.as_u16() < 400 => return,
            None => Cow::Owned(status.as_str().to_owned()),
        };
        let path = self.figures().path.clone();
        metrics::counter!(names::REJECTED, "channel" => path, "error_type" => reason).increment(1);
    }

    /// Sets how many messages and bytes wait for the channel's clients.
    pub(crate) fn queued(&self, messages: usize, bytes: usize) {
        self.figures().queued_messages.set(messages as f64);
        self.figures().queued_bytes.set(bytes as f64);
    }
}

impl PartialEq for Counted {
    /// Whether both count the same channel.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Groups the codes from 3000 to 4999, because a client may send any of them.
fn code(code: CloseCode) -> &'static str {
    match code.as_u16() {
        1000 => "1000",
        1001 => "1001",
        1002 => "1002",
        1003 => "1003",
        1005 => "1005",
        1006 => "1006",
        1007 => "1007",
        1008 => "1008",
        1009 => "1009",
        1010 => "1010",
        1011 => "1011",
        1012 => "1012",
        1013 => "1013",
        1014 => "1014",
        3000..4000 => "3xxx",
        4000..5000 => "4xxx",
        _ => "other",
    }
}
