//! The request middleware that comes with the library.

mod error_handler;
mod timeout;

pub use self::{error_handler::ErrorHandler, timeout::Timeout};
