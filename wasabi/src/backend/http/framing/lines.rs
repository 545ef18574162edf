//! Splits chunks into lines.

use bytes::{Buf, Bytes};

use crate::{Error, Result};

/// Splits a byte stream into lines of bounded size.
pub(in crate::backend::http) struct Cutter {
    limit: usize,
    /// Whether a CR ends a line as well.
    ends_at_cr: bool,
    /// Whether a CR ended the last line; an LF right after it belongs to that line ending.
    after_cr: bool,
    /// The beginning of an incomplete line.
    begun: Vec<u8>,
    chunk: Bytes,
}

impl Cutter {
    pub(super) fn new(limit: usize, ends_at_cr: bool) -> Self {
        Self {
            limit,
            ends_at_cr,
            after_cr: false,
            begun: Vec::new(),
            chunk: Bytes::new(),
        }
    }

    pub(super) fn feed(&mut self, chunk: Bytes) {
        self.chunk = chunk;
    }

    pub(super) fn held(&self) -> usize {
        self.begun.len()
    }

    /// The next complete line, without its line ending.
    pub(super) fn line(&mut self) -> Result<Option<Bytes>> {
        if self.after_cr && self.chunk.has_remaining() {
            self.after_cr = false;
            if self.chunk[0] == b'\n' {
                self.chunk.advance(1);
            }
        }
        let ends = |byte: &u8| *byte == b'\n' || self.ends_at_cr && *byte == b'\r';
        let end = self.chunk.iter().position(ends);
        let length = self.begun.len() + end.unwrap_or(self.chunk.len());
        if length > self.limit {
            let error = format!("a message of more than {} bytes", self.limit);
            return Err(Error::UpstreamUnfit(error.into()));
        }
        let Some(end) = end else {
            self.begun.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
            return Ok(None);
        };
        self.after_cr = self.chunk[end] == b'\r';
        let tail = self.chunk.split_to(end);
        self.chunk.advance(1);
        let line = if self.begun.is_empty() {
            tail
        } else {
            self.begun.extend_from_slice(&tail);
            std::mem::take(&mut self.begun).into()
        };
        Ok(Some(self.without_cr(line)))
    }

    /// The last line, which has no line ending.
    pub(super) fn rest(&mut self) -> Bytes {
        let rest = std::mem::take(&mut self.begun).into();
        self.without_cr(rest)
    }

    fn without_cr(&self, mut line: Bytes) -> Bytes {
        if !self.ends_at_cr && line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lines of a text that arrives in pieces of these lengths.
    fn lines(text: &[u8], pieces: &[usize], ends_at_cr: bool) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut cutter = Cutter::new(usize::MAX, ends_at_cr);
        let mut lines = Vec::new();
        let mut rest = text;
        let mut pieces = pieces.iter().cycle();
        while !rest.is_empty() {
            let length = pieces
                .next()
                .map_or(rest.len(), |length| (*length).min(rest.len()));
            let (piece, after) = rest.split_at(length);
            rest = after;
            cutter.feed(Bytes::copy_from_slice(piece));
            while let Some(line) = cutter.line().expect("no limit") {
                lines.push(line.to_vec());
            }
        }
        (lines, cutter.rest().to_vec())
    }

    #[test]
    fn a_line_over_the_limit_is_an_error_before_it_has_ended() {
        let mut cutter = Cutter::new(4, false);
        cutter.feed(Bytes::from_static(b"four\nfi"));
        assert_eq!(cutter.line().expect("four").as_deref(), Some(&b"four"[..]));
        assert!(cutter.line().expect("not yet").is_none());
        cutter.feed(Bytes::from_static(b"ve5"));
        assert!(cutter.line().is_err());
    }

    proptest! {
        #[test]
        fn lines_are_the_same_in_whatever_pieces_they_come(
            text in "[ab\r\n]{0,40}",
            pieces in prop::collection::vec(1_usize..5, 1..5),
        ) {
            for ends_at_cr in [false, true] {
                let whole = lines(text.as_bytes(), &[usize::MAX], ends_at_cr);
                prop_assert_eq!(&lines(text.as_bytes(), &pieces, ends_at_cr), &whole);
                let normal = match ends_at_cr {
                    true => text.replace("\r\n", "\n").replace('\r', "\n"),
                    false => text.clone(),
                };
                let mut expected: Vec<_> = normal.split('\n').map(str::to_owned).collect();
                if !ends_at_cr {
                    for line in &mut expected {
                        if line.ends_with('\r') {
                            line.pop();
                        }
                    }
                }
                let rest = expected.pop().unwrap_or_default();
                let expected: Vec<_> = expected.into_iter().map(String::into_bytes).collect();
                prop_assert_eq!(whole, (expected, rest.into_bytes()));
            }
        }
    }
}
