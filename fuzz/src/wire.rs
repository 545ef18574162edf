//! A stream whose other end is in the hands of a target: it decides how many bytes there are to read, and how many may be
//! written.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    readable: VecDeque<u8>,
    ends: bool,
    breaks: bool,
    room: usize,
    written: Vec<u8>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.0.lock().expect("nobody panics meanwhile"))
    }

    fn wake(&self, whom: impl FnOnce(&mut State) -> Option<Waker>) {
        if let Some(waker) = self.with(whom) {
            waker.wake();
        }
    }

    /// These bytes have arrived.
    pub fn deliver(&self, bytes: &[u8]) {
        self.wake(|state| {
            state.readable.extend(bytes);
            state.reader.take()
        });
    }

    /// Nothing arrives after what has.
    pub fn end(&self) {
        self.wake(|state| {
            state.ends = true;
            state.reader.take()
        });
    }

    /// Every further read or write fails.
    pub fn break_off(&self) {
        self.wake(|state| {
            state.breaks = true;
            state.writer.take()
        });
        self.wake(|state| state.reader.take());
    }

    /// So many bytes more may be written.
    pub fn make_room(&self, count: usize) {
        self.wake(|state| {
            state.room = state.room.saturating_add(count);
            match count {
                0 => None,
                _ => state.writer.take(),
            }
        });
    }

    /// Nothing may be written any more.
    pub fn block(&self) {
        self.with(|state| state.room = 0);
    }

    /// What was written since the last time.
    pub fn written(&self) -> Vec<u8> {
        self.with(|state| std::mem::take(&mut state.written))
    }
}

impl wasabi::fuzzing::HangUp for Wire {}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|state| {
            if state.breaks {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if state.readable.is_empty() && !state.ends {
                state.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let count = buffer.remaining().min(state.readable.len());
            for byte in state.readable.drain(..count) {
                buffer.put_slice(&[byte]);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|state| {
            if state.breaks {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if state.room == 0 {
                state.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let count = bytes.len().min(state.room);
            state.room -= count;
            state.written.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let parts: Vec<_> = parts.iter().map(|part| &**part).collect();
        self.poll_write(cx, &parts.concat())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
