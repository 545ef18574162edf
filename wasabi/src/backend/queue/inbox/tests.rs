use std::collections::HashSet;

use proptest::prelude::*;

use super::{super::parts::Parts, *};

fn inbox() -> Inbox {
    Inbox::new()
}

fn register(inbox: &Inbox, limit: usize, max_size: usize) -> Result<Waiting> {
    match inbox.enter(ConnectionId(0), limit) {
        Entered::Place(place) => inbox.register(place, max_size),
        Entered::Turn(_) => panic!("it has everything"),
        Entered::Full => Err(Error::Overloaded),
    }
}

async fn whole(waiting: &mut Waiting) -> Result<Message> {
    match waiting.reply().await? {
        Answer::Whole(message) => Ok(message),
        Answer::Parts(_) => panic!("a part"),
    }
}

#[test]
fn correlation_ids_differ_between_requests_and_between_queues() {
    let (one, other) = (inbox(), inbox());
    let ids: HashSet<_> = (0..500)
        .flat_map(|_| {
            [
                register(&one, 9, 64).unwrap().id,
                register(&other, 9, 64).unwrap().id,
            ]
        })
        .map(|id| id.to_string())
        .collect();
    assert_eq!(ids.len(), 1000);
    assert_ne!(one.instance(), other.instance());
    for half in [0..16, 16..48] {
        let halves: HashSet<_> = ids.iter().map(|id| id[half.clone()].to_owned()).collect();
        assert_eq!(halves.len(), if half.end == 16 { 2 } else { 1000 });
    }
}

/// An id could be guessed if only some digits changed from request to request.
#[test]
fn every_bit_of_a_requests_id_is_random() {
    let inbox = inbox();
    let ids = (0..100).map(|_| register(&inbox, 1, 64).unwrap().id.request);
    let (mut set, mut clear) = (0, 0);
    ids.for_each(|id| {
        set |= id;
        clear |= !id;
    });
    assert_eq!((set, clear), (u128::MAX, u128::MAX));
}

#[tokio::test]
async fn the_first_reply_wins_and_the_others_are_counted() {
    let inbox = inbox();
    let mut waiting = register(&inbox, 1, 64).unwrap();
    assert!(inbox.reply(waiting.id, "first"));
    assert!(!inbox.reply(waiting.id, "second"));
    assert_eq!(whole(&mut waiting).await.unwrap(), Message::text("first"));
    let id = waiting.id;
    drop(waiting);
    assert!(!inbox.reply(id, "late"));
    let dropped = inbox.dropped();
    assert_eq!((dropped.unmatched, dropped.foreign), (2, 0));
    assert_eq!(inbox.waiting(), 0);
}

#[test]
fn foreign_replies_are_counted() {
    let (one, other) = (inbox(), inbox());
    let waiting = register(&one, 1, 64).unwrap();
    assert!(!other.reply(waiting.id, "x"));
    assert!(!other.reply("", "x"));
    assert!(!other.reply("é".repeat(24), "x"));
    assert!(!one.reply(waiting.id.as_str().to_uppercase() + "0", "x"));
    assert_eq!(other.dropped().foreign, 3);
    assert_eq!(one.dropped().foreign, 1);
    assert_eq!(one.waiting(), 1);
}

#[test]
fn the_number_of_requests_is_limited_and_places_come_back() {
    let inbox = inbox();
    let places: Vec<_> = (0..3).map(|_| register(&inbox, 3, 64).unwrap()).collect();
    assert!(matches!(register(&inbox, 3, 64), Err(Error::Overloaded)));
    drop(places);
    assert!(register(&inbox, 3, 64).is_ok());
    assert!(inbox.0.waiting.shards().all(|shard| shard.is_empty()));
}

#[tokio::test]
async fn invalid_utf_8_is_an_error_and_never_text() {
    let inbox = inbox();
    let mut waiting = register(&inbox, 1, 64).unwrap();
    inbox.reply_with(waiting.id, None, None, Bytes::from_static(b"\xff"));
    let reply = waiting.reply().await;
    assert!(matches!(reply, Err(Error::UpstreamUnfit(_))));
}

#[tokio::test]
async fn a_reply_that_is_too_large_is_an_error_and_counted() {
    let inbox = inbox();
    for reply in ["x".repeat(64), "x".repeat(65)] {
        let (mut plain, mut wire) = (
            register(&inbox, 2, 64).unwrap(),
            register(&inbox, 2, 64).unwrap(),
        );
        let fits = reply.len() <= 64;
        assert_eq!(inbox.reply(plain.id, reply.clone()), fits);
        // The size is checked before anything reads the bytes.
        assert_eq!(inbox.reply_with(wire.id, None, None, reply.into()), fits);
        for reply in [whole(&mut plain).await, whole(&mut wire).await] {
            assert_eq!(matches!(reply, Err(Error::UpstreamUnfit(_))), !fits);
        }
        assert!(!inbox.reply(wire.id, "late"));
    }
    let dropped = inbox.dropped();
    assert_eq!((dropped.too_large, dropped.unmatched), (2, 2));
}

async fn parts(waiting: &mut Waiting) -> Arc<Parts> {
    match waiting.reply().await.unwrap() {
        Answer::Parts(parts) => parts,
        Answer::Whole(_) => panic!("all at once"),
    }
}

#[tokio::test]
async fn parts_come_in_their_order_and_none_of_them_twice() {
    let inbox = inbox();
    let mut waiting = register(&inbox, 1, 64).unwrap();
    let id = waiting.id;
    assert!(inbox.part(id, 1, "one"));
    assert!(!inbox.part(id, 1, "again"));
    assert!(inbox.reply_with(id, Some(b"binary"), Some(b"2"), Bytes::from_static(b"two")));
    assert!(inbox.reply(id, "three"));
    assert!(!inbox.part(id, 4, "late"));
    let parts = parts(&mut waiting).await;
    for (message, is_last) in [
        (Message::text("one"), false),
        (Message::binary(&b"two"[..]), false),
        (Message::text("three"), true),
    ] {
        let next = parts.next().await;
        assert_eq!((next.message.unwrap(), next.is_last), (message, is_last));
    }
    assert_eq!(inbox.dropped().unmatched, 2);
}

#[tokio::test]
async fn a_part_that_is_missing_or_has_no_number_ends_the_request() {
    let inbox = inbox();
    for more in [&b"2"[..], b"0", b"", b"yes", b"\xff", b"-1"] {
        let mut waiting = register(&inbox, 1, 64).unwrap();
        inbox.reply_with(waiting.id, None, Some(more), Bytes::new());
        let reply = waiting.reply().await;
        assert!(matches!(reply, Err(Error::UpstreamInvalid(_))));
    }
}

#[tokio::test]
async fn an_error_ends_a_reply_in_parts() {
    let inbox = inbox();
    let mut waiting = register(&inbox, 1, 64).unwrap();
    inbox.part(waiting.id, 1, "one");
    let why = Bytes::from_static(b"no paper");
    assert!(inbox.reply_with(waiting.id, Some(b"error"), Some(b"2"), why));
    let parts = parts(&mut waiting).await;
    assert_eq!(parts.next().await.message.unwrap(), Message::text("one"));
    let end = parts.next().await;
    let error = end.message.unwrap_err();
    assert_eq!((error.code(), end.is_last), ("job_failed", true));
    assert_eq!(error.client_message(), "no paper");
}

/// Parts for a client that takes nothing use at most as much memory as one whole reply; then the request fails.
#[tokio::test]
async fn the_parts_that_wait_are_bounded() {
    for (size, most) in [(16, 4), (0, 256), (65, 0)] {
        let inbox = inbox();
        let mut waiting = register(&inbox, 1, 64).unwrap();
        let added = (1..1000).filter(|n| inbox.part(waiting.id, *n, "x".repeat(size)));
        assert_eq!(added.count(), most);
        let dropped = inbox.dropped();
        assert_eq!(
            (dropped.too_large, dropped.unmatched),
            (1, 998 - most as u64)
        );
        if most == 0 {
            assert!(matches!(
                waiting.reply().await,
                Err(Error::UpstreamUnfit(_))
            ));
            continue;
        }
        let parts = parts(&mut waiting).await;
        for _ in 0..most {
            assert!(parts.next().await.message.is_ok());
        }
        let end = parts.next().await;
        assert!(matches!(end.message, Err(Error::UpstreamUnfit(_))));
    }
}

proptest! {
    #[test]
    fn an_id_is_read_as_it_is_written(instance: u64, request: u128) {
        let id = CorrelationId::new(instance, request);
        prop_assert_eq!(CorrelationId::parse(id.as_str()), Some(id));
        prop_assert_eq!(id.to_string(), format!("{instance:016x}{request:032x}"));
    }

    #[test]
    fn no_id_from_outside_panics(text: String) {
        let _ = inbox().reply(text, "x");
    }
}
