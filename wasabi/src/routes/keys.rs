//! The keys of a set of routes, as constants: the compiler refuses two sets that share one.

use std::{cmp::Ordering, marker::PhantomData};

use crate::Lifecycle;

/// The keys that a set of routes, or the `match` of a channel, takes without a condition.
#[derive(Debug)]
pub struct Keys {
    /// The file of the declaration.
    pub file: &'static str,
    /// Those that are literals, in ascending order.
    pub literals: &'static [Key],
    /// Those that are constants.
    pub constants: &'static [Key],
    /// Those of sets inside.
    pub inner: &'static [&'static Self],
}

/// A key, and where it is written.
#[derive(Debug)]
pub struct Key {
    /// The key.
    pub text: &'static str,
    /// The line in the file.
    pub line: u32,
}

impl Keys {
    /// No keys.
    pub const NONE: Self = Self {
        file: "",
        literals: &[],
        constants: &[],
        inner: &[],
    };

    const fn own(&self) -> bool {
        !self.literals.is_empty() || !self.constants.is_empty()
    }
}

/// What has such keys.
pub trait Keyed {
    /// The keys.
    const KEYS: &'static Keys;
}

impl Keyed for () {
    const KEYS: &'static Keys = &Keys::NONE;
}

/// A set, and those before it.
impl<A: Keyed, B: Keyed> Keyed for (&A, B) {
    const KEYS: &'static Keys = &Keys {
        inner: &[A::KEYS, B::KEYS],
        ..Keys::NONE
    };
}

/// Two sets of routes, whose types cannot be named.
pub type Both<A, B> = PhantomData<fn() -> (A, B)>;

/// The types of two sets.
pub const fn both<A: Keyed, B: Keyed>(_earlier: &A, _later: &B) -> Both<A, B> {
    PhantomData
}

/// Takes the proof for two sets.
pub const fn proven<A: Keyed, B: Keyed>(_sets: Both<A, B>, _proof: Both<A, B>) {}

/// The proof that two sets have no key in common: panics at compile time if they do.
#[track_caller]
pub const fn proof<A: Keyed, B: Keyed>() -> Both<A, B> {
    if let Some(shared) = first_shared(A::KEYS, B::KEYS) {
        let (text, len) = shared.written();
        let (text, _) = text.split_at(len);
        match std::str::from_utf8(text) {
            Ok(text) => panic!("{}", text),
            Err(_) => panic!("a key is routed twice"),
        }
    }
    PhantomData
}

/// A key that two declarations have.
struct Shared<'a> {
    key: &'a str,
    first: (&'a str, u32),
    second: (&'a str, u32),
}

const MOST: usize = 1024;

impl Shared<'_> {
    /// The mistake in words, at compile time: bytes of which so many are used.
    const fn written(&self) -> ([u8; MOST], usize) {
        let text = ([0; MOST], 0);
        let text = write(text, "the key `");
        let text = write(text, self.key);
        let text = write(text, "` is routed twice: ");
        let text = write_place(text, self.first);
        let text = write(text, " and ");
        write_place(text, self.second)
    }
}

impl std::fmt::Display for Shared<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, first, second } = self;
        write!(
            f,
            "the key `{key}` is routed twice: {}:{} and {}:{}",
            first.0, first.1, second.0, second.1
        )
    }
}

const fn write_place(text: ([u8; MOST], usize), (file, line): (&str, u32)) -> ([u8; MOST], usize) {
    let text = write(write(text, file), ":");
    let mut digits = 1;
    let line = line as u64;
    while line / 10_u64.pow(digits) > 0 {
        digits += 1;
    }
    let mut text = text;
    while digits > 0 {
        digits -= 1;
        let digit = (line / 10_u64.pow(digits) % 10) as u8;
        if text.1 < MOST {
            text.0[text.1] = b'0' + digit;
            text.1 += 1;
        }
    }
    text
}

/// What does not fit is left out, in whole parts.
const fn write(mut text: ([u8; MOST], usize), part: &str) -> ([u8; MOST], usize) {
    let part = part.as_bytes();
    if text.1 + part.len() > MOST {
        return text;
    }
    let mut at = 0;
    while at < part.len() {
        text.0[text.1] = part[at];
        text.1 += 1;
        at += 1;
    }
    text
}

const fn first_shared(a: &'static Keys, b: &'static Keys) -> Option<Shared<'static>> {
    let mut at = 0;
    while at < a.inner.len() {
        if let Some(shared) = first_shared(a.inner[at], b) {
            return Some(shared);
        }
        at += 1;
    }
    if !a.own() {
        return None;
    }
    let mut at = 0;
    while at < b.inner.len() {
        if let Some(shared) = first_shared(a, b.inner[at]) {
            return Some(shared);
        }
        at += 1;
    }
    shared_of_two(a, b)
}

/// Compares the keys of two declarations themselves.
const fn shared_of_two(a: &'static Keys, b: &'static Keys) -> Option<Shared<'static>> {
    let (mut i, mut j) = (0, 0);
    while i < a.literals.len() && j < b.literals.len() {
        match compare(a.literals[i].text, b.literals[j].text) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => return Some(shared(a, &a.literals[i], b, &b.literals[j])),
        }
    }
    if let Some((i, j)) = common(a.constants, b.constants) {
        return Some(shared(a, &a.constants[i], b, &b.constants[j]));
    }
    if let Some((i, j)) = common(a.constants, b.literals) {
        return Some(shared(a, &a.constants[i], b, &b.literals[j]));
    }
    if let Some((i, j)) = common(a.literals, b.constants) {
        return Some(shared(a, &a.literals[i], b, &b.constants[j]));
    }
    None
}

const fn shared(a: &Keys, first: &'static Key, b: &Keys, second: &'static Key) -> Shared<'static> {
    Shared {
        key: first.text,
        first: (a.file, first.line),
        second: (b.file, second.line),
    }
}

/// The positions of the first key that both lists have.
const fn common(a: &[Key], b: &[Key]) -> Option<(usize, usize)> {
    let mut i = 0;
    while i < a.len() {
        let mut j = 0;
        while j < b.len() {
            if let Ordering::Equal = compare(a[i].text, b[j].text) {
                return Some((i, j));
            }
            j += 1;
        }
        i += 1;
    }
    None
}

/// `str`'s own comparison cannot run at compile time.
const fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return match a[at] < b[at] {
                true => Ordering::Less,
                false => Ordering::Greater,
            };
        }
        at += 1;
    }
    if a.len() < b.len() {
        Ordering::Less
    } else if a.len() > b.len() {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

/// Checks when the gateway is built that no two of these have a key in common.
#[derive(Debug)]
pub struct Duplicates<'a>(pub &'a [&'static Keys]);

impl Lifecycle for Duplicates<'_> {
    fn check(&self) -> Result<(), String> {
        let pairs = self.0.iter().enumerate();
        let pairs = pairs.flat_map(|(at, a)| self.0[at + 1..].iter().map(move |b| (a, b)));
        let shared: Vec<_> = pairs
            .filter_map(|(a, b)| first_shared(a, b))
            .map(|shared| shared.to_string())
            .collect();
        match shared.is_empty() {
            true => Ok(()),
            false => Err(shared.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn keys(file: &'static str, literals: &'static [Key], constants: &'static [Key]) -> Keys {
        Keys {
            file,
            literals,
            constants,
            inner: &[],
        }
    }

    const fn key(text: &'static str, line: u32) -> Key {
        Key { text, line }
    }

    static ORDERS: Keys = keys(
        "src/orders.rs",
        &[key("order.cancel", 9), key("order.place", 120)],
        &[key("orders", 7)],
    );
    static MARKET: Keys = keys(
        "src/market.rs",
        &[key("a", 1), key("order.place", 4_000_000_000), key("z", 2)],
        &[],
    );
    static ADMIN: Keys = keys("src/admin.rs", &[key("orders", 3)], &[key("a", 4)]);
    static OTHER: Keys = keys("src/other.rs", &[key("order.plac", 3)], &[key("order", 4)]);

    fn at_compile_time(a: &'static Keys, b: &'static Keys) -> Option<String> {
        let (text, len) = first_shared(a, b)?.written();
        Some(String::from_utf8_lossy(&text[..len]).into_owned())
    }

    #[test]
    fn the_check_names_every_pair_with_a_key_in_common() {
        static BOTH: Keys = Keys {
            inner: &[&OTHER, &ORDERS],
            ..Keys::NONE
        };
        assert_eq!(
            Duplicates(&[&BOTH, &MARKET, &ADMIN]).check(),
            Err(
                "the key `order.place` is routed twice: src/orders.rs:120 and src/market.rs:4000000000; \
                 the key `orders` is routed twice: src/orders.rs:7 and src/admin.rs:3; \
                 the key `a` is routed twice: src/market.rs:1 and src/admin.rs:4"
                    .to_owned()
            )
        );
        assert_eq!(Duplicates(&[&OTHER, &ORDERS, &Keys::NONE]).check(), Ok(()));
    }

    #[test]
    fn the_compiler_says_the_same() {
        for (a, b) in [(&ORDERS, &MARKET), (&ADMIN, &ORDERS), (&ORDERS, &OTHER)] {
            let said = first_shared(a, b).map(|shared| shared.to_string());
            assert_eq!(at_compile_time(a, b), said);
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_cut() {
        let long: &'static str = "x".repeat(2000).leak();
        let list: &'static [Key] = vec![key(long, 1)].leak();
        let keys: &'static Keys = Box::leak(Box::new(keys(long, list, &[])));
        assert_eq!(
            at_compile_time(keys, keys).as_deref(),
            Some("the key `` is routed twice: :1 and :1")
        );
    }
}
