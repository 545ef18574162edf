//! Metrics of a server.

use super::names;

/// Sets the gauges of a server: its open sockets, the bytes of replies that wait, and whether it is told to stop.
pub(crate) fn server(sockets: usize, waiting_bytes: usize, is_leaving: bool) {
    let draining = if is_leaving { 1.0 } else { 0.0 };
    metrics::gauge!(names::SOCKETS).set(sockets as f64);
    metrics::gauge!(names::WAITING_BYTES).set(waiting_bytes as f64);
    metrics::gauge!(names::DRAINING).set(draining);
    metrics::counter!(names::CUT).increment(0);
}

/// Counts the connections that a drain cuts.
pub(crate) fn cut(connections: usize) {
    metrics::counter!(names::CUT).increment(connections as u64);
}
