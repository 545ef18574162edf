//! WebSockets on bare tokio, without a library: what frames cost at least, and what a small codec costs.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{Args, Failure, tungstenite::shake_hands};

/// The most that is read at once.
const READ: usize = 64 * 1024;
const MAX_MESSAGE: usize = 1024 * 1024;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

thread_local! {
    /// Where all connections of a thread read and write.
    static BUFFERS: RefCell<(Vec<u8>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Answers frames.
trait Answer: Default + Send + 'static {
    /// Adds the answer to a frame whose payload is unmasked. Returns `None` where the connection ends.
    fn answer(&mut self, first: u8, payload: &[u8], out: &mut Vec<u8>) -> Option<()>;
}

/// Sends each frame back, and checks nothing.
#[derive(Default)]
struct Raw;

impl Answer for Raw {
    fn answer(&mut self, first: u8, payload: &[u8], out: &mut Vec<u8>) -> Option<()> {
        write(out, first, payload);
        (first & 15 < CLOSE).then_some(())
    }
}

/// Makes a message of each text, which is checked, and of fragments, and answers control frames.
#[derive(Default)]
struct Messages {
    fragments: Vec<u8>,
    opcode: u8,
}

impl Answer for Messages {
    fn answer(&mut self, first: u8, payload: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let is_final = first & FINAL != 0;
        let (opcode, data) = match first & 15 {
            0 => {
                if self.fragments.len() + payload.len() > MAX_MESSAGE {
                    return None;
                }
                self.fragments.extend_from_slice(payload);
                if !is_final {
                    return Some(());
                }
                (self.opcode, std::mem::take(&mut self.fragments).into())
            }
            opcode @ (TEXT | BINARY) if is_final => (opcode, Bytes::copy_from_slice(payload)),
            opcode @ (TEXT | BINARY) => {
                self.opcode = opcode;
                self.fragments.extend_from_slice(payload);
                return Some(());
            }
            PING => {
                write(out, FINAL | PONG, payload);
                return Some(());
            }
            PONG => return Some(()),
            _ => {
                write(out, FINAL | CLOSE, payload);
                return None;
            }
        };
        if opcode == TEXT {
            str::from_utf8(&data).ok()?;
        }
        write(out, FINAL | opcode, &data);
        Some(())
    }
}

fn write(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.push(first);
    match payload.len() {
        len @ ..126 => out.push(len as u8),
        len @ ..0x1_0000 => {
            out.push(126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Where the payload begins, and its length; `None` if the head is incomplete.
fn head(bytes: &[u8]) -> Option<(usize, u64)> {
    match bytes.get(1)? & 127 {
        126 => Some((
            8,
            u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into(),
        )),
        127 => Some((14, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        len => Some((6, len.into())),
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([mask, mask].concat().try_into().unwrap_or_default());
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= mask;
    }
}

/// A connection between two wake-ups. An idle one keeps nothing.
#[derive(Default)]
struct Connection<A> {
    answers: A,
    /// The beginning of a frame.
    rest: Vec<u8>,
    /// What the client has not taken.
    unsent: Vec<u8>,
}

impl<A: Answer> Connection<A> {
    /// Answers all complete frames, and tells how many bytes they have; `None` where the connection ends.
    fn answer(&mut self, input: &mut [u8], out: &mut Vec<u8>) -> Option<usize> {
        let mut at = 0;
        while let Some((begin, len)) = head(&input[at..]) {
            let (first, second) = (input[at], input[at + 1]);
            if first & RESERVED != 0 || second & 0x80 == 0 || len > MAX_MESSAGE as u64 {
                return None;
            }
            let (begin, end) = (at + begin, at + begin + len as usize);
            if end > input.len() {
                break;
            }
            let mask = *input[..begin].last_chunk()?;
            unmask(&mut input[begin..end], mask);
            self.answers.answer(first, &input[begin..end], out)?;
            at = end;
        }
        Some(at)
    }

    fn poll_flush(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut *stream).poll_write(cx, &self.unsent))?;
            self.unsent.drain(..sent);
        }
        self.unsent = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Reads once, and answers. Returns whether the connection goes on.
    fn poll_turn(
        &mut self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        BUFFERS.with_borrow_mut(|(input, out)| {
            let before = self.rest.len();
            input.resize(input.len().max(before + READ), 0);
            let mut free = ReadBuf::new(&mut input[before..]);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut free))?;
            let count = free.filled().len();
            if count == 0 {
                return Poll::Ready(Ok(false));
            }
            input[..before].copy_from_slice(&self.rest);
            let input = &mut input[..before + count];
            out.clear();
            let answered = self.answer(input, out);
            self.rest = input[answered.unwrap_or(input.len())..].to_vec();
            let sent = match out.is_empty() {
                true => 0,
                false => match Pin::new(stream).poll_write(cx, out) {
                    Poll::Ready(sent) => sent?,
                    Poll::Pending => 0,
                },
            };
            self.unsent.extend_from_slice(&out[sent..]);
            Poll::Ready(Ok(answered.is_some()))
        })
    }
}

async fn serve<A: Answer>(args: Args) -> Result<(), Failure> {
    let listener = args.listen()?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            shake_hands(&mut stream).await?;
            let mut connection = Connection::<A>::default();
            poll_fn(|cx| {
                loop {
                    ready!(connection.poll_flush(&mut stream, cx))?;
                    if !ready!(connection.poll_turn(&mut stream, cx))? {
                        return Poll::Ready(Ok::<_, Failure>(()));
                    }
                }
            })
            .await?;
            // The answer to a close frame.
            poll_fn(|cx| connection.poll_flush(&mut stream, cx)).await?;
            Ok::<_, Failure>(())
        });
    }
}

/// Frames go back as they are.
pub(crate) async fn raw(args: Args) -> Result<(), Failure> {
    serve::<Raw>(args).await
}

/// Frames become messages, which go back.
pub(crate) async fn own(args: Args) -> Result<(), Failure> {
    serve::<Messages>(args).await
}
