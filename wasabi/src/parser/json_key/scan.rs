//! A scanner that validates JSON text (RFC 8259) and skips values without storing anything.
//!
//! serde_json can skip values too, but keeps a stack on the heap for nested ones.

use std::borrow::Cow;

/// The text is not JSON, or is nested too deep.
#[derive(Debug)]
pub(crate) struct Invalid;

pub(crate) type Scanned<T = ()> = Result<T, Invalid>;

/// Unread JSON text. Each method takes it and returns the rest, which stays in registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scanner<'t>(&'t [u8]);

impl<'t> Scanner<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self(text.as_bytes())
    }

    /// The number of unread bytes.
    pub(crate) fn left(self) -> usize {
        self.0.len()
    }

    /// Skips whitespace.
    #[inline(always)]
    pub(crate) fn skip_space(self) -> Self {
        match self.0 {
            [(..=b' '), ..] => self.some_space(),
            _ => self,
        }
    }

    #[inline(never)]
    fn some_space(mut self) -> Self {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
        self
    }

    /// Checks that nothing follows.
    pub(crate) fn end(self) -> Scanned {
        match self.skip_space().0 {
            [] => Ok(()),
            _ => Err(Invalid),
        }
    }

    /// The text after this byte, if the byte is next.
    #[inline]
    pub(crate) fn after(self, byte: u8) -> Option<Self> {
        match self.0 {
            [first, rest @ ..] if *first == byte => Some(Self(rest)),
            _ => None,
        }
    }

    /// Reads the members of an object after its `{`; `value` must read the value of each.
    #[inline(always)]
    pub(crate) fn members(
        self,
        mut value: impl FnMut(Self, Cow<'t, [u8]>) -> Scanned<Self>,
    ) -> Scanned<Self> {
        let mut scanner = self.skip_space();
        if let Some(scanner) = scanner.after(b'}') {
            return Ok(scanner);
        }
        loop {
            let (after, name) = scanner.name()?;
            match value(after, name)?.skip_space().take()? {
                (b',', rest) => scanner = rest,
                (b'}', rest) => return Ok(rest),
                _ => return Err(Invalid),
            }
        }
    }

    /// Reads the elements of an array after its `[`; `value` must read each.
    #[inline(always)]
    pub(crate) fn elements(
        self,
        mut value: impl FnMut(Self, usize) -> Scanned<Self>,
    ) -> Scanned<Self> {
        let mut scanner = self.skip_space();
        if let Some(scanner) = scanner.after(b']') {
            return Ok(scanner);
        }
        let mut index = 0;
        loop {
            match value(scanner, index)?.skip_space().take()? {
                (b',', rest) => scanner = rest,
                (b']', rest) => return Ok(rest),
                _ => return Err(Invalid),
            }
            index += 1;
        }
    }

    /// Reads one value with everything nested in it.
    #[inline]
    pub(crate) fn value(self) -> Scanned<Self> {
        match self.skip_space().take()? {
            (b'"', rest) => Ok(rest.string()?.0),
            (first @ (b'{' | b'['), rest) => rest.nested(first),
            (first, rest) => rest.bare(first),
        }
    }

    /// Reads the content of an object or array, to its end.
    #[inline(never)]
    fn nested(self, first: u8) -> Scanned<Self> {
        let mut scanner = self;
        let mut first = first;
        let mut open = Open::default();
        loop {
            match first {
                b'{' => {
                    scanner = scanner.skip_space();
                    match scanner.after(b'}') {
                        Some(rest) => scanner = rest,
                        None => {
                            open.push(b'}')?;
                            (first, scanner) = scanner.skip_name()?.skip_space().take()?;
                            continue;
                        }
                    }
                }
                b'[' => {
                    scanner = scanner.skip_space();
                    match scanner.after(b']') {
                        Some(rest) => scanner = rest,
                        None => {
                            open.push(b']')?;
                            (first, scanner) = scanner.take()?;
                            continue;
                        }
                    }
                }
                b'"' => scanner = scanner.string()?.0,
                first => scanner = scanner.bare(first)?,
            }
            // A value has ended, and perhaps the containers around it.
            loop {
                let Some(close) = open.innermost() else {
                    return Ok(scanner);
                };
                let byte;
                (byte, scanner) = scanner.skip_space().take()?;
                match byte {
                    b',' if close == b'}' => {
                        scanner = scanner.skip_name()?;
                        break;
                    }
                    b',' => break,
                    byte if byte == close => open.pop(),
                    _ => return Err(Invalid),
                }
            }
            (first, scanner) = scanner.skip_space().take()?;
        }
    }

    /// Reads the rest of a number or a word.
    #[inline]
    fn bare(self, first: u8) -> Scanned<Self> {
        match first {
            b't' => self.word(b"rue"),
            b'f' => self.word(b"alse"),
            b'n' => self.word(b"ull"),
            first => self.number(first),
        }
    }

    /// Reads the name of a member, and the colon.
    #[inline(always)]
    fn name(self) -> Scanned<(Self, Cow<'t, [u8]>)> {
        let start = self.skip_space().after(b'"').ok_or(Invalid)?;
        let (end, has_escapes) = start.string()?;
        let name = &start.0[..start.left() - end.left() - 1];
        let name = match has_escapes {
            false => Cow::Borrowed(name),
            true => unescaped(name),
        };
        Ok((end.colon()?, name))
    }

    #[inline]
    fn skip_name(self) -> Scanned<Self> {
        let name = self.skip_space().after(b'"').ok_or(Invalid)?;
        name.string()?.0.colon()
    }

    #[inline]
    fn colon(self) -> Scanned<Self> {
        self.skip_space().after(b':').ok_or(Invalid)
    }

    /// Reads a string after its opening quote, and returns whether it contains escapes.
    #[inline]
    fn string(self) -> Scanned<(Self, bool)> {
        match self.skip_plain().take()? {
            (b'"', rest) => Ok((rest, false)),
            (b'\\', rest) => Ok((rest.string_with_escapes()?, true)),
            _ => Err(Invalid),
        }
    }

    /// Reads the rest of a string after the backslash of its first escape.
    #[cold]
    fn string_with_escapes(self) -> Scanned<Self> {
        let mut scanner = self.escape()?;
        loop {
            match scanner.skip_plain().take()? {
                (b'"', rest) => return Ok(rest),
                (b'\\', rest) => scanner = rest.escape()?,
                _ => return Err(Invalid),
            }
        }
    }

    /// Skips the plain characters of a string.
    #[inline(always)]
    fn skip_plain(self) -> Self {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = ONES << 7;
        // Eight bytes at a time. The lowest high bit set marks the first byte below the limit; borrows can only set
        // wrong bits above it.
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
        let mut rest = self.0;
        while let Some((word, after)) = rest.split_first_chunk() {
            let word = u64::from_le_bytes(*word);
            // With one bit flipped, the quote comes right after the control characters, and the space does not.
            let special = below(word ^ (ONES << 1), 0x21) | below(word ^ (ONES * 0x5c), 1);
            if special != 0 {
                return Self(&rest[special.trailing_zeros() as usize / 8..]);
            }
            rest = after;
        }
        while let [byte, after @ ..] = rest
            && !matches!(byte, 0..0x20 | b'"' | b'\\')
        {
            rest = after;
        }
        Self(rest)
    }

    fn escape(self) -> Scanned<Self> {
        let (byte, mut scanner) = self.take()?;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            b'u' => {
                for _ in 0..4 {
                    let digit;
                    (digit, scanner) = scanner.take()?;
                    if !digit.is_ascii_hexdigit() {
                        return Err(Invalid);
                    }
                }
            }
            _ => return Err(Invalid),
        }
        Ok(scanner)
    }

    fn number(self, mut first: u8) -> Scanned<Self> {
        let mut scanner = self;
        if first == b'-' {
            (first, scanner) = scanner.take()?;
        }
        match first {
            b'0' => {}
            b'1'..=b'9' => scanner = scanner.digits(),
            _ => return Err(Invalid),
        }
        if let Some(rest) = scanner.after(b'.') {
            scanner = rest.some_digits()?;
        }
        if let Some(rest) = scanner.after(b'e').or(scanner.after(b'E')) {
            let sign = rest.after(b'+').or(rest.after(b'-'));
            scanner = sign.unwrap_or(rest).some_digits()?;
        }
        Ok(scanner)
    }

    #[inline]
    fn some_digits(self) -> Scanned<Self> {
        let rest = self.digits();
        if rest.left() == self.left() {
            return Err(Invalid);
        }
        Ok(rest)
    }

    #[inline]
    fn digits(mut self) -> Self {
        while let [(b'0'..=b'9'), rest @ ..] = self.0 {
            self.0 = rest;
        }
        self
    }

    #[inline]
    fn word(self, word: &[u8]) -> Scanned<Self> {
        self.0.strip_prefix(word).map(Self).ok_or(Invalid)
    }

    #[inline]
    fn take(self) -> Scanned<(u8, Self)> {
        let (byte, rest) = self.0.split_first().ok_or(Invalid)?;
        Ok((*byte, Self(rest)))
    }
}

/// A lone surrogate is valid as an escape but is not text: such a name stays as written.
#[cold]
fn unescaped(name: &[u8]) -> Cow<'_, [u8]> {
    let quoted = [b"\"", name, b"\""].concat();
    let text = serde_json::from_slice::<String>(&quoted);
    text.map_or(Cow::Borrowed(name), |name| Cow::Owned(name.into_bytes()))
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

    /// The byte that closes the innermost container.
    fn innermost(&self) -> Option<u8> {
        match (self.depth, self.kinds & 1) {
            (0, _) => None,
            (_, 1) => Some(b'}'),
            _ => Some(b']'),
        }
    }
}
