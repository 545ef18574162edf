//! Metrics of servers, channels and connections, for the `metrics` facade.
//!
//! Rare events are counted when they happen. Each connection counts its own messages and bytes; these are summed up,
//! and current lengths are read, when the metrics are requested.
//!
//! Without the feature `metrics` the same names count nothing.

mod rejected;

#[cfg(not(feature = "metrics"))]
mod absent;
#[cfg(feature = "metrics")]
mod channel;
#[cfg(feature = "metrics")]
mod names;
#[cfg(feature = "metrics")]
mod observation;
#[cfg(feature = "metrics")]
mod observed;
#[cfg(feature = "metrics")]
mod server;
#[cfg(feature = "metrics")]
mod traffic;
#[cfg(feature = "metrics")]
mod upstream;

#[cfg(not(feature = "metrics"))]
pub(crate) use self::absent::*;
#[cfg(feature = "metrics")]
pub use self::observation::Observation;
pub(crate) use self::rejected::Rejected;
#[cfg(feature = "metrics")]
pub(crate) use self::{
    channel::Counted,
    observation::{Breaker, ClusterSeen, breaker_opened},
    observed::{Observe, Observer},
    server::{cut, server},
    traffic::{Tally, Traffic},
    upstream::{OpenUpstream, dialled, redialled},
};
