//! The keys of those who may manage.

use http::{HeaderMap, header};
use subtle::Choice;

use crate::digest::equal;

/// Secrets: there is no way to show them.
#[derive(Default)]
pub(super) struct Keys(Vec<Box<[u8]>>);

/// Why a request is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotAdmitted {
    Unauthorized,
    /// A web page asks, and there is no key.
    Page,
}

impl Keys {
    pub(super) fn add(&mut self, key: &str) -> Result<(), String> {
        if !(16..=512).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "`Management::key`: a key has 16 to 512 printable characters of ASCII, without spaces"
                    .to_owned(),
            );
        }
        self.0.push(key.as_bytes().into());
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), NotAdmitted> {
        if self.0.is_empty() {
            let by_page = headers
                .get("sec-fetch-site")
                .is_some_and(|site| site != "none");
            return match by_page || headers.contains_key(header::ORIGIN) {
                true => Err(NotAdmitted::Page),
                false => Ok(()),
            };
        }
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(first), None) = (given.next(), given.next()) else {
            return Err(NotAdmitted::Unauthorized);
        };
        let first = first.to_str().map_err(|_| NotAdmitted::Unauthorized)?;
        let (scheme, key) = first.split_once(' ').ok_or(NotAdmitted::Unauthorized)?;
        // Compares with all of them, whichever fits.
        let fits = self.0.iter().fold(Choice::from(0), |fits, own| {
            fits | equal(key.trim_start().as_bytes(), own)
        });
        match scheme.eq_ignore_ascii_case("bearer") && bool::from(fits) {
            true => Ok(()),
            false => Err(NotAdmitted::Unauthorized),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn admits(keys: &Keys, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        keys.admit(&map).is_ok()
    }

    #[test]
    fn each_key_is_admitted_and_nothing_else() {
        let mut keys = Keys::default();
        for key in ["the-old-key-0123", "the-new-key-4567"] {
            keys.add(key).expect("a key");
        }
        for good in ["Bearer the-old-key-0123", "bearer the-new-key-4567"] {
            assert!(admits(&keys, &[("authorization", good)]), "{good}");
        }
        for bad in [
            "Bearer the-new-key-456",
            "Bearer the-new-key-45678",
            "Basic the-new-key-4567",
            "the-new-key-4567",
            "Bearer ",
            "",
        ] {
            assert!(!admits(&keys, &[("authorization", bad)]), "{bad}");
        }
        assert!(!admits(&keys, &[]));
        let twice = ("authorization", "Bearer the-old-key-0123");
        assert!(!admits(&keys, &[twice, twice]));
    }

    #[test]
    fn without_a_key_web_pages_are_refused() {
        let none = Keys::default();
        assert!(admits(&none, &[]));
        assert!(admits(&none, &[("sec-fetch-site", "none")]));
        for by_page in [
            ("origin", "null"),
            ("origin", "http://localhost:1"),
            ("sec-fetch-site", "cross-site"),
        ] {
            assert!(!admits(&none, &[by_page]), "{by_page:?}");
        }
    }
}
