//! The properties of a frame, read and written (AMQP 0-9-1, section 1.8).

use std::borrow::Cow;

/// The properties that are read from a reply, of the class basic (AMQP 0-9-1, section 1.8). One that is not valid UTF-8
/// is treated as absent.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Properties<'a> {
    pub(super) correlation_id: Option<&'a str>,
    pub(super) kind: Option<&'a str>,
    /// The header `more`, as text.
    pub(super) more: Option<Cow<'a, [u8]>>,
}

const HEADERS: u32 = 13;
const CORRELATION_ID: u32 = 10;
const KIND: u32 = 5;

impl<'a> Properties<'a> {
    /// `None` if the properties are truncated.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let flags = u16::from_be_bytes(bytes.array()?);
        let mut found = Self::default();
        for property in (2..=15).rev().filter(|bit| flags & (1 << bit) != 0) {
            match property {
                CORRELATION_ID => found.correlation_id = std::str::from_utf8(bytes.short()?).ok(),
                KIND => found.kind = std::str::from_utf8(bytes.short()?).ok(),
                HEADERS => found.more = Bytes(bytes.long()?).more(),
                // Delivery mode and priority.
                11 | 12 => drop(bytes.take(1)?),
                // The timestamp.
                6 => drop(bytes.take(8)?),
                _ => drop(bytes.short()?),
            }
        }
        Some(found)
    }

    pub(super) fn written(&self) -> Vec<u8> {
        let mut flags = 0_u16;
        let mut written = vec![0, 0];
        if let Some(more) = &self.more {
            flags |= 1 << HEADERS;
            let entry = [&b"\x04moreS"[..], &(more.len() as u32).to_be_bytes(), more].concat();
            written.extend_from_slice(&(entry.len() as u32).to_be_bytes());
            written.extend_from_slice(&entry);
        }
        for (bit, value) in [(CORRELATION_ID, self.correlation_id), (KIND, self.kind)] {
            if let Some(value) = value {
                flags |= 1 << bit;
                // It arrived with a length of one byte, so it fits.
                written.push(value.len() as u8);
                written.extend_from_slice(value.as_bytes());
            }
        }
        written[..2].copy_from_slice(&flags.to_be_bytes());
        written
    }
}

/// The rest of what is read.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// A string with a one-byte length.
    fn short(&mut self) -> Option<&'a [u8]> {
        let [length] = self.array()?;
        self.take(length.into())
    }

    /// A string or table with a four-byte length.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_be_bytes(self.array()?);
        self.take(length as usize)
    }

    /// The value of the header `more` in a table. Nested tables and lists are skipped.
    pub(super) fn more(mut self) -> Option<Cow<'a, [u8]>> {
        loop {
            let name = self.short()?;
            let value = self.value()?;
            if name == b"more" {
                return Some(value);
            }
        }
    }

    /// A value with its type (AMQP 0-9-1, section 4.2.1, with RabbitMQ's errata): a string as it is, a number as text,
    /// and empty for other types.
    fn value(&mut self) -> Option<Cow<'a, [u8]>> {
        let [kind] = self.array()?;
        let number: i128 = match kind {
            b'S' | b'x' => return self.long().map(Cow::Borrowed),
            b'b' => i8::from_be_bytes(self.array()?).into(),
            b'B' => u8::from_be_bytes(self.array()?).into(),
            b's' | b'U' => i16::from_be_bytes(self.array()?).into(),
            b'u' => u16::from_be_bytes(self.array()?).into(),
            b'I' => i32::from_be_bytes(self.array()?).into(),
            b'i' => u32::from_be_bytes(self.array()?).into(),
            b'l' | b'L' => i64::from_be_bytes(self.array()?).into(),
            other => {
                match other {
                    b'A' | b'F' => self.long()?,
                    b't' => self.take(1)?,
                    b'f' => self.take(4)?,
                    b'D' => self.take(5)?,
                    b'd' | b'T' => self.take(8)?,
                    b'V' => self.take(0)?,
                    _ => return None,
                };
                return Some(Cow::Borrowed(b""));
            }
        };
        Some(number.to_string().into_bytes().into())
    }
}
