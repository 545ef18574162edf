//! Metrics of servers, channels and connections, for the `metrics` facade.
//!
//! Rare events are counted when they happen. Each connection counts its own messages and bytes; these are summed up,
//! and current lengths are read, when the metrics are requested.

mod channel;
mod names;
mod observation;
mod observed;
mod server;
mod traffic;
mod upstream;

pub use self::observation::Observation;
pub(crate) use self::{
    channel::{Counted, Rejected},
    observation::{Breaker, breaker_opened},
    observed::{Observe, Observer},
    server::{Figures, cut},
    traffic::{Tally, Traffic},
    upstream::{OpenUpstream, dialled, redialled},
};
