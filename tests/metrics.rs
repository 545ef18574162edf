//! The metrics of a server as its admin listener shows them, and the dashboard that is made of them.

mod metrics {
    pub(crate) mod admin;
    mod dashboard;
    mod server;
    mod upstreams;
}
