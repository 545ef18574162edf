//! What is counted of servers, channels and connections, for the `metrics` facade.
//!
//! Events that are rare are counted when they happen. Messages and bytes are counted by their connection, for itself;
//! they are added up, like everything that has a length now, when somebody asks for the metrics.

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
