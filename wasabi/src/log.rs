//! What goes into the log: how often, and how what others say is written there.

mod limit;
mod said;

pub(crate) use self::{
    limit::Limits,
    said::{Logged, said},
};

/// A line of the log that a client can bring about, as often as it likes: so many a second are written, and the next one
/// says how many were left out before it, as the field `left_out`.
///
/// `of` tells apart what must not hide one another: lines about one route say nothing about those of others.
macro_rules! limited {
    ($level:ident, of: $key:expr, $($fields:tt)*) => {
        if tracing::enabled!(tracing::Level::$level) {
            static LIMITS: std::sync::LazyLock<$crate::log::Limits> =
                std::sync::LazyLock::new($crate::log::Limits::default);
            if let Some(left_out) = LIMITS.admit($key) {
                tracing::event!(tracing::Level::$level, left_out, $($fields)*);
            }
        }
    };
    ($level:ident, $($fields:tt)*) => {
        $crate::log::limited!($level, of: "", $($fields)*)
    };
}

pub(crate) use limited;
