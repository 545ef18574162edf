//! What every engine that keeps messages does alike.
// Long: one list, of which each engine does everything.

use serde_json::json;
use wasabi::Kept;

use super::{super::*, kept_node::*};

over_each_engine! {
    a_gateway_that_has_just_started_stores_messages
    what_was_missed_follows_the_reply_and_then_everything_later
    all_members_get_the_messages_of_all_publishers_in_one_order
    recovering_twice_without_news_yields_nothing_twice
    recovery_works_before_anything_was_received
    publishing_during_recovery_comes_once_and_in_order
    messages_wait_until_the_reply_is_written
    suppressed_duplicates_do_not_advance_positions
    one_key_in_two_groups_publishes_both
    seven_published_and_five_kept_is_a_gap
    expired_and_nothing_missed_is_recovered
    histories_are_read_in_pages
    odd_names_of_kept_groups_stay_apart
    a_position_ahead_of_this_node_waits_and_then_is_a_gap
    garbage_is_no_position_and_no_silence
    a_client_that_reconnects_to_a_node_that_has_just_started_is_recovered
    a_slow_member_gets_from_the_history_what_its_queue_has_no_room_for
    a_message_to_a_kept_group_reaches_who_has_joined_without_a_position
    a_kept_group_has_no_exceptions_and_only_it_has_keys
    a_connection_that_cannot_join_is_told
}

/// No gateway before it has made what the engine keeps them in.
async fn a_gateway_that_has_just_started_stores_messages(cluster: Cluster) {
    let node = KeptNode::of(&cluster).await;
    let position = node.says("room:1", 1).await;
    node.has(&position).await;
}

async fn what_was_missed_follows_the_reply_and_then_everything_later(cluster: Cluster) {
    let (here, there) = (KeptNode::of(&cluster).await, KeptNode::of(&cluster).await);
    let (mut first, joined) = here.joined("room:1", None).await;
    told(false, 0, &joined);
    there.says("room:1", 1).await;
    let (number, since) = heard(&mut first).await;
    assert_eq!(number, 1);
    drop(first);
    let mut last = since.clone();
    for number in 2..=4 {
        let position = here.says("room:1", number).await;
        assert!(parts(&position) > parts(&last));
        last = here.says("room:2", 100 + number).await;
    }
    there.has(&last).await;
    let (mut again, joined) = there.joined("room:1", Some(&since)).await;
    told(true, 3, &joined);
    there.says("room:1", 5).await;
    hears(&mut again, 2..=5).await;
    again.silent().await;
    // It is where it was told to be once it had what it had missed.
    let (mut again, joined) = here.joined("room:1", Some(position(&joined))).await;
    told(true, 1, &joined);
    hears(&mut again, [5]).await;
}

async fn all_members_get_the_messages_of_all_publishers_in_one_order(cluster: Cluster) {
    const EACH: u64 = 200;
    let nodes = [
        KeptNode::of(&cluster).await,
        KeptNode::of(&cluster).await,
        KeptNode::of(&cluster).await,
    ];
    let mut members = Vec::new();
    for node in &nodes {
        members.push(node.joined("room:1", None).await.0);
    }
    let publishing = nodes
        .iter()
        .zip([0, 1000, 2000])
        .map(|(node, from)| async move {
            for number in from..from + EACH {
                node.says("room:1", number).await;
            }
        });
    let publishing = futures_util::future::join_all(publishing);
    let receiving = async {
        let mut orders = Vec::new();
        for member in &mut members {
            let mut order = Vec::new();
            for _ in 0..3 * EACH {
                order.push(heard(member).await);
            }
            assert!(order.is_sorted_by_key(|(_, position)| parts(position)));
            orders.push(order);
        }
        assert!(orders.iter().all(|order| *order == orders[0]));
        orders.remove(0)
    };
    let (_, order) = tokio::join!(publishing, receiving);
    for from in [0, 1000, 2000] {
        let own = order.iter().map(|(number, _)| *number);
        let own = own.filter(|number| (from..from + EACH).contains(number));
        assert!(own.eq(from..from + EACH));
    }
}

/// socket.io#5419
async fn recovering_twice_without_news_yields_nothing_twice(cluster: Cluster) {
    let node = KeptNode::of(&cluster).await;
    let (_member, joined) = node.joined("room:1", None).await;
    let since = position(&joined);
    node.says("room:1", 1).await;
    let last = node.says("room:1", 2).await;
    node.has(&last).await;
    let (mut again, joined) = node.joined("room:1", Some(since)).await;
    told(true, 2, &joined);
    // A member that joins again stays one.
    again
        .send(json!({ "do": "join", "room": "room:1", "since": since }).to_string())
        .await;
    hears(&mut again, 1..=2).await;
    let joined = again.json().await;
    told(true, 0, &joined);
    again.silent().await;
    for _ in 0..2 {
        let (mut again, joined) = node.joined("room:1", Some(&last)).await;
        told(true, 0, &joined);
        again.silent().await;
    }
    // Nor does one that has left and joined with what it has.
    again
        .send(json!({ "do": "leave", "room": "room:1" }).to_string())
        .await;
    assert_eq!(again.text().await, "true");
    told(true, 0, &join_room(&mut again, "room:1", Some(&last)).await);
    node.says("room:1", 3).await;
    hears(&mut again, [3]).await;
}

/// redis-streams-adapter#26
async fn recovery_works_before_anything_was_received(cluster: Cluster) {
    let (here, there) = (KeptNode::of(&cluster).await, KeptNode::of(&cluster).await);
    let (member, joined) = here.joined("room:1", None).await;
    drop(member);
    let (mut again, joined) = here.joined("room:1", Some(position(&joined))).await;
    told(true, 0, &joined);
    again.silent().await;
    drop(again);
    there.has(&there.says("room:1", 1).await).await;
    let (mut again, joined) = there.joined("room:1", Some(position(&joined))).await;
    told(true, 1, &joined);
    hears(&mut again, [1]).await;
}

/// centrifugo#486
async fn publishing_during_recovery_comes_once_and_in_order(cluster: Cluster) {
    const MESSAGES: u64 = 2000;
    let kept = Kept::prefix("room:")
        .size(MESSAGES as usize)
        .stamp("position");
    let (here, there) = (
        KeptNode::with(&cluster, kept.clone()).await,
        KeptNode::with(&cluster, kept).await,
    );
    let (mut member, joined) = here.joined("room:1", None).await;
    let start = position(&joined).to_owned();
    let publishing = async {
        for number in 0..MESSAGES {
            there.says("room:1", number).await;
        }
    };
    let receiving = async {
        let (mut since, mut next, mut reconnects) = (start, 0, 0_u64);
        while next < MESSAGES {
            for _ in 0..(reconnects * 7) % 50 {
                if next == MESSAGES {
                    break;
                }
                let (number, position) = heard(&mut member).await;
                assert_eq!(number, next);
                (since, next) = (position, next + 1);
            }
            let node = [&here, &there][reconnects as usize % 2];
            let (again, joined) = node.joined("room:1", Some(&since)).await;
            assert_eq!(joined["recovered"], true, "{joined}");
            member = again;
            reconnects += 1;
        }
        member.silent().await;
    };
    timeout(PATIENCE, async { tokio::join!(publishing, receiving) })
        .await
        .expect("no deadlock");
}

async fn messages_wait_until_the_reply_is_written(cluster: Cluster) {
    let node = KeptNode::of(&cluster).await;
    let (mut other, joined) = node.joined("room:1", None).await;
    let since = position(&joined);
    node.says("room:1", 1).await;
    hears(&mut other, [1]).await;
    let mut client = node.client().await;
    client
        .send(json!({ "do": "join reluctantly", "room": "room:1", "since": since }).to_string())
        .await;
    wasabi_tests::until("a member", || node.registry.group("room:1").len() == 2).await;
    node.says("room:1", 2).await;
    hears(&mut other, [2]).await;
    client.silent().await;
    let any = &node.registry.connections()[0];
    node.registry.join("gate", any);
    told(true, 1, &client.json().await);
    hears(&mut client, 1..=2).await;
    node.says("room:1", 3).await;
    hears(&mut client, [3]).await;
    // A protocol writes its own envelope around the reply, alone or in a batch.
    let mut client = node.server.connect("/rpc").await;
    let call = |room: &str| json!({ "jsonrpc": "2.0", "method": "join", "id": 7, "params": { "room": room, "since": since }});
    let joined = client.ask_json(call("room:1")).await;
    assert_eq!(joined["id"], 7, "{joined}");
    told(true, 3, &joined["result"]);
    hears(&mut client, 1..=3).await;
    node.has(&node.says("room:2", 5).await).await;
    let joined = client
        .ask_json(json!([call("room:2"), call("room:3")]))
        .await;
    told(true, 1, &joined[0]["result"]);
    hears(&mut client, [5]).await;
}

/// centrifuge#549
async fn suppressed_duplicates_do_not_advance_positions(cluster: Cluster) {
    let (here, there) = (KeptNode::of(&cluster).await, KeptNode::of(&cluster).await);
    let (mut member, joined) = there.joined("room:1", None).await;
    let mut since = position(&joined).to_owned();
    let first = here
        .registry
        .group("room:1")
        .publish_once("key", numbered(1))
        .await;
    let first = first.stored.expect("stored");
    assert!(!first.duplicate);
    for node in [&here, &there, &here] {
        let group = node.registry.group("room:1");
        let again = group.publish_once("key", numbered(1)).await;
        again.elsewhere.expect("an engine");
        let again = again.stored.expect("stored");
        assert_eq!((again.position, again.duplicate), (first.position, true));
    }
    let second = here.says("room:1", 2).await;
    for (number, stored) in [(1, first.position.to_string()), (2, second)] {
        let (heard, at) = heard(&mut member).await;
        assert_eq!((heard, &at), (number, &stored));
        since = at;
    }
    member.silent().await;
    here.has(&since).await;
    let (_, joined) = here.joined("room:1", Some(&since)).await;
    told(true, 0, &joined);
}

async fn one_key_in_two_groups_publishes_both(cluster: Cluster) {
    let node = KeptNode::of(&cluster).await;
    let mut members = Vec::new();
    for room in ["room:1", "room:2"] {
        let (member, _) = node.joined(room, None).await;
        let group = node.registry.group(room);
        let published = group.publish_once("the key", numbered(1)).await;
        assert!(!published.stored.expect("stored").duplicate);
        members.push(member);
    }
    for mut member in members {
        hears(&mut member, [1]).await;
        member.silent().await;
    }
    let long = "a".repeat(257);
    let refused = node.registry.group("room:1").publish_once(long, "x").await;
    assert_eq!(
        refused.elsewhere.expect_err("too long").code(),
        "bad_request"
    );
}

/// centrifugo#165
async fn seven_published_and_five_kept_is_a_gap(cluster: Cluster) {
    let kept = Kept::prefix("room:").size(5).stamp("position");
    let node = KeptNode::with(&cluster, kept).await;
    let (mut member, joined) = node.joined("room:1", None).await;
    let start = position(&joined).to_owned();
    let mut positions = Vec::new();
    for number in 1..=7 {
        node.says("room:1", number).await;
        positions.push(heard(&mut member).await.1);
    }
    for lost in [&start, &positions[0]] {
        let (mut again, joined) = node.joined("room:1", Some(lost)).await;
        told(false, 0, &joined);
        assert_eq!(position(&joined), positions[6]);
        again.silent().await;
    }
    let (mut again, joined) = node.joined("room:1", Some(&positions[1])).await;
    told(true, 5, &joined);
    hears(&mut again, 3..=7).await;
}

async fn expired_and_nothing_missed_is_recovered(cluster: Cluster) {
    let kept = Kept::prefix("room:")
        .ttl(Duration::from_secs(1))
        .stamp("position");
    let node = KeptNode::with(&cluster, kept).await;
    let (mut member, _) = node.joined("room:1", None).await;
    node.says("room:1", 1).await;
    let first = heard(&mut member).await.1;
    node.says("room:1", 2).await;
    let last = heard(&mut member).await.1;
    // Real time passes at the engine.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let (mut again, joined) = node.joined("room:1", Some(&last)).await;
    told(true, 0, &joined);
    let (_, joined) = node.joined("room:1", Some(&first)).await;
    told(false, 0, &joined);
    node.says("room:1", 3).await;
    hears(&mut again, [3]).await;
    let (mut again, joined) = node.joined("room:1", Some(&last)).await;
    told(true, 1, &joined);
    hears(&mut again, [3]).await;
}

async fn histories_are_read_in_pages(cluster: Cluster) {
    const MESSAGES: u64 = 1500;
    let kept = Kept::prefix("room:")
        .size(MESSAGES as usize)
        .stamp("position");
    let node = KeptNode::with(&cluster, kept.clone()).await;
    let (member, joined) = node.joined("room:1", None).await;
    drop(member);
    let mut last = String::new();
    for number in 0..MESSAGES {
        last = node.says("room:1", number).await;
    }
    node.has(&last).await;
    // More than one page of the engine, and more than the queue of a client takes.
    let started = KeptNode::with(&cluster, kept).await;
    for node in [&node, &started] {
        let (mut again, joined) = node.joined("room:1", Some(position(&joined))).await;
        told(true, MESSAGES, &joined);
        hears(&mut again, 0..MESSAGES).await;
    }
}

async fn odd_names_of_kept_groups_stay_apart(cluster: Cluster) {
    let names = [
        "", "*", ">", "a", "a.b", "a.*", "é", "e\u{301}", " ", "\r\n", "%", "%2A", "A", "$", "{}",
        "a:b",
    ];
    let (here, there) = (KeptNode::of(&cluster).await, KeptNode::of(&cluster).await);
    let mut members = Vec::new();
    for name in names {
        members.push(here.joined(&format!("room:{name}"), None).await);
    }
    for (name, number) in names.iter().zip(0..) {
        let room = format!("room:{name}");
        there.has(&there.says(&room, number).await).await;
    }
    for ((member, _), number) in members.iter_mut().zip(0..) {
        hears(member, [number]).await;
    }
    for ((member, joined), (name, number)) in members.iter_mut().zip(names.iter().zip(0..)) {
        member.silent().await;
        let room = format!("room:{name}");
        let (mut again, joined) = there.joined(&room, Some(position(joined))).await;
        told(true, 1, &joined);
        hears(&mut again, [number]).await;
    }
}

async fn a_position_ahead_of_this_node_waits_and_then_is_a_gap(cluster: Cluster) {
    let node = KeptNode::of(&cluster).await;
    let (mut member, _) = node.joined("room:1", None).await;
    node.says("room:1", 1).await;
    let (major, minor) = parts(&heard(&mut member).await.1);
    let began = std::time::Instant::now();
    let ahead = format!("{}-{minor}", major + 1_000_000);
    let (mut again, joined) = node.joined("room:1", Some(&ahead)).await;
    told(false, 0, &joined);
    assert!((1..5).contains(&began.elapsed().as_secs()));
    node.says("room:1", 2).await;
    hears(&mut again, [2]).await;
}

async fn garbage_is_no_position_and_no_silence(cluster: Cluster) {
    let node = KeptNode::of(&cluster).await;
    let (mut member, _) = node.joined("room:1", None).await;
    node.says("room:1", 1).await;
    let (_, at) = heard(&mut member).await;
    let long = "1".repeat(10_000);
    for since in [
        "",
        "0-0",
        "-",
        "x",
        "1-0; DROP",
        "18446744073709551616-0",
        &long,
        &format!("+{at}"),
    ] {
        let (mut again, joined) = node.joined("room:1", Some(since)).await;
        told(false, 0, &joined);
        again.silent().await;
    }
}

async fn a_client_that_reconnects_to_a_node_that_has_just_started_is_recovered(cluster: Cluster) {
    let node = KeptNode::of(&cluster).await;
    let (mut member, joined) = node.joined("room:1", None).await;
    for number in 1..=100 {
        node.says("room:1", number).await;
    }
    let (_, since) = heard(&mut member).await;
    for (since, from) in [(position(&joined), 1), (&*since, 2)] {
        // Its first client finds that it has read nothing yet.
        let started = KeptNode::of(&cluster).await;
        let (mut again, joined) = started.joined("room:1", Some(since)).await;
        told(true, 101 - from, &joined);
        hears(&mut again, from..=100).await;
        again.silent().await;
    }
}

async fn a_slow_member_gets_from_the_history_what_its_queue_has_no_room_for(cluster: Cluster) {
    const MESSAGES: u64 = 300;
    let node = KeptNode::of(&cluster).await;
    let (mut slow, _) = node.joined("room:1", None).await;
    let (mut quick, _) = node.joined("room:1", None).await;
    // More than the buffers of the system and the queue hold.
    let text = "x".repeat(64 * 1024);
    for number in 0..MESSAGES {
        let message = json!({ "n": number, "text": text }).to_string();
        let published = node.registry.group("room:1").publish(message).await;
        published.elsewhere.expect("an engine");
        hears(&mut quick, [number]).await;
    }
    hears(&mut slow, 0..MESSAGES).await;
    node.says("room:1", MESSAGES).await;
    hears(&mut slow, [MESSAGES]).await;
    slow.silent().await;
}

async fn a_message_to_a_kept_group_reaches_who_has_joined_without_a_position(cluster: Cluster) {
    let (here, there) = (KeptNode::of(&cluster).await, KeptNode::of(&cluster).await);
    let mut client = here.client().await;
    told(false, 0, &join_room(&mut client, "room:other", None).await);
    let connection = &here.registry.connections()[0];
    assert!(here.registry.join("room:1", connection));
    soon(here.registry.group("room:1").attached())
        .await
        .expect("attached");
    there.says("room:1", 1).await;
    hears(&mut client, [1]).await;
    // Not kept, and not stamped.
    here.registry.group("room:1").broadcast("here");
    assert_eq!(client.text().await, "here");
    let binary = wasabi::Message::binary(vec![0, 255]);
    let published = there.registry.group("room:1").publish(binary).await;
    published.elsewhere.expect("an engine");
    assert_eq!(client.binary().await, [0, 255]);
}

async fn a_kept_group_has_no_exceptions_and_only_it_has_keys(cluster: Cluster) {
    let node = KeptNode::of(&cluster).await;
    let (mut member, _) = node.joined("room:1", None).await;
    let connection = &node.registry.connections()[0];
    assert!(node.registry.join("live", connection));
    let code = |published: wasabi::Published| {
        assert_eq!((published.here.sent, published.stored), (0, None));
        published.elsewhere.expect_err("refused").code().to_owned()
    };
    let kept = node.registry.group("room:1");
    assert_eq!(
        code(kept.publish_except(connection, "x").await),
        "bad_request"
    );
    let live = node.registry.group("live");
    assert_eq!(code(live.publish_once("key", "x").await), "bad_request");
    member.silent().await;
}

async fn a_connection_that_cannot_join_is_told(cluster: Cluster) {
    let node = KeptNode::of(&cluster).await;
    let mut client = node.client().await;
    let refused = join_room(&mut client, "live", None).await;
    assert_eq!(refused["error"]["code"], "internal", "{refused}");
    let long = format!("room:{}", "a".repeat(512));
    let refused = join_room(&mut client, &long, None).await;
    assert_eq!(refused["error"]["code"], "bad_request", "{refused}");
    told(false, 0, &join_room(&mut client, "room:1", None).await);
    let connection = node.registry.connections().remove(0);
    client.close(1000, "").await;
    soon(connection.closed()).await;
    wasabi_tests::until("the end", || node.registry.is_empty()).await;
    let joined = node.registry.join_from("room:1", &connection, None).await;
    assert_eq!(joined.expect_err("it has ended").code(), "bad_request");
}
