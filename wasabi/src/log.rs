//! Logging: rate limits, and text from outside.

mod limit;
mod said;

pub(crate) use self::{
    limit::LogLimits,
    said::{Logged, said},
};

/// Writes a log line that a client can trigger as often as it likes. Only so many are written per second; the next line
/// says in the field `left_out` how many were skipped before it.
///
/// `of` separates lines that must not hide each other: each route has its own limit.
macro_rules! limited {
    ($level:ident, of: $key:expr, $($fields:tt)*) => {
        if tracing::enabled!(tracing::Level::$level) {
            static LIMITS: std::sync::LazyLock<$crate::log::LogLimits> =
                std::sync::LazyLock::new($crate::log::LogLimits::default);
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
