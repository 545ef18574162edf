//! Payloads that peers may send.

use proptest::prelude::*;

use super::*;

const FOR_ITSELF: Agreed = Agreed {
    threshold: 0,
    level: 2,
    window: 15,
    keeps_window: false,
    client_window: None,
};

const KEPT: Agreed = Agreed {
    keeps_window: true,
    client_window: Some(15),
    ..FOR_ITSELF
};

fn compressed(deflater: &mut Deflater, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(deflater.deflate(payload, &mut out), "not compressed");
    out
}

fn inflated(inflater: &mut Inflater, payload: &[u8]) -> Result<Vec<u8>, u16> {
    match inflater.inflate(payload, 1 << 20) {
        Ok(message) => Ok(message.to_vec()),
        Err(close) => Err(close.code.as_u16()),
    }
}

#[test]
fn the_examples_of_the_rfc_are_inflated() {
    const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for agreed in [FOR_ITSELF, KEPT] {
        for hello in [
            HELLO,
            // an uncompressed block
            &[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ],
            // the final block of a stream, and an empty one
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            // two blocks
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
            // nothing after the final block, which is incorrect
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            let mut inflater = Inflater::new(agreed);
            for _ in 0..2 {
                assert_eq!(inflated(&mut inflater, hello).as_deref(), Ok(&b"Hello"[..]));
            }
        }
        assert_eq!(
            inflated(&mut Inflater::new(agreed), &[0]).as_deref(),
            Ok(&b""[..])
        );
    }
    // Refers to the message before.
    const AGAIN: &[u8] = &[0xf2, 0x00, 0x11, 0x00, 0x00];
    let mut kept = Inflater::new(KEPT);
    assert!(inflated(&mut kept, HELLO).is_ok());
    assert_eq!(inflated(&mut kept, AGAIN).as_deref(), Ok(&b"Hello"[..]));
    let mut not_kept = Inflater::new(FOR_ITSELF);
    assert!(inflated(&mut not_kept, HELLO).is_ok());
    assert_eq!(inflated(&mut not_kept, AGAIN), Err(1007));
}

#[test]
fn no_more_is_inflated_than_is_allowed() {
    let bomb = compressed(&mut Deflater::new(FOR_ITSELF), &vec![0; 10_000_000]);
    assert!(bomb.len() < 50_000);
    for agreed in [FOR_ITSELF, KEPT] {
        for (limit, expected) in [
            (1000, Err(CloseCode::TOO_BIG)),
            (9_999_999, Err(CloseCode::TOO_BIG)),
            (10_000_000, Ok(())),
        ] {
            let mut out = Vec::new();
            let mut inflater = Inflater::new(agreed);
            let result = inflater.inflate_to(&bomb, limit, &mut out);
            assert_eq!(result.map_err(|close| close.code), expected);
            assert!(out.capacity() <= limit + 1, "{} of {limit}", out.capacity());
        }
    }
}

#[test]
fn messages_below_the_threshold_and_empty_ones_are_sent_as_they_are() {
    let agreed = Agreed {
        threshold: 100,
        ..FOR_ITSELF
    };
    let mut out = Vec::new();
    let mut deflater = Deflater::new(agreed);
    assert!(!deflater.deflate(&[b'a'; 99], &mut out) && out.is_empty());
    assert!(deflater.deflate(&[b'a'; 100], &mut out) && out.len() < 10);
    for agreed in [FOR_ITSELF, KEPT] {
        let mut deflater = Deflater::new(agreed);
        assert!(!deflater.deflate(b"", &mut out), "nothing to compress");
    }
}

#[test]
fn messages_refer_to_earlier_ones_only_if_agreed() {
    let message: Vec<u8> = (0..1000_u32).flat_map(u32::to_le_bytes).collect();
    let sizes = |agreed| {
        let mut deflater = Deflater::new(agreed);
        [0; 2].map(|_| compressed(&mut deflater, &message).len())
    };
    let [first, second] = sizes(FOR_ITSELF);
    assert_eq!(first, second);
    let [first, second] = sizes(KEPT);
    assert!(second < first / 10, "{second} of {first}");
}

#[test]
fn a_broadcast_is_compressed_once() {
    let compressed_bytes = || COMPRESS.with_borrow(|spares| spares[0].compress.total_in());
    let news = Bytes::from("news ".repeat(1000));
    let elsewhere = news.clone();
    let mut first = Vec::new();
    let mut deflater = Deflater::new(FOR_ITSELF);
    assert!(deflater.deflate_shared(&news, &mut first));
    assert_eq!(compressed_bytes(), 5000);
    assert!(deflater.deflate(b"of nobody else", &mut Vec::new()));
    for payload in [news.clone(), news.slice(..)] {
        let mut again = Vec::new();
        assert!(Deflater::new(FOR_ITSELF).deflate_shared(&payload, &mut again));
        assert_eq!(again, first);
    }
    assert_eq!(compressed_bytes(), 14);
    // Another window, level or part of the payload gives another result.
    for (agreed, payload) in [
        (
            Agreed {
                window: 9,
                ..FOR_ITSELF
            },
            news.clone(),
        ),
        (
            Agreed {
                level: 9,
                ..FOR_ITSELF
            },
            news.clone(),
        ),
        (FOR_ITSELF, news.slice(..4995)),
        (KEPT, news.clone()),
    ] {
        let mut other = Vec::new();
        assert!(Deflater::new(agreed).deflate_shared(&payload, &mut other));
        let inflated = inflated(&mut Inflater::new(FOR_ITSELF), &other);
        assert_eq!(inflated.as_deref(), Ok(&payload[..]));
    }
    for n in 0..20_u8 {
        let payload = Bytes::from(vec![n; 1000]);
        let _also_elsewhere = payload.clone();
        assert!(deflater.deflate_shared(&payload, &mut Vec::new()));
    }
    assert!(LATELY_SHARED.with_borrow(VecDeque::len) <= LATELY);
    drop(elsewhere);
    assert!(news.is_unique());
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let letters = prop::collection::vec(0..4_u8, 0..5000);
    prop_oneof![letters, prop::collection::vec(any::<u8>(), 0..2000)]
}

proptest! {
    #[test]
    fn messages_come_out_as_they_went_in(
        messages in prop::collection::vec(message(), 1..6),
        level in 1..=9_u8,
        window in 9..=15_u8,
        is_kept: bool,
    ) {
        let agreed = Agreed {
            level,
            window,
            keeps_window: is_kept,
            client_window: is_kept.then_some(window),
            ..FOR_ITSELF
        };
        let (mut deflater, mut inflater) = (Deflater::new(agreed), Inflater::new(agreed));
        for message in messages {
            let mut out = Vec::new();
            if deflater.deflate(&message, &mut out) {
                prop_assert!(out.len() < message.len() + message.len() / 8 + 64);
                prop_assert_eq!(inflated(&mut inflater, &out), Ok(message));
            }
        }
    }

    #[test]
    fn a_truncated_message_is_not_accepted(message in message(), cut in 1..100_usize) {
        let mut out = Vec::new();
        if Deflater::new(FOR_ITSELF).deflate(&message, &mut out) && cut < out.len() {
            out.truncate(out.len() - cut);
            let inflated = inflated(&mut Inflater::new(FOR_ITSELF), &out);
            // The empty block at the end may be missing. A lone first byte of a stored block is an empty message (RFC
            // 7692, section 7.2.3.6).
            let is_whole = inflated == Ok(message) || out == [0] && inflated == Ok(Vec::new());
            prop_assert!(is_whole || inflated == Err(1007), "{inflated:?}");
        }
    }

    #[test]
    fn any_payload_is_inflated_or_refused(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        for agreed in [FOR_ITSELF, KEPT] {
            let mut out = Vec::new();
            if let Err(close) = Inflater::new(agreed).inflate_to(&payload, 2000, &mut out) {
                prop_assert!(matches!(close.code.as_u16(), 1007 | 1009));
            }
            prop_assert!(out.capacity() <= 2001);
        }
    }
}
