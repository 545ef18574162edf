use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [7, 0, 255, 99];

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Head::write(&mut bytes, Opcode::Binary, payload.len(), Some(MASK));
    bytes[0] = first;
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    apply_mask(&mut bytes[start..], MASK);
    bytes
}

fn reader() -> Reader {
    Reader::new(Role::Server, 1024, None)
}

fn events(reader: &mut Reader, bytes: &[u8]) -> Result<Vec<Event>, Close> {
    let mut events = Vec::new();
    let mut input = Input::of(bytes);
    while let Some(event) = reader.read(&mut input)? {
        events.push(event);
    }
    assert!(input.rest().is_empty());
    Ok(events)
}

fn code(bytes: &[u8]) -> u16 {
    let close = events(&mut reader(), bytes).expect_err("a broken rule");
    close.code.as_u16()
}

#[test]
fn each_violation_has_its_close_code() {
    for (what, bytes, expected) in [
        ("a reserved bit", frame(0xc1, b"x"), 1002),
        ("an unknown data frame", frame(0x83, b"x"), 1002),
        ("an unknown control frame", frame(0x8b, b"x"), 1002),
        ("a ping in fragments", frame(0x09, b"x"), 1002),
        ("a long ping", frame(0x89, &[0; 126]), 1002),
        (
            "a continuation frame without a message",
            frame(0x80, b"x"),
            1002,
        ),
        ("no mask", vec![0x81, 1, b'x'], 1002),
        ("a close frame with a single byte", frame(0x88, &[3]), 1002),
        ("a code that is none", frame(0x88, &[3, 0xed]), 1002),
        (
            "a reason that is no text",
            frame(0x88, &[3, 0xe8, 0xff]),
            1007,
        ),
        ("a text that is none", frame(0x81, &[0xff]), 1007),
        ("half a character", frame(0x81, &[0xc3]), 1007),
        ("a large message", frame(0x82, &[0; 1025]), 1009),
        (
            "an endless length",
            vec![0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0],
            1002,
        ),
        (
            "a length near the end",
            vec![
                0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0,
            ],
            1009,
        ),
    ] {
        assert_eq!(code(&bytes), expected, "{what}");
    }
    let twice = [frame(0x01, b"x"), frame(0x01, b"x")].concat();
    assert_eq!(code(&twice), 1002);
    let large = [frame(0x02, &[0; 1000]), frame(0x80, &[0; 25])].concat();
    assert_eq!(code(&large), 1009);
}

#[test]
fn invalid_utf_8_is_refused_before_the_end_of_the_message() {
    let mut bytes = frame(0x81, &[0xff; 100]);
    bytes.truncate(20);
    assert_eq!(code(&bytes), 1007);
    // Cut within a character that may still be completed.
    let bytes = [frame(0x01, &[0xe2, 0x82]), frame(0x00, &[0xac])].concat();
    assert_eq!(events(&mut reader(), &bytes), Ok(vec![]));
    assert_eq!(code(&[bytes, frame(0x80, &[0xac])].concat()), 1007);
}

#[test]
fn a_length_that_is_only_announced_reserves_nothing() {
    let mut reader = Reader::new(Role::Server, usize::MAX >> 1, None);
    let mut head = vec![0x82, 0xff, 0, 0, 0, 16, 0, 0, 0, 0];
    head.extend_from_slice(&MASK);
    head.push(0);
    assert_eq!(events(&mut reader, &head), Ok(vec![]));
    let partial = reader.message.expect("a message has begun");
    assert!(partial.payload.capacity() < 100);
}

#[test]
fn a_kept_message_does_not_change() {
    let mut reader = Reader::new(Role::Server, 1024 * 1024, None);
    let kept = events(&mut reader, &frame(0x82, b"kept")).expect("a message");
    for _ in 0..100 {
        events(&mut reader, &frame(0x82, &[1; 8000])).expect("a message");
    }
    assert_eq!(kept, [Event::Message(Message::Binary("kept".into()))]);
}

/// A message or a ping, and the positions at which its frames begin.
#[derive(Debug, Clone)]
enum Sent {
    Text(String, Vec<prop::sample::Index>),
    Binary(Vec<u8>, Vec<prop::sample::Index>),
    Ping(Vec<u8>),
}

fn sent() -> impl Strategy<Value = Sent> {
    let cuts = || prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    prop_oneof![
        ("\\PC{0,200}", cuts()).prop_map(|(text, cuts)| Sent::Text(text, cuts)),
        (prop::collection::vec(any::<u8>(), 0..900), cuts())
            .prop_map(|(data, cuts)| Sent::Binary(data, cuts)),
        prop::collection::vec(any::<u8>(), 0..125).prop_map(Sent::Ping),
    ]
}

fn fragments(opcode: u8, payload: &[u8], cuts: &[prop::sample::Index]) -> Vec<u8> {
    let mut ends: Vec<_> = cuts
        .iter()
        .map(|cut| cut.index(payload.len() + 1))
        .collect();
    ends.sort_unstable();
    ends.push(payload.len());
    let (mut bytes, mut start) = (Vec::new(), 0);
    for (index, end) in ends.iter().copied().enumerate() {
        let is_final = if index + 1 == ends.len() { 0x80 } else { 0 };
        let opcode = if index == 0 { opcode } else { 0 };
        bytes.extend(frame(is_final | opcode, &payload[start..end]));
        if is_final == 0 {
            bytes.extend(frame(0x8a, b"a pong between"));
        }
        start = end;
    }
    bytes
}

proptest! {
    #[test]
    fn messages_arrive_whole_however_they_are_cut(
        all in prop::collection::vec(sent(), 1..8),
        sizes in prop::collection::vec(1..300_usize, 1..20),
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for sent in all {
            expected.push(match sent {
                Sent::Text(text, cuts) => {
                    bytes.extend(fragments(1, text.as_bytes(), &cuts));
                    Event::Message(Message::Text(text.into()))
                }
                Sent::Binary(data, cuts) => {
                    bytes.extend(fragments(2, &data, &cuts));
                    Event::Message(Message::Binary(data.into()))
                }
                Sent::Ping(data) => {
                    bytes.extend(frame(0x89, &data));
                    Event::Ping(data.into())
                }
            });
        }
        let mut reader = reader();
        let mut got = Vec::new();
        let mut rest = &bytes[..];
        for size in sizes.into_iter().cycle() {
            let piece;
            (piece, rest) = rest.split_at(size.min(rest.len()));
            got.extend(events(&mut reader, piece).expect("no broken rule"));
            if rest.is_empty() {
                break;
            }
        }
        got.retain(|event| *event != Event::Pong);
        prop_assert_eq!(got, expected);
    }
}
