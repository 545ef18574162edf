//! How a connection ends.

use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Declaration, Driver, Phase, Turn};
use crate::{
    Connection, Reply, Request, Result,
    connection::socket::{Failure, HangUp},
    log::said,
};

impl<'a, T, F, P, C> Driver<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Declaration,
    C: Fn(P, Request, &'a Connection) -> F,
{
    pub(super) fn drain(&mut self) {
        // Refuses new messages; those already queued are sent.
        if let Some(close) = self.life.close() {
            self.connection.outbox().close(close.clone());
        }
        self.life.drain(self.declared.settings().close_timeout);
    }

    /// Sends the close frame once everything before it is written.
    pub(super) fn check_close(&mut self) -> Result<Turn, Failure> {
        if self.life.phase() != Phase::Draining {
            return Ok(Turn::Wait);
        }
        if !self.requests.is_empty() || !self.batch.is_empty() {
            return Ok(Turn::Wait);
        }
        self.start_closing()
    }

    pub(super) fn start_closing(&mut self) -> Result<Turn, Failure> {
        let limit = self.declared.settings().close_timeout;
        let Some(close) = self.life.start_closing(limit) else {
            return Ok(Turn::End);
        };
        self.connection.outbox().shut();
        self.wire.socket.close(close)?;
        Ok(Turn::Wait)
    }

    /// The client sends nothing more and takes no replies. Unread data may contain its close frame.
    pub(super) fn hung_up(&mut self) {
        tracing::debug!(connection = %self.connection.id(), "client has hung up");
        self.connection.outbox().shut();
        self.life.hung_up();
    }

    /// Cancels the requests whose replies nobody waits for.
    pub(super) fn leave(&mut self) {
        let cancelled = self.requests.leave();
        if cancelled > 0 {
            tracing::debug!(
                connection = %self.connection.id(),
                requests = cancelled,
                "cancelling the requests in flight"
            );
        }
    }

    /// Decides how to continue after an error of the socket.
    pub(super) fn failed(&mut self, failure: Failure) -> Poll<()> {
        match failure {
            Failure::Closed => Poll::Ready(()),
            Failure::Broken(error) => {
                tracing::debug!(connection = %self.connection.id(), error = %said(&error), "connection broken");
                self.life.broke();
                Poll::Ready(())
            }
            Failure::Rule(close) => {
                if self.life.is_past_close() {
                    return Poll::Ready(());
                }
                tracing::debug!(connection = %self.connection.id(), %close, "client violated the protocol");
                self.leave();
                let sent = self.wire.socket.close(&close);
                self.life
                    .rule_broken(close, self.declared.settings().close_timeout);
                match sent {
                    Ok(()) => Poll::Pending,
                    Err(_) => Poll::Ready(()),
                }
            }
        }
    }
}
