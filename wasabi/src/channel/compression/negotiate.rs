//! The negotiation between client and server (RFC 7692, sections 5 and 7.1).

use std::fmt::Write;

use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};

use super::{Compression, WINDOW_BITS};
use crate::connection::socket::deflate::Agreed;

const NAME: &str = "permessage-deflate";

impl Compression {
    /// Accepts the first acceptable offer and answers it. A malformed list of extensions offers nothing.
    pub(crate) fn negotiate(&self, headers: &HeaderMap) -> Option<(Agreed, HeaderValue)> {
        headers
            .get_all(SEC_WEBSOCKET_EXTENSIONS)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| split(value, b','))
            .filter_map(Offer::parse)
            .find_map(|offer| self.accept(&offer))
    }

    fn accept(&self, offer: &Offer) -> Option<(Agreed, HeaderValue)> {
        if !self.is_on {
            return None;
        }
        let widest = *WINDOW_BITS.end();
        let window = self.kept_window.unwrap_or(widest);
        let offered = offer.server_max_window_bits.unwrap_or(widest);
        if !WINDOW_BITS.contains(&offered) {
            return None;
        }
        let client_window = match offer.client_max_window_bits {
            Some(limit) => window.min(limit.unwrap_or(widest)),
            None => widest,
        };
        let agreed = Agreed {
            threshold: self.threshold,
            level: self.level,
            window: window.min(offered),
            keeps_window: self.kept_window.is_some() && !offer.server_no_context_takeover,
            client_window: (self.kept_window.is_some()
                && !offer.client_no_context_takeover
                && client_window <= window)
                .then_some(client_window),
        };
        let mut answer = NAME.to_owned();
        if !agreed.keeps_window {
            answer.push_str("; server_no_context_takeover");
        }
        if offer.server_max_window_bits.is_some() {
            let _ = write!(answer, "; server_max_window_bits={}", agreed.window);
        }
        match agreed.client_window {
            None => answer.push_str("; client_no_context_takeover"),
            Some(window) if offer.client_max_window_bits.is_some() => {
                let _ = write!(answer, "; client_max_window_bits={window}");
            }
            Some(_) => {}
        }
        let answer = HeaderValue::try_from(answer).ok()?;
        Some((agreed, answer))
    }
}

/// One offer of the client.
#[derive(Debug, Default, PartialEq, Eq)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// Set if the client can limit its window; the inner value is the limit that it already uses.
    client_max_window_bits: Option<Option<u8>>,
}

impl Offer {
    /// Returns `None` for another extension, and for unknown, malformed or duplicate parameters: the server must
    /// decline an offer with one of these (RFC 7692, section 7).
    fn parse(extension: &str) -> Option<Self> {
        let mut parts = split(extension, b';').map(str::trim);
        if parts.next() != Some(NAME) {
            return None;
        }
        let mut offer = Self::default();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(window_bits(value.trim_start())?)),
                None => (part, None),
            };
            let is_repeated = match (name, value) {
                ("server_no_context_takeover", None) => {
                    std::mem::replace(&mut offer.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    std::mem::replace(&mut offer.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(bits)) => {
                    offer.server_max_window_bits.replace(bits).is_some()
                }
                ("client_max_window_bits", value) => {
                    offer.client_max_window_bits.replace(value).is_some()
                }
                _ => return None,
            };
            if is_repeated {
                return None;
            }
        }
        Some(offer)
    }
}

/// Parses 8 to 15 without leading zeros, optionally quoted. No parameter has any other kind of value.
fn window_bits(value: &str) -> Option<u8> {
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    let value = quoted.unwrap_or(value);
    match value.parse() {
        Ok(bits @ 8..=15) if !value.starts_with(['0', '+']) => Some(bits),
        _ => None,
    }
}

/// Splits at a character outside quoted strings (RFC 6455, section 9.1).
fn split(text: &str, at: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                _ => return byte == at && !is_quoted,
            }
            false
        });
        let part = match end {
            Some(end) => {
                rest = Some(&text[end + 1..]);
                &text[..end]
            }
            None => {
                rest = None;
                text
            }
        };
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(compression: &Compression, offers: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for offer in offers {
            let value = HeaderValue::from_str(offer).expect("a value");
            headers.append(SEC_WEBSOCKET_EXTENSIONS, value);
        }
        let (_, answer) = compression.negotiate(&headers)?;
        Some(answer.to_str().expect("text").to_owned())
    }

    const FOR_ITSELF: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    #[test]
    fn messages_are_compressed_for_themselves_whatever_is_offered() {
        let deflate = Compression::deflate();
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits = 10 ; server_no_context_takeover",
            "  permessage-deflate ; client_no_context_takeover  ",
        ] {
            assert_eq!(
                answer(&deflate, &[offer]).as_deref(),
                Some(FOR_ITSELF),
                "{offer}"
            );
        }
        assert_eq!(answer(&deflate, &[]), None);
    }

    #[test]
    fn the_window_that_the_client_asks_for_is_kept_to() {
        let offer = |bits| format!("permessage-deflate; server_max_window_bits={bits}");
        for bits in 9..=15 {
            let expected = FOR_ITSELF.replace(
                "; client",
                &format!("; server_max_window_bits={bits}; client"),
            );
            let answer = answer(&Compression::deflate(), &[&offer(bits)]);
            assert_eq!(answer, Some(expected));
        }
        // zlib has no such window.
        assert_eq!(answer(&Compression::deflate(), &[&offer(8)]), None);
    }

    #[test]
    fn an_offer_with_a_mistake_is_declined_and_the_next_one_is_looked_at() {
        for wrong in [
            "x-webkit-deflate-frame",
            "permessage-deflate; unknown",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=\"10\"",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; client_max_window_bits=1000",
            "permessage-deflate; ",
            "PerMessage-Deflate",
            "",
            "a; b=\", permessage-deflate\"",
        ] {
            assert_eq!(answer(&Compression::deflate(), &[wrong]), None, "{wrong}");
            let twice = [wrong, "permessage-deflate"];
            let list = twice.join(",");
            let together = answer(&Compression::deflate(), &[&list]);
            assert_eq!(together.as_deref(), Some(FOR_ITSELF), "{list}");
            let answer = answer(&Compression::deflate(), &twice);
            assert_eq!(answer.as_deref(), Some(FOR_ITSELF), "{wrong}");
        }
    }

    #[test]
    fn text_in_an_open_quote_is_not_an_offer() {
        for open in [
            "permessage-deflate; server_max_window_bits=\"10, permessage-deflate",
            "a; b=\"\\\", permessage-deflate",
        ] {
            assert_eq!(answer(&Compression::deflate(), &[open]), None, "{open}");
        }
    }

    #[test]
    fn windows_are_kept_if_the_channel_and_the_client_agree() {
        for (bits, offer, expected) in [
            (15, "", ""),
            (
                15,
                "; client_max_window_bits",
                "; client_max_window_bits=15",
            ),
            (
                15,
                "; client_max_window_bits=10",
                "; client_max_window_bits=10",
            ),
            (
                12,
                "; client_max_window_bits",
                "; client_max_window_bits=12",
            ),
            (
                12,
                "; client_max_window_bits=\"8\"",
                "; client_max_window_bits=8",
            ),
            // Its window would be larger than the one kept for it.
            (12, "", "; client_no_context_takeover"),
            (
                12,
                "; server_max_window_bits=15; client_max_window_bits",
                "; server_max_window_bits=12; client_max_window_bits=12",
            ),
            (
                15,
                "; server_max_window_bits=9",
                "; server_max_window_bits=9",
            ),
            (
                15,
                "; server_no_context_takeover",
                "; server_no_context_takeover",
            ),
            (
                15,
                "; client_no_context_takeover",
                "; client_no_context_takeover",
            ),
        ] {
            let deflate = Compression::deflate().context_takeover(bits);
            let answer = answer(&deflate, &[&format!("{NAME}{offer}")]);
            assert_eq!(answer, Some(format!("{NAME}{expected}")), "{bits}: {offer}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_answered_or_not_but_never_a_panic(
            text in r#"(permessage-deflate|[ ,;="\\]|(server|client)_(max_window_bits|no_context_takeover)|[0-9]{1,2}){0,20}"#,
        ) {
            let _ = answer(&Compression::deflate().context_takeover(12), &[&text]);
        }
    }
}
