//! Writes what goes to the client.

use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Declaration, Driver, Phase};
use crate::{
    CloseCode, Connection, Reply, Request, Result,
    connection::{
        few::Few,
        outbox::Requested,
        socket::{Failure, HangUp},
        work,
    },
};

impl<'a, T, F, P, C> Driver<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Declaration,
    C: Fn(P, Request, &'a Connection) -> F,
{
    /// Writes the messages queued by other tasks.
    pub(super) fn send_queued(&mut self) -> Result<bool, Failure> {
        let outbox = self.connection.outbox();
        let mut progress = false;
        if self.batch.is_empty() {
            match outbox.take(&mut self.batch) {
                Requested::Nothing => {}
                Requested::Cancel => {
                    self.cancel_requested()?;
                    progress = true;
                }
                Requested::Close if matches!(self.life.phase(), Phase::Open | Phase::Opening) => {
                    if let Some(close) = outbox.requested_close() {
                        self.life.decide(close);
                    }
                    self.drain();
                }
                Requested::Close => {}
                Requested::Stop => {
                    if let Some(close) = outbox.requested_close() {
                        self.life.decide(close);
                    }
                    self.batch = Few::new();
                    if self.life.phase() != Phase::Closing {
                        self.give_up_requests()?;
                    }
                    match self.life.close() {
                        Some(close) if close.code != CloseCode::ABNORMAL => {
                            self.wire.socket.close(close)?;
                        }
                        _ => {}
                    }
                    self.life.stop();
                    return Ok(true);
                }
            }
        }
        let (mut count, mut bytes) = (0, 0);
        let mut result = Ok(());
        while !self.wire.is_blocked() && result.is_ok() && (count == 0 || !work::is_over()) {
            let Some(message) = self.batch.pop_front() else {
                break;
            };
            count += 1;
            bytes += message.len();
            result = self.wire.write_shared(message);
        }
        self.connection.outbox().release(count, bytes);
        result.map(|()| progress || count > 0)
    }

    /// Sends what was written, and publishes how much waits for the client.
    pub(super) fn flush(&mut self) -> Result<Poll<()>, Failure> {
        let (flushed, waiting) = self.wire.flush(self.requests.held_bytes())?;
        if let Some(bytes) = waiting {
            self.connection.held().set_waiting(bytes);
        }
        Ok(flushed)
    }
}
