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
    text: &'t str,
    position: usize,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Skips whitespace; the position of what follows.
    pub(super) fn start_of_value(&mut self) -> usize {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.position += 1;
        }
        self.position
    }

    /// Nothing may follow.
    pub(super) fn end(&mut self) -> Scanned {
        if self.start_of_value() == self.text.len() {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.position += usize::from(is_next);
        is_next
    }

    /// Reads the members of an object whose `{` has been eaten; `value` must read each one's value.
    pub(super) fn members(
        &mut self,
        mut value: impl FnMut(&mut Self, Cow<'t, str>) -> Scanned,
    ) -> Scanned {
        self.start_of_value();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            value(self, name)?;
            self.start_of_value();
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
        self.start_of_value();
        if self.eat(b']') {
            return Ok(());
        }
        for index in 0.. {
            value(self, index)?;
            self.start_of_value();
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
        let mut open = Open::default();
        loop {
            self.start_of_value();
            match self.take()? {
                b'{' => {
                    self.start_of_value();
                    if !self.eat(b'}') {
                        open.push(b'}')?;
                        self.skip_name()?;
                        continue;
                    }
                }
                b'[' => {
                    self.start_of_value();
                    if !self.eat(b']') {
                        open.push(b']')?;
                        continue;
                    }
                }
                b'"' => self.string().map(drop)?,
                b't' => self.word("rue")?,
                b'f' => self.word("alse")?,
                b'n' => self.word("ull")?,
                first => self.number(first)?,
            }
            // A value has ended, and with it perhaps what it is in.
            while let Some(close) = open.innermost() {
                self.start_of_value();
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
            if open.innermost().is_none() {
                return Ok(());
            }
        }
    }

    /// The name of a member, and the colon.
    fn name(&mut self) -> Scanned<Cow<'t, str>> {
        let start = self.start_of_value();
        let has_escapes = self.skip_name_only()?;
        let raw = &self.text[start..self.position];
        self.colon()?;
        if has_escapes {
            // Half a surrogate pair is grammatical as an escape, but no text: then it stays as it is written.
            return Ok(serde_json::from_str(raw).map_or(Cow::Borrowed(raw), Cow::Owned));
        }
        Ok(Cow::Borrowed(&raw[1..raw.len() - 1]))
    }

    fn skip_name(&mut self) -> Scanned {
        self.start_of_value();
        self.skip_name_only()?;
        self.colon()
    }

    fn skip_name_only(&mut self) -> Scanned<bool> {
        match self.take()? {
            b'"' => self.string(),
            _ => Err(Invalid),
        }
    }

    fn colon(&mut self) -> Scanned {
        self.start_of_value();
        match self.take()? {
            b':' => Ok(()),
            _ => Err(Invalid),
        }
    }

    /// A string whose first quote has been taken; whether it contains escapes.
    fn string(&mut self) -> Scanned<bool> {
        let mut has_escapes = false;
        loop {
            self.position += plain(&self.text.as_bytes()[self.position..]);
            match self.take()? {
                b'"' => return Ok(has_escapes),
                b'\\' => self.escape()?,
                _ => return Err(Invalid),
            }
            has_escapes = true;
        }
    }

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
        let start = self.position;
        self.digits();
        if self.position == start {
            return Err(Invalid);
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
    }

    fn word(&mut self, rest: &str) -> Scanned {
        if !self.text.as_bytes()[self.position..].starts_with(rest.as_bytes()) {
            return Err(Invalid);
        }
        self.position += rest.len();
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn take(&mut self) -> Scanned<u8> {
        let byte = self.peek().ok_or(Invalid)?;
        self.position += 1;
        Ok(byte)
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

/// How many bytes at the start of `bytes` stand for themselves inside a string.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    // Eight bytes at once. The lowest high bit that is set marks the first byte below the limit; borrows can
    // set wrong ones above it only.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let is = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, _) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = below(word, 0x20) | is(word, b'"') | is(word, b'\\');
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let tail = words.len() * 8;
    bytes[tail..]
        .iter()
        .position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'))
        .map_or(bytes.len(), |index| tail + index)
}
