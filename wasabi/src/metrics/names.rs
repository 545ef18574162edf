//! The names of the metrics, with units and descriptions.
//!
//! OpenTelemetry has no conventions for WebSocket servers. Where its conventions for others name the same thing
//! (`http.server.active_requests`, `kestrel.rejected_connections`, `signalr.server.connection.duration`,
//! `network.io.direction`, `error.type`), these metrics use that name, as Prometheus writes it.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(super) const ACTIVE: &str = "wasabi_active_connections";
pub(super) const OPENED: &str = "wasabi_opened_connections_total";
pub(super) const REJECTED: &str = "wasabi_rejected_connections_total";
pub(super) const CLOSED: &str = "wasabi_closed_connections_total";
pub(super) const DURATION: &str = "wasabi_connection_duration_seconds";
pub(super) const MESSAGES: &str = "wasabi_messages_total";
pub(super) const BYTES: &str = "wasabi_io_bytes_total";
pub(super) const QUEUED_MESSAGES: &str = "wasabi_send_queue_messages";
pub(super) const QUEUED_BYTES: &str = "wasabi_send_queue_bytes";
pub(super) const SKIPPED: &str = "wasabi_skipped_messages_total";
pub(super) const SOCKETS: &str = "wasabi_active_sockets";
pub(super) const WAITING_BYTES: &str = "wasabi_waiting_reply_bytes";
pub(super) const DRAINING: &str = "wasabi_draining";
pub(super) const CUT: &str = "wasabi_cut_connections_total";
pub(super) const UPSTREAMS: &str = "wasabi_upstream_connections";
pub(super) const DIALS: &str = "wasabi_upstream_dials_total";
pub(super) const REDIALS: &str = "wasabi_upstream_redials_total";
pub(super) const QUEUE_PENDING: &str = "wasabi_queue_pending_requests";
pub(super) const QUEUE_CONNECTED: &str = "wasabi_queue_connected";
pub(super) const QUEUE_DROPPED: &str = "wasabi_queue_dropped_replies_total";
pub(super) const CLUSTER_CONNECTED: &str = "wasabi_cluster_connected";
pub(super) const CLUSTER_SUBSCRIPTIONS: &str = "wasabi_cluster_subscriptions";
pub(super) const CLUSTER_RECEIVED: &str = "wasabi_cluster_received_messages_total";
pub(super) const CLUSTER_DROPPED: &str = "wasabi_cluster_dropped_messages_total";
pub(super) const BREAKER: &str = "wasabi_circuit_breaker_state";
pub(super) const BREAKER_OPENED: &str = "wasabi_circuit_breaker_opened_total";

/// The label of queues.
pub(super) const DESTINATION: &str = "messaging_destination_name";

/// Describes the metrics to the recorder. The next channel describes them to a recorder installed later, as in tests.
// Long: one entry for each metric.
pub(super) fn describe() {
    describe_gauge!(ACTIVE, "WebSocket connections that are open");
    describe_counter!(OPENED, "WebSocket connections that were opened");
    describe_counter!(
        REJECTED,
        "handshakes that were refused, by reason or status"
    );
    describe_counter!(
        CLOSED,
        "WebSocket connections that have ended, by close code"
    );
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "how long WebSocket connections were open"
    );
    describe_counter!(MESSAGES, "messages of clients and to clients");
    describe_counter!(
        BYTES,
        Unit::Bytes,
        "bytes of WebSocket connections, frames included, TLS not"
    );
    describe_gauge!(QUEUED_MESSAGES, "messages that wait in send queues");
    describe_gauge!(QUEUED_BYTES, Unit::Bytes, "bytes that wait in send queues");
    describe_counter!(
        SKIPPED,
        "messages of broadcasts that found a send queue full"
    );
    describe_gauge!(
        SOCKETS,
        "sockets that are open, WebSocket or not, without those of operators"
    );
    describe_gauge!(
        WAITING_BYTES,
        Unit::Bytes,
        "bytes of replies that wait for clients or are read for them"
    );
    describe_gauge!(
        DRAINING,
        "1 from the moment that the server is told to stop"
    );
    describe_counter!(CUT, "connections that a drain has cut at its deadline");
    describe_gauge!(
        UPSTREAMS,
        "connections to WebSocket upstreams that are open"
    );
    describe_counter!(
        DIALS,
        "attempts to connect to a WebSocket upstream, by outcome"
    );
    describe_counter!(
        REDIALS,
        "attempts to connect again after a WebSocket upstream was lost"
    );
    describe_gauge!(QUEUE_PENDING, "requests of a queue that are under way");
    describe_gauge!(
        QUEUE_CONNECTED,
        "1 while the broker of a queue is connected"
    );
    describe_counter!(
        QUEUE_DROPPED,
        "replies of a queue that were dropped, by reason"
    );
    describe_gauge!(
        CLUSTER_CONNECTED,
        "1 while the engine of the cluster is connected"
    );
    describe_gauge!(
        CLUSTER_SUBSCRIPTIONS,
        "groups and users that messages of other gateways are received for"
    );
    describe_counter!(
        CLUSTER_RECEIVED,
        "messages of other gateways, and those of kept groups"
    );
    describe_counter!(
        CLUSTER_DROPPED,
        "messages of other gateways that were dropped"
    );
    describe_gauge!(
        BREAKER,
        "0 closed, 1 half open, 2 open; the worst of the route"
    );
    describe_counter!(BREAKER_OPENED, "how often circuit breakers have opened");
}
