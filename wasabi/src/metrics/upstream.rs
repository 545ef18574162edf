//! Metrics of WebSocket upstreams.

use super::names;

/// The labels of the upstream at an address. Built on each use, because these events are rare.
fn labels(host: &str, port: u16) -> [(&'static str, String); 2] {
    [
        ("server_address", host.to_owned()),
        ("server_port", port.to_string()),
    ]
}

/// Counts a dial; `outcome` is the code of the error, or `ok`.
pub(crate) fn dialled(host: &str, port: u16, outcome: &str) {
    let [address, port] = labels(host, port);
    let labels = [address, port, ("outcome", outcome.to_owned())];
    metrics::counter!(names::DIALS, &labels).increment(1);
}

/// Counts that the gateway dials again for a client that has lost its upstream.
pub(crate) fn redialled(host: &str, port: u16) {
    metrics::counter!(names::REDIALS, &labels(host, port)).increment(1);
}

/// Counts an open connection to an upstream until it is dropped.
pub(crate) struct OpenUpstream(metrics::Gauge);

impl OpenUpstream {
    pub(crate) fn at(host: &str, port: u16) -> Self {
        let open = metrics::gauge!(names::UPSTREAMS, &labels(host, port));
        open.increment(1);
        Self(open)
    }
}

impl Drop for OpenUpstream {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
