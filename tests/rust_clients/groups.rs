//! Groups that are followed, over a network that fails.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use serde_json::{Value, json};
use wasabi::client::{Client, Options, RequestError, State, Told, Unasked, Url, Wire};
use wasabi_tests::{
    TestServer,
    chaos::Chaos,
    serve, soon, until,
    websocket_upstream::{Peer, Upstream},
};

use super::{
    shop,
    shop_client::{Rooms, RoomsFollowCode, SayBody},
};

/// With short pauses.
fn options() -> Options {
    let ms = Duration::from_millis;
    Options::new().pauses(ms(20), ms(40), ms(60))
}

/// A client behind a network that fails on demand, and one that is always there.
async fn rooms(options: Options) -> (TestServer, Chaos, Rooms, Rooms) {
    let server = serve(shop::gateway(Arc::default())).await;
    let chaos = Chaos::to(server.addr).await;
    let client = Rooms::connect(&format!("ws://{}", chaos.addr), options).expect("a URL");
    let other = Rooms::connect(&server.url(""), self::options()).expect("a URL");
    for each in [&client, &other] {
        assert_eq!(soon(each.client().opened()).await, State::Open);
    }
    (server, chaos, client, other)
}

async fn says(client: &Rooms, group: &str, number: u32) {
    let group = group.to_owned();
    let said = soon(client.say(&SayBody { group, number })).await;
    assert_eq!(said.expect("it is said").count, number);
}

type Following = wasabi::client::Following<RoomsFollowCode>;

/// The next message, or `None` for a gap. Changes of who is there are skipped.
async fn next(following: &mut Following) -> Option<u64> {
    loop {
        match soon(following.next()).await {
            Some(Ok(Told::Message { data, .. })) => return data.as_u64(),
            Some(Ok(Told::Gap)) => return None,
            Some(Ok(Told::Presence(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_group_is_followed_over_cut_connections_with_nothing_missing_and_nothing_double() {
    let (_server, chaos, client, other) = rooms(options()).await;
    let mut following = client.follow("room:1", None);
    assert_eq!(next(&mut following).await, None);
    let mut taken = 0;
    for number in 1..=100 {
        says(&other, "room:1", number).await;
        match number % 10 {
            5 => chaos.cut(),
            6 => chaos.calm(),
            // Some are taken before the connection is cut, and some wait in the client.
            3 => {
                while taken < number - 1 {
                    taken += 1;
                    assert_eq!(next(&mut following).await, Some(taken.into()));
                }
            }
            _ => {}
        }
    }
    for number in taken + 1..=100 {
        assert_eq!(next(&mut following).await, Some(number.into()));
    }
    let position = following.position().map(str::to_owned);
    drop(following);
    says(&other, "room:1", 101).await;
    let mut following = client.follow("room:1", position.as_deref());
    assert_eq!(next(&mut following).await, Some(101));
}

#[tokio::test]
async fn who_is_there_is_unsure_after_a_lost_connection() {
    let (_server, chaos, client, other) = rooms(options()).await;
    let mut there = other.follow("room:1", None);
    assert_eq!(next(&mut there).await, None);
    let mut following = client.follow("room:1", None);
    assert_eq!(next(&mut following).await, None);
    chaos.cut();
    chaos.refuse();
    until("it is noticed", || client.client().state() != State::Open).await;
    drop(there);
    says(&other, "room:1", 1).await;
    chaos.calm();
    let mut is_unsure = false;
    loop {
        match soon(following.next()).await {
            Some(Ok(Told::Presence(presence))) => is_unsure |= presence.unsure,
            Some(Ok(Told::Message { .. })) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(is_unsure);
}

#[tokio::test]
async fn what_is_kept_no_more_is_told_as_a_gap() {
    let (_server, chaos, client, other) = rooms(options()).await;
    let mut following = client.follow("short:1", None);
    assert_eq!(next(&mut following).await, None);
    says(&other, "short:1", 1).await;
    assert_eq!(next(&mut following).await, Some(1));
    chaos.cut();
    chaos.refuse();
    until("it is noticed", || client.client().state() != State::Open).await;
    for number in 2..=5 {
        says(&other, "short:1", number).await;
    }
    chaos.calm();
    assert_eq!(next(&mut following).await, None);
    says(&other, "short:1", 6).await;
    assert_eq!(next(&mut following).await, Some(6));
}

#[tokio::test]
async fn a_group_that_was_left_can_be_followed_again_and_is_followed_once_at_a_time() {
    let (_server, _chaos, client, other) = rooms(options()).await;
    let mut events = client.events();
    for number in 1..=5 {
        let mut following = client.follow("short:1", None);
        let twice = soon(client.follow("short:1", None).next()).await;
        assert!(
            matches!(twice, Some(Err(RequestError::NotSent { .. }))),
            "{twice:?}"
        );
        assert_eq!(next(&mut following).await, None);
        says(&other, "short:1", number).await;
        assert_eq!(next(&mut following).await, Some(number.into()));
    }
    // Given up before there is an answer.
    drop(client.follow("short:1", None));
    let mut following = client.follow("short:1", None);
    assert_eq!(next(&mut following).await, None);
    drop(following);
    // Its answer comes after that of the message that leaves the group.
    let refused = soon(client.follow("room:secret", None).next()).await;
    let Some(Err(RequestError::Gateway { code, .. })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(code, RoomsFollowCode::Other("forbidden".to_owned()));
    says(&other, "short:1", 6).await;
    says(&client, "short:2", 1).await;
    client.client().close();
    let event = soon(events.next()).await;
    assert!(event.is_none(), "{event:?}");
    let closed = soon(client.follow("short:1", None).next()).await;
    assert!(
        matches!(closed, Some(Err(RequestError::NotSent { .. }))),
        "{closed:?}"
    );
}

#[tokio::test]
async fn a_group_that_is_not_read_fails_and_goes_on_from_its_position() {
    let (_server, _chaos, client, other) = rooms(options().buffer(2)).await;
    let mut following = client.follow("room:1", None);
    assert_eq!(next(&mut following).await, None);
    for number in 1..=10 {
        says(&other, "room:1", number).await;
    }
    // What has come to the client before this answer is more than it keeps.
    says(&client, "room:2", 1).await;
    let (mut number, mut failures) = (0, 0);
    while number < 10 {
        match soon(following.next()).await {
            Some(Ok(Told::Message { data, .. })) => {
                number += 1;
                assert_eq!(data, json!(number));
            }
            Some(Ok(Told::Presence(_))) => {}
            Some(Err(RequestError::TooSlow)) => {
                failures += 1;
                let position = following.position().map(str::to_owned);
                following = client.follow("room:1", position.as_deref());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(failures > 0);
}

#[tokio::test]
async fn who_is_there_is_told_to_those_who_follow() {
    let (_server, _chaos, client, _other) = rooms(options()).await;
    let mut following = client.follow("room:1", None);
    assert_eq!(next(&mut following).await, None);
    match soon(following.next()).await {
        Some(Ok(Told::Presence(presence))) => assert_eq!(presence.joined.len(), 1),
        other => panic!("{other:?}"),
    }
    let ask = json!({ "group": "room:1", "who": true });
    client.client().send("follow", &ask).expect("a connection");
    match soon(following.next()).await {
        Some(Ok(Told::Other(who))) => assert_eq!(who["total"], 1),
        other => panic!("{other:?}"),
    }
}

/// A server that does as the test says, and a client of it.
async fn scripted(options: Options) -> (Upstream, Client) {
    let server = Upstream::start().await;
    let wire = Wire::keyed(&["do"], &["id"]);
    let client = Client::connect(Url::new(&server.url("")), wire, options).expect("a URL");
    (server, client)
}

async fn asked(peer: &mut Peer) -> Value {
    serde_json::from_str(&peer.text().await).expect("JSON")
}

async fn says_of(peer: &mut Peer, mut told: Value) {
    told["group"] = json!("g");
    peer.send(told.to_string()).await;
}

/// Follows `g` from now on, over a connection that the server accepts.
async fn followed(server: &mut Upstream, client: &Client) -> (Peer, wasabi::client::Following) {
    let mut following = client.follow("follow", "g", None);
    let mut peer = server.accept().await;
    asked(&mut peer).await;
    let answer = json!({ "recovered": false, "position": "5-1", "missed": 0 });
    says_of(&mut peer, answer).await;
    assert_eq!(soon(following.next()).await, Some(Ok(Told::Gap)));
    (peer, following)
}

/// The client is in the group anew.
async fn is_unsure(following: &mut wasabi::client::Following) {
    match soon(following.next()).await {
        Some(Ok(Told::Presence(presence))) => assert!(presence.unsure),
        other => panic!("{other:?}"),
    }
}

async fn refuses(peer: &mut Peer, ask: &Value, code: &str) {
    let error = json!({ "code": code, "message": "no" });
    peer.send(json!({ "id": ask["id"], "error": error }).to_string())
        .await;
}

#[tokio::test]
async fn a_group_goes_on_from_its_last_message_wherever_the_connection_ends() {
    let (mut server, client) = scripted(options()).await;
    let mut following = client.follow::<String>("follow", "g", Some("5-1"));
    // A gateway that drains.
    let mut peer = server.accept().await;
    let ask = asked(&mut peer).await;
    assert_eq!(
        ask,
        json!({ "do": "follow", "id": 1, "group": "g", "since": "5-1" })
    );
    refuses(&mut peer, &ask, "closing").await;
    peer.close(1012, "").await;

    // One that ends before all that was missed has come.
    let mut peer = server.accept().await;
    assert_eq!(asked(&mut peer).await["since"], "5-1");
    says_of(
        &mut peer,
        json!({ "recovered": true, "position": "5-9", "missed": 2 }),
    )
    .await;
    says_of(
        &mut peer,
        json!({ "position": "5-2", "base64": "aGVsbG8=" }),
    )
    .await;
    is_unsure(&mut following).await;
    let told = soon(following.next()).await;
    let position = "5-2".to_owned();
    let data = "hello".into();
    assert_eq!(told, Some(Ok(Told::Binary { position, data })));
    drop(peer);

    let mut peer = server.accept().await;
    let next = tokio::spawn(async move {
        is_unsure(&mut following).await;
        (soon(following.next()).await, following)
    });
    let ask = asked(&mut peer).await;
    assert_eq!(ask["since"], "5-2");
    says_of(
        &mut peer,
        json!({ "recovered": true, "position": "5-9", "missed": 1 }),
    )
    .await;
    says_of(&mut peer, json!({ "position": "5-9", "data": null })).await;
    let (told, following) = next.await.expect("no panic");
    let position = "5-9".to_owned();
    let data = Value::Null;
    assert_eq!(told, Some(Ok(Told::Message { position, data })));
    assert_eq!(following.position(), Some("5-9"));
}

#[tokio::test]
async fn after_a_gateway_has_refused_to_let_a_client_go_there_is_a_gap() {
    let (mut server, client) = scripted(options()).await;
    let (mut peer, following) = followed(&mut server, &client).await;
    drop(following);
    let leaves = asked(&mut peer).await;
    assert_eq!(leaves["follow"], false);
    let mut again = client.follow::<String>("follow", "g", Some("5-1"));
    // It is still in the group, and what is said in it is for nobody.
    says_of(&mut peer, json!({ "position": "5-2", "data": 1 })).await;
    refuses(&mut peer, &leaves, "rate_limited").await;
    // Nor does a call that is refused say what was missed.
    let refused = asked(&mut peer).await;
    refuses(&mut peer, &refused, "rate_limited").await;
    assert!(soon(again.next()).await.is_some_and(|told| told.is_err()));
    let mut again = client.follow::<String>("follow", "g", Some("5-1"));
    assert_eq!(asked(&mut peer).await["since"], "5-1");
    says_of(
        &mut peer,
        json!({ "recovered": true, "position": "5-2", "missed": 0 }),
    )
    .await;
    is_unsure(&mut again).await;
    assert_eq!(soon(again.next()).await, Some(Ok(Told::Gap)));
}

#[tokio::test]
async fn what_only_looks_like_a_message_of_a_group_that_is_followed_is_an_event() {
    let (mut server, client) = scripted(options()).await;
    let mut events = client.events::<Unasked>();
    let (mut peer, mut following) = followed(&mut server, &client).await;
    says_of(&mut peer, json!({ "type": "moved", "position": 7 })).await;
    says_of(&mut peer, json!({ "position": "5-2", "data": 1 })).await;
    let position = "5-2".to_owned();
    let data = json!(1);
    let told = soon(following.next()).await;
    assert_eq!(told, Some(Ok(Told::Message { position, data })));
    let event = soon(events.next()).await.and_then(|event| event.json());
    let moved = json!({ "group": "g", "type": "moved", "position": 7 });
    assert_eq!(event, Some(moved));
}

#[tokio::test]
async fn a_group_that_was_followed_is_lost_when_the_client_ends() {
    let (mut server, client) = scripted(options()).await;
    let (_peer, mut following) = followed(&mut server, &client).await;
    client.close();
    let reason = "closed by the client".to_owned();
    let lost = soon(following.next()).await;
    assert_eq!(lost, Some(Err(RequestError::Lost { reason })));
    assert_eq!(soon(following.next()).await, None);
}

#[tokio::test]
async fn a_group_whose_gateway_does_not_answer_can_be_followed_again() {
    let ms = Duration::from_millis;
    let (mut server, client) = scripted(options().timeout(ms(50)).limit(2)).await;
    // Neither the message that follows, nor that which leaves.
    let following = client.follow::<String>("follow", "g", None);
    let mut peer = server.accept().await;
    assert_eq!(asked(&mut peer).await["follow"], Value::Null);
    drop(following);
    let mut following = client.follow::<String>("follow", "g", Some("5-1"));
    assert_eq!(asked(&mut peer).await["since"], "5-1");
    let answer = json!({ "recovered": true, "position": "5-2", "missed": 0 });
    says_of(&mut peer, answer).await;
    is_unsure(&mut following).await;
    // What was missed is not known.
    assert_eq!(soon(following.next()).await, Some(Ok(Told::Gap)));
    drop(following);
    assert_eq!(asked(&mut peer).await["follow"], false);
    let mut again = client.follow::<String>("follow", "g", None);
    assert_eq!(asked(&mut peer).await["follow"], Value::Null);
    // What comes too late is for nobody.
    says_of(&mut peer, json!({ "unfollowed": true })).await;
    let answer = json!({ "recovered": false, "position": "5-2", "missed": 0 });
    says_of(&mut peer, answer).await;
    assert_eq!(soon(again.next()).await, Some(Ok(Told::Gap)));
    says_of(&mut peer, json!({ "position": "5-3", "data": 1 })).await;
    let position = "5-3".to_owned();
    let data = json!(1);
    let told = soon(again.next()).await;
    assert_eq!(told, Some(Ok(Told::Message { position, data })));
}
