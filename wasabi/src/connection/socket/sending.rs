//! Sends what was written.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Failure, Socket, SocketState, buffers::Output, frame::Opcode, opcode};
use crate::Message;

/// Bytes gathered before a write, so that replies from one wake-up go out together.
const WRITE_BUFFER: usize = 16 * 1024;

/// The same with large messages, which are not copied: four of 16 KiB.
const WRITE_UNCOPIED: usize = 64 * 1024;

/// Parts per write, of large messages and of what is between them.
const PARTS: usize = 16;

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    /// Marks the output as changed, and sends it if there is enough.
    #[inline]
    pub(super) fn gathered(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        self.dirty = true;
        written.map_err(Failure::Broken)?;
        if self.writer.output().map_or(0, Output::copied) >= WRITE_BUFFER && !self.blocked {
            let _ = self.poll_send()?;
        }
        Ok(())
    }

    /// Whether a message of this size is sent from where it is.
    #[inline]
    pub(super) fn takes_uncopied(&self, len: usize) -> bool {
        self.writer.takes_uncopied(self.role, len) && !self.blocked && self.io.is_write_vectored()
    }

    #[inline(never)]
    pub(super) fn write_uncopied(&mut self, message: Message) -> Result<(), Failure> {
        let opcode = opcode(&message);
        self.writer.write_uncopied(opcode, message.into_bytes());
        self.dirty = true;
        if self.writer.output().map_or(0, Output::len) >= WRITE_UNCOPIED {
            let _ = self.poll_send()?;
        }
        Ok(())
    }

    /// Sends the output.
    pub(crate) fn poll_flush(&mut self) -> Poll<Result<(), Failure>> {
        if !self.dirty {
            return Poll::Ready(Ok(()));
        }
        self.blocked = false;
        ready!(self.poll_send())?;
        if let Some(pong) = self.pong.take()
            && self.state == SocketState::Open
        {
            self.writer
                .write(self.role, Opcode::Pong, &pong)
                .map_err(Failure::Broken)?;
            ready!(self.poll_send())?;
        }
        let mut cx = Context::from_waker(&self.waker);
        match Pin::new(&mut self.io).poll_flush(&mut cx) {
            Poll::Ready(Ok(())) => {
                self.dirty = false;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.broken(error))),
            Poll::Pending => {
                self.blocked = true;
                Poll::Pending
            }
        }
    }

    /// Writes the output to the stream.
    fn poll_send(&mut self) -> Poll<Result<(), Failure>> {
        let mut cx = Context::from_waker(&self.waker);
        loop {
            let Some(output) = self.writer.output() else {
                return Poll::Ready(Ok(()));
            };
            let io = Pin::new(&mut self.io);
            let polled = if output.is_plain() {
                io.poll_write(&mut cx, output.rest())
            } else {
                let mut parts = [IoSlice::new(&[]); PARTS];
                let count = output.parts(&mut parts);
                io.poll_write_vectored(&mut cx, &parts[..count])
            };
            match polled {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(self.broken(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(count)) => {
                    self.written += count as u64;
                    self.writer.sent(count);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.broken(error))),
                Poll::Pending => {
                    self.blocked = true;
                    self.writer.blocked();
                    return Poll::Pending;
                }
            }
        }
    }
}
