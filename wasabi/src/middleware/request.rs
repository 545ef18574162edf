//! The request middleware that comes with the library.

mod error_handler;
#[cfg(feature = "retry")]
mod retry;
mod timeout;

#[cfg(feature = "retry")]
pub use self::retry::Retry;
pub use self::{error_handler::ErrorHandler, timeout::Timeout};
