//! A scanner that checks JSON text (RFC 8259) and skips over values without storing anything.
//!
//! serde_json can skip values too, but keeps a stack on the heap for nested ones.

use std::borrow::Cow;

/// The text is not JSON, or nested too deep.
#[derive(Debug)]
pub(super) struct Invalid;

type Scanned<T = ()> = Result<T, Invalid>;

/// A position in JSON text.
#[derive(Debug)]
pub(super) struct Scanner<'t> {
    text: &'t [u8],
    /// What has not been read.
    rest: &'t [u8],
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text: text.as_bytes(),
            rest: text.as_bytes(),
        }
    }

    pub(super) fn position(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// Skips whitespace; the position of what follows.
    pub(super) fn start_of_value(&mut self) -> usize {
        self.skip_space();
        self.position()
    }

    /// Nothing may follow.
    pub(super) fn end(&mut self) -> Scanned {
        self.skip_space();
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Reads the members of an object whose `{` has been eaten; `value` must read each one's value.
    #[inline(always)]
    pub(super) fn members(
        &mut self,
        mut value: impl FnMut(&mut Self, Cow<'t, [u8]>) -> Scanned,
    ) -> Scanned {
        self.skip_space();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            value(self, name)?;
            self.skip_space();
            match self.take()? {
                b',' => {}
                b'}' => return Ok(()),
                _ => return Err(Invalid),
            }
        }
    }

    /// Reads the elements of an array whose `[` has been eaten; `value` must read each one.
    pub(super) fn elements(
        &mut self,
        mut value: impl FnMut(&mut Self, usize) -> Scanned,
    ) -> Scanned {
        self.skip_space();
        if self.eat(b']') {
            return Ok(());
        }
        for index in 0.. {
            value(self, index)?;
            self.skip_space();
            match self.take()? {
                b',' => {}
                b']' => break,
                _ => return Err(Invalid),
            }
        }
        Ok(())
    }

    /// Reads one value and what is nested in it.
    pub(super) fn skip_value(&mut self) -> Scanned {
        self.skip_space();
        match self.take()? {
            first @ (b'{' | b'[') => self.skip_nested(first),
            first => self.scalar(first),
        }
    }

    /// Reads what is in an object or an array, down to its end.
    fn skip_nested(&mut self, mut first: u8) -> Scanned {
        let mut open = Open::default();
        loop {
            match first {
                b'{' => {
                    self.skip_space();
                    if !self.eat(b'}') {
                        open.push(b'}')?;
                        self.skip_name()?;
                        first = self.first_of_value()?;
                        continue;
                    }
                }
                b'[' => {
                    self.skip_space();
                    if !self.eat(b']') {
                        open.push(b']')?;
                        first = self.first_of_value()?;
                        continue;
                    }
                }
                scalar => self.scalar(scalar)?,
            }
            // A value has ended, and with it perhaps what it is in.
            loop {
                let Some(close) = open.innermost() else {
                    return Ok(());
                };
                self.skip_space();
                match self.take()? {
                    b',' if close == b'}' => {
                        self.skip_name()?;
                        break;
                    }
                    b',' => break,
                    byte if byte == close => open.pop(),
                    _ => return Err(Invalid),
                }
            }
            first = self.first_of_value()?;
        }
    }

    fn first_of_value(&mut self) -> Scanned<u8> {
        self.skip_space();
        self.take()
    }

    /// The rest of a value that is neither an object nor an array.
    #[inline]
    fn scalar(&mut self, first: u8) -> Scanned {
        match first {
            b'"' => self.string().map(drop),
            b't' => self.word(b"rue"),
            b'f' => self.word(b"alse"),
            b'n' => self.word(b"ull"),
            first => self.number(first),
        }
    }

    /// The name of a member, and the colon.
    #[inline]
    fn name(&mut self) -> Scanned<Cow<'t, [u8]>> {
        self.skip_space();
        let start = self.rest;
        let has_escapes = self.skip_name_only()?;
        let raw = &start[..start.len() - self.rest.len()];
        self.colon()?;
        if has_escapes {
            // Half a surrogate pair is grammatical as an escape, but no text: then it stays as it is written.
            let name = serde_json::from_slice::<String>(raw);
            return Ok(name.map_or(Cow::Borrowed(raw), |name| Cow::Owned(name.into_bytes())));
        }
        Ok(Cow::Borrowed(&raw[1..raw.len() - 1]))
    }

    fn skip_name(&mut self) -> Scanned {
        self.skip_space();
        self.skip_name_only()?;
        self.colon()
    }

    #[inline]
    fn skip_name_only(&mut self) -> Scanned<bool> {
        match self.take()? {
            b'"' => self.string(),
            _ => Err(Invalid),
        }
    }

    #[inline]
    fn colon(&mut self) -> Scanned {
        self.skip_space();
        match self.take()? {
            b':' => Ok(()),
            _ => Err(Invalid),
        }
    }

    /// A string whose first quote has been taken; whether it contains escapes.
    #[inline]
    fn string(&mut self) -> Scanned<bool> {
        let mut has_escapes = false;
        loop {
            self.skip_plain();
            match self.take()? {
                b'"' => return Ok(has_escapes),
                b'\\' => self.escape()?,
                _ => return Err(Invalid),
            }
            has_escapes = true;
        }
    }

    /// Skips what stands for itself inside a string.
    #[inline]
    fn skip_plain(&mut self) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = ONES << 7;
        // Eight bytes at once. The lowest high bit that is set marks the first byte below the limit; borrows can
        // set wrong ones above it only.
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
        while let Some((word, rest)) = self.rest.split_first_chunk() {
            let word = u64::from_le_bytes(*word);
            // One bit turned over, the quote follows the control characters, and the space does not.
            let special = below(word ^ (ONES << 1), 0x21) | below(word ^ (ONES * 0x5c), 1);
            if special != 0 {
                self.rest = &self.rest[special.trailing_zeros() as usize / 8..];
                return;
            }
            self.rest = rest;
        }
        while let [byte, rest @ ..] = self.rest
            && !matches!(byte, 0..0x20 | b'"' | b'\\')
        {
            self.rest = rest;
        }
    }

    #[cold]
    fn escape(&mut self) -> Scanned {
        match self.take()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    if !self.take()?.is_ascii_hexdigit() {
                        return Err(Invalid);
                    }
                }
                Ok(())
            }
            _ => Err(Invalid),
        }
    }

    fn number(&mut self, mut first: u8) -> Scanned {
        if first == b'-' {
            first = self.take()?;
        }
        match first {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return Err(Invalid),
        }
        if self.eat(b'.') {
            self.some_digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Scanned {
        let before = self.rest.len();
        self.digits();
        if self.rest.len() == before {
            return Err(Invalid);
        }
        Ok(())
    }

    fn digits(&mut self) {
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn word(&mut self, word: &[u8]) -> Scanned {
        self.rest = self.rest.strip_prefix(word).ok_or(Invalid)?;
        Ok(())
    }

    #[inline]
    fn skip_space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    #[inline]
    fn take(&mut self) -> Scanned<u8> {
        let (byte, rest) = self.rest.split_first().ok_or(Invalid)?;
        self.rest = rest;
        Ok(*byte)
    }
}

/// The objects and arrays around a value, innermost in the lowest bit; 1 is an object.
#[derive(Default)]
struct Open {
    kinds: u128,
    depth: u32,
}

impl Open {
    fn push(&mut self, close: u8) -> Scanned {
        if self.depth == u128::BITS {
            return Err(Invalid);
        }
        self.kinds = self.kinds << 1 | u128::from(close == b'}');
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.kinds >>= 1;
        self.depth -= 1;
    }

    /// The byte that ends the innermost.
    fn innermost(&self) -> Option<u8> {
        match (self.depth, self.kinds & 1) {
            (0, _) => None,
            (_, 1) => Some(b'}'),
            _ => Some(b']'),
        }
    }
}
