//! Cleans up the frames from RabbitMQ for lapin.
//!
//! lapin ends the connection over properties and header names that are not valid UTF-8, and it reads tables
//! recursively. A worker can write anything into them. Therefore lapin gets only the properties that a reply needs; the
//! others are removed from the frames before it reads them.

mod properties;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};

use self::properties::Properties;

/// A stream to and from RabbitMQ.
pub(super) struct Legible<S> {
    stream: BufReader<S>,
    state: FrameState,
    /// The held frame, or what is left of it.
    held: Vec<u8>,
}

enum FrameState {
    /// This many bytes, up to the end of a frame, pass unchanged.
    Passes(usize),
    /// The frame is held until this many bytes of it have arrived.
    Holds(usize),
    /// The held bytes are given out, from this position on.
    Gives(usize),
}

/// The size of a frame's head: type, channel and size.
const HEAD: usize = 7;
const END: usize = 1;
/// The type of frames that carry properties.
const HEADER: u8 = 2;
/// The size of class, weight and body size.
const FIXED: usize = 12;
/// More than lapin allows RabbitMQ to send.
const MAX_HEADER: usize = 1024 * 1024;
const READ_BUFFER: usize = 32 * 1024;

impl<S: AsyncRead> Legible<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream: BufReader::with_capacity(READ_BUFFER, stream),
            state: FrameState::Holds(HEAD),
            held: Vec::new(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Legible<S> {
    // Long: the transitions of one state machine.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            stream,
            state,
            held,
        } = &mut *self;
        let mut stream = Pin::new(stream);
        while buf.remaining() > 0 {
            match *state {
                FrameState::Passes(0) => *state = FrameState::Holds(HEAD),
                FrameState::Passes(left) => {
                    let read = ready!(stream.as_mut().poll_fill_buf(cx))?;
                    let read = &read[..read.len().min(left).min(buf.remaining())];
                    let count = read.len();
                    buf.put_slice(read);
                    stream.consume(count);
                    *state = FrameState::Passes(left - count);
                    return Poll::Ready(Ok(()));
                }
                FrameState::Holds(whole) if held.len() < whole => {
                    let read = ready!(stream.as_mut().poll_fill_buf(cx))?;
                    let read = &read[..read.len().min(whole - held.len())];
                    let count = read.len();
                    if count == 0 {
                        // The end of the stream. lapin detects it if it comes within a frame.
                        if held.is_empty() {
                            return Poll::Ready(Ok(()));
                        }
                        *state = FrameState::Gives(0);
                        continue;
                    }
                    held.extend_from_slice(read);
                    stream.as_mut().consume(count);
                }
                FrameState::Holds(HEAD) => {
                    let size = [held[3], held[4], held[5], held[6]];
                    let rest = u32::from_be_bytes(size) as usize;
                    match held[0] {
                        HEADER if rest > MAX_HEADER => {
                            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                        }
                        HEADER => *state = FrameState::Holds(HEAD + rest + END),
                        _ => *state = FrameState::Gives(0),
                    }
                }
                FrameState::Holds(_) => {
                    leave_out(held);
                    *state = FrameState::Gives(0);
                }
                FrameState::Gives(from) if from < held.len() => {
                    let count = (held.len() - from).min(buf.remaining());
                    buf.put_slice(&held[from..from + count]);
                    *state = FrameState::Gives(from + count);
                    return Poll::Ready(Ok(()));
                }
                FrameState::Gives(_) => {
                    *state = match **held {
                        // The head of a frame that is not held.
                        [kind, _, _, a, b, c, d] if kind != HEADER => {
                            FrameState::Passes(u32::from_be_bytes([a, b, c, d]) as usize + END)
                        }
                        _ => FrameState::Holds(HEAD),
                    };
                    held.clear();
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Legible<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Removes from a frame the properties that no reply needs.
fn leave_out(frame: &mut Vec<u8>) {
    let end = frame.len() - END;
    let Some(properties) = frame.get(HEAD + FIXED..end) else {
        return;
    };
    let kept = Properties::read(properties).unwrap_or_default().written();
    frame.splice(HEAD + FIXED..end, kept);
    let size = (frame.len() - HEAD - END) as u32;
    frame[3..HEAD].copy_from_slice(&size.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::{properties::Bytes, *};

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let size = payload.len() as u32;
        let head = [&[kind, 0, 1][..], &size.to_be_bytes()].concat();
        [&head[..], payload, &[0xCE]].concat()
    }

    fn header(properties: &[u8]) -> Vec<u8> {
        frame(
            HEADER,
            &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3][..], properties].concat(),
        )
    }

    /// All properties, with these bytes in each string.
    fn properties(text: &[u8], headers: &[u8]) -> Vec<u8> {
        let short = [&[text.len() as u8][..], text].concat();
        let mut all = vec![0b1111_1111, 0b1111_1100];
        for property in (2..=15).rev() {
            match property {
                13 => {
                    all.extend((headers.len() as u32).to_be_bytes());
                    all.extend(headers);
                }
                11 | 12 => all.push(2),
                6 => all.extend([0; 8]),
                _ => all.extend(&short),
            }
        }
        all
    }

    /// Delivers this many bytes at a time.
    struct Pieces<'a>(&'a [u8], usize);

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let (piece, rest) = self
                .0
                .split_at(self.1.min(self.0.len()).min(buf.remaining()));
            buf.put_slice(piece);
            self.0 = rest;
            Poll::Ready(Ok(()))
        }
    }

    /// What lapin gets, no matter how the bytes arrive and how much it reads at a time.
    async fn passed(bytes: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        let mut whole = Legible::new(bytes);
        whole.read_to_end(&mut all).await.expect("bytes");
        for piece in [1, 2, 7, 8] {
            let mut legible = Legible::new(Pieces(bytes, piece));
            let mut pieces = Vec::new();
            loop {
                let mut read = vec![0; piece];
                match legible.read(&mut read).await.expect("bytes") {
                    0 => break,
                    count => pieces.extend_from_slice(&read[..count]),
                }
            }
            assert_eq!(pieces, all);
        }
        all
    }

    #[tokio::test]
    async fn only_requested_properties_pass() {
        let deep = [b"\x01a", &[b'A', 0, 0, 0, 9].repeat(20_000)[..]].concat();
        for headers in [&b""[..], b"\x02\xff\xfeS\0\0\0\x01x", &deep] {
            let sent = [
                frame(1, b"delivery"),
                header(&properties(b"id", headers)),
                frame(3, b"a\xffc"),
                frame(8, b""),
            ];
            let expected = [
                frame(1, b"delivery"),
                header(&[0b0000_0100, 0b0010_0000, 2, b'i', b'd', 2, b'i', b'd']),
                frame(3, b"a\xffc"),
                frame(8, b""),
            ];
            assert_eq!(passed(&sent.concat()).await, expected.concat());
        }
    }

    #[tokio::test]
    async fn the_part_number_passes_among_the_headers() {
        let before = b"\x01aF\0\0\0\x03\x01aV\x01bt\x01\x01cD\0\0\0\0\x01";
        for (value, number) in [
            (&b"S\0\0\0\x0217"[..], "17"),
            (b"b\x11", "17"),
            (b"s\0\x11", "17"),
            (b"I\0\0\0\x11", "17"),
            (b"l\0\0\0\0\0\0\0\x11", "17"),
            (b"I\xff\xff\xff\xff", "-1"),
            (b"t\x01", ""),
        ] {
            let headers = [&before[..], b"\x04more", value].concat();
            let more = Bytes(&headers).more().expect("a value");
            assert_eq!(more, number.as_bytes());
            let kept = Properties::read(&properties(b"id", &headers)).map(|kept| kept.written());
            let table = [
                &b"\x04moreS\0\0\0"[..],
                &[number.len() as u8],
                number.as_bytes(),
            ];
            let table = table.concat();
            let expected = [
                &[0b0010_0100, 0b0010_0000, 0, 0, 0, table.len() as u8][..],
                &table,
                b"\x02id\x02id",
            ];
            assert_eq!(kept, Some(expected.concat()));
        }
    }

    #[tokio::test]
    async fn invalid_utf_8_and_truncated_frames_do_not_pass() {
        let cut = properties(b"id", b"\xff");
        for bytes in [&properties(b"\xff", b"")[..], &cut[..cut.len() - 1], b""] {
            let sent = [header(bytes), frame(3, b"x")].concat();
            let expected = [header(&[0, 0]), frame(3, b"x")].concat();
            assert_eq!(passed(&sent).await, expected);
        }
    }

    #[tokio::test]
    async fn an_end_of_stream_within_a_frame_reaches_lapin() {
        let whole = [frame(1, b"delivery"), header(&properties(b"id", b""))].concat();
        for end in 0..whole.len() {
            let passed = passed(&whole[..end]).await;
            assert!(passed.len() <= end);
        }
        let mut endless = header(b"");
        endless[3] = 0xff;
        let mut all = Vec::new();
        let error = Legible::new(&endless[..]).read_to_end(&mut all).await;
        assert_eq!(
            error.expect_err("too long").kind(),
            io::ErrorKind::InvalidData
        );
    }
}
