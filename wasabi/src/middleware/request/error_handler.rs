//! Turns errors into replies with a function.

use crate::{Error, IntoReply, Middleware, Next, Reply, Request, Result};

/// Passes every error from inside to a function, whose result replaces it.
///
/// ```
/// use wasabi::{Error, middleware::request::ErrorHandler, prelude::*};
///
/// let sold_out = ErrorHandler::new(|req: &Request, error: Error| match error {
///     Error::UpstreamStatus { status, .. } if status.as_u16() == 409 => {
///         Ok(format!("{} is sold out", req.key()))
///     }
///     error => Err(error),
/// });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ErrorHandler<F>(F);

impl<F, R> ErrorHandler<F>
where
    F: Fn(&Request, Error) -> R + Send + Sync,
    R: IntoReply,
{
    /// Creates a handler that calls this function; the reply or error that it returns goes on outwards.
    pub const fn new(function: F) -> Self {
        Self(function)
    }
}

impl<F, R> Middleware for ErrorHandler<F>
where
    F: Fn(&Request, Error) -> R + Send + Sync,
    R: IntoReply,
{
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        match next.run(req.clone()).await {
            Ok(reply) => Ok(reply),
            Err(error) => self.0(&req, error).into_reply(),
        }
    }
}
