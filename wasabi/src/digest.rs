//! Digests of keys that clients choose, and the comparison of secrets.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher, RandomState};

use subtle::{Choice, ConstantTimeEq};

/// 128 bits that represent a key of any size, so that the memory for keys is bounded by their number.
///
/// Without knowing the [`Secret`], nobody can find two keys with the same digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u64; 2]);

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
        state.write_u64(self.0[1]);
    }
}

/// The random SipHash key that digests are made with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secret(RandomState);

impl Secret {
    pub(crate) fn new() -> Self {
        Self(RandomState::new())
    }

    /// The digest of a key. Its `Hash` must cover everything that distinguishes it from other keys.
    pub(crate) fn digest(&self, key: &(impl Hash + ?Sized)) -> Digest {
        let mut hasher = self.hasher();
        key.hash(&mut hasher);
        hasher.digest()
    }

    /// A hasher that makes a digest of its input.
    pub(crate) fn hasher(&self) -> DigestHasher {
        let mut halves = [self.0.build_hasher(), self.0.build_hasher()];
        // Different prefixes make the two halves independent.
        for (number, half) in halves.iter_mut().enumerate() {
            half.write_usize(number);
        }
        DigestHasher(halves)
    }
}

pub(crate) struct DigestHasher([DefaultHasher; 2]);

impl DigestHasher {
    pub(crate) fn digest(&self) -> Digest {
        let [first, second] = &self.0;
        Digest([first.finish(), second.finish()])
    }
}

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        for half in &mut self.0 {
            half.write(bytes);
        }
    }

    fn finish(&self) -> u64 {
        self.0[0].finish()
    }
}

/// For maps with digests as keys, which are hashes already.
pub(crate) type ByDigest = BuildHasherDefault<Hashed>;

#[derive(Debug, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, half: u64) {
        // The last half is the hash.
        self.0 = half;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Compares in a time that depends only on the length of `given`.
pub(crate) fn equal(given: &[u8], expected: &[u8]) -> Choice {
    let mut same = given.len().ct_eq(&expected.len());
    for (at, byte) in given.iter().enumerate() {
        same &= byte.ct_eq(expected.get(at).unwrap_or(&0));
    }
    same
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn comparison_is_correct_for_every_length() {
        let texts = ["", "a", "b", "ab", "aa", "a\0", "\0", "abc"];
        for given in texts {
            for expected in texts {
                let same = bool::from(equal(given.as_bytes(), expected.as_bytes()));
                assert_eq!(same, given == expected, "{given:?} {expected:?}");
            }
        }
    }

    #[test]
    fn keys_have_different_digests_in_both_halves() {
        let secret = Secret::new();
        let digests: Vec<_> = (0..10_000).map(|n: u32| secret.digest(&n)).collect();
        for half in 0..2 {
            let halves: HashSet<u64> = digests.iter().map(|digest| digest.0[half]).collect();
            assert_eq!(halves.len(), digests.len());
        }
        assert!(digests.iter().all(|digest| digest.0[0] != digest.0[1]));
        assert_eq!(secret.digest("a"), secret.digest("a"));
        assert_ne!(secret.digest(&("a", "bc")), secret.digest(&("ab", "c")));
        assert_ne!(Secret::new().digest("a"), Secret::new().digest("a"));
    }
}
