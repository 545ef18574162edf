//! The id that ties a reply to its request.

use std::fmt;

/// Ties a reply to its request: 48 hexadecimal digits.
///
/// The first 16 are random for each queue value; they distinguish replies to this gateway from those to another gateway
/// with the same reply address. The other 32 are 128 bits from the operating system's random source for each request:
/// they cannot be guessed, and do not repeat after a restart or in a replica.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CorrelationId {
    pub(super) instance: u64,
    pub(super) request: u128,
    text: [u8; LENGTH],
}

const LENGTH: usize = 48;
const INSTANCE_DIGITS: usize = 16;

impl CorrelationId {
    pub(super) fn new(instance: u64, request: u128) -> Self {
        let mut text = [b'0'; LENGTH];
        let (left, right) = text.split_at_mut(INSTANCE_DIGITS);
        write_hex(left, u128::from(instance));
        write_hex(right, request);
        Self {
            instance,
            request,
            text,
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != LENGTH || !text.bytes().all(is_hex) {
            return None;
        }
        let (instance, request) = text.split_at(INSTANCE_DIGITS);
        let instance = u64::from_str_radix(instance, 16).ok()?;
        let request = u128::from_str_radix(request, 16).ok()?;
        Some(Self::new(instance, request))
    }

    /// The id as it is written on the wire.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

fn write_hex(digits: &mut [u8], mut number: u128) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}

impl AsRef<str> for CorrelationId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
