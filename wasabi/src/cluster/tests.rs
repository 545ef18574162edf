mod announced;
mod faulty;
mod nodes;
mod refusals;

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use self::faulty::{Faulty, Member, moment};
use super::{
    envelope::seal,
    inlet::Inlet,
    nodes::Nodes,
    table::{GRACE, Table, Target},
    *,
};
use crate::{
    Kept, Message, Registry,
    connection::registry::{
        address::NodeId,
        elsewhere::{Parcel, Place},
    },
    testing::connection,
};

#[tokio::test(start_paused = true)]
async fn a_subscription_outlives_the_last_member_by_a_moment() {
    let engine = Faulty::new();
    let member = Member::of(engine.clone());
    member.joins("room");
    member.attached("room").await.expect("attached");
    assert_eq!(engine.asked(), ["+room"]);
    for _ in 0..10 {
        member.leaves("room");
        sleep(GRACE / 2).await;
        member.joins("room");
        member.attached("room").await.expect("attached");
        sleep(GRACE / 4).await;
    }
    assert!(engine.asked().is_empty());
    member.leaves("room");
    sleep(GRACE - Duration::from_millis(10)).await;
    assert!(engine.asked().is_empty());
    moment().await;
    assert_eq!(engine.asked(), ["-room"]);
    let attached = member.attached("room").await;
    assert_eq!(attached.expect_err("nobody").code(), "bad_request");
    member.joins("room");
    moment().await;
    assert_eq!(engine.asked(), ["+room"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_left_again_is_not_kept_for_those_left_later() {
    let engine = Faulty::new();
    let member = Member::of(engine.clone());
    for room in ["a", "b"] {
        member.joins(room);
    }
    member.attached("b").await.expect("attached");
    engine.asked();
    member.leaves("a");
    moment().await;
    member.joins("a");
    member.leaves("a");
    sleep(GRACE - Duration::from_millis(200)).await;
    member.leaves("b");
    sleep(Duration::from_millis(300)).await;
    assert_eq!(engine.asked(), ["-a"]);
}

#[tokio::test(start_paused = true)]
async fn another_session_subscribes_to_what_has_members() {
    let engine = Faulty::new();
    let member = Member::of(engine.clone());
    for room in ["a", "b", "c"] {
        member.joins(room);
    }
    member.attached("c").await.expect("attached");
    assert_eq!(engine.asked(), ["+a", "+b", "+c"]);
    engine.0.is_down.send_replace(true);
    moment().await;
    member.leaves("b");
    member.joins("d");
    let began = Instant::now();
    let attached = member.attached("a").await.expect_err("no session");
    assert_eq!(attached.code(), "upstream_unreachable");
    assert!(began.elapsed() <= Duration::from_secs(5));
    engine.0.is_down.send_replace(false);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(engine.asked(), ["+a", "+c", "+d"]);
    member.attached("d").await.expect("attached");
}

#[tokio::test(start_paused = true)]
async fn groups_that_come_and_go_without_an_engine_leave_nothing() {
    let engine = Faulty::new();
    engine.0.is_down.send_replace(true);
    let registry = Registry::new();
    let node = Arc::new(node::Node::new(Arc::new(engine), "a".into()));
    let table = Arc::clone(node.table());
    Arc::clone(&node)
        .attach(&registry, "/")
        .expect("no mistake");
    let connection = connection(1, "/");
    let permit = registry.admit(None).expect("a place");
    let entry = registry.enter(&connection, permit);
    for number in 0..1000 {
        assert!(registry.join(number.to_string(), &connection));
        if number < 500 {
            assert!(registry.leave(number.to_string(), &connection));
        }
    }
    sleep(2 * GRACE).await;
    assert_eq!((table.len(), table.waiting()), (500, 500));
    // Nothing stays of the others while one has a member.
    for number in 501..1000 {
        assert!(registry.leave(number.to_string(), &connection));
    }
    sleep(2 * GRACE).await;
    assert_eq!((table.len(), table.waiting()), (1, 1));
    drop(entry);
    sleep(2 * GRACE).await;
    assert_eq!((table.len(), table.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_open_and_silent_is_replaced() {
    let engine = Faulty::new();
    let member = Member::of(engine.clone());
    member.joins("room");
    member.attached("room").await.expect("attached");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(engine.sessions(), 1);
    engine.0.is_silent.store(true, Ordering::SeqCst);
    sleep(Duration::from_secs(8)).await;
    assert_eq!(engine.sessions(), 2);
    engine.0.is_silent.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(5)).await;
    member.attached("room").await.expect("attached");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_been_replaced_ends_however_many_groups_come_and_go() {
    let engine = Faulty::new();
    let member = Member::of(engine.clone());
    member.joins("room");
    member.attached("room").await.expect("attached");
    engine.0.is_replaced.store(true, Ordering::SeqCst);
    for number in 0..100 {
        let room = number.to_string();
        member.joins(&room);
        sleep(Duration::from_millis(100)).await;
        member.leaves(&room);
    }
    assert!(engine.sessions() > 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_say_what_is_kept_is_replaced() {
    let engine = Faulty::new();
    engine.0.keeps.store(true, Ordering::SeqCst);
    let registry = Registry::new();
    registry.keep(&[Kept::all()]).expect("the first");
    let node = Cluster::new(engine.clone()).node();
    Arc::clone(&node)
        .attach(&registry, "/")
        .expect("no mistake");
    node.start();
    sleep(Duration::from_secs(20)).await;
    assert!(engine.sessions() > 1);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_waits_for_a_bounded_time() {
    let engine = Faulty::new();
    engine.0.is_down.send_replace(true);
    let member = Member::of(engine.clone());
    member.joins("room");
    let group = member.registry.group("room");
    for code in ["upstream_unreachable", "upstream_lost"] {
        let began = Instant::now();
        let published = group.publish("hello").await;
        assert_eq!(published.elsewhere.expect_err("an error").code(), code);
        assert_eq!((published.here.sent, began.elapsed().as_secs()), (1, 2));
        // Now it is there, and takes no message.
        engine.0.is_down.send_replace(false);
        engine.0.is_silent.store(true, Ordering::SeqCst);
        while engine.sessions() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_keeps_no_session_that_has_ended() {
    let engine = Faulty::new();
    let member = Member::of(engine.clone());
    member.joins("room");
    member.attached("room").await.expect("attached");
    engine.0.is_silent.store(true, Ordering::SeqCst);
    let began = Instant::now();
    let group = member.registry.group("room");
    let lost = async {
        moment().await;
        engine.0.is_down.send_replace(true);
    };
    let (published, ()) = tokio::join!(group.publish("hello"), lost);
    let error = published.elsewhere.expect_err("nobody knows");
    assert_eq!(error.code(), "upstream_lost");
    assert!(began.elapsed() <= Duration::from_millis(200));
}

/// An inlet whose messages nobody takes, and a subject that has a member.
fn unread() -> (Inlet, impl Fn(usize)) {
    let table = Arc::new(Table::default());
    let nodes = Nodes::new(NodeId::random(), "test");
    let place = Place::Group("room".into());
    table.occupied("subject".to_owned(), || Target {
        registry: Registry::new().downgrade(),
        place,
    });
    let inlet = Inlet::new(nodes, table);
    let into = inlet.clone();
    let receive = move |bytes: usize| {
        let parcel = Parcel::Message(Message::binary(vec![0; bytes]));
        into.receive("subject", seal(NodeId::random(), &parcel));
    };
    (inlet, receive)
}

#[test]
fn a_slow_node_drops_messages_and_counts_them() {
    let (inlet, receive) = unread();
    for _ in 0..20_000 {
        receive(1);
    }
    assert_eq!(inlet.dropped(), 20_000 - 16_384);
    let (inlet, receive) = unread();
    for _ in 0..1000 {
        receive(1024 * 1024);
    }
    assert_eq!(inlet.dropped(), 1000 - 15);
    // A single message may be larger.
    let (inlet, receive) = unread();
    receive(20 * 1024 * 1024);
    receive(1);
    assert_eq!(inlet.dropped(), 1);
}

#[tokio::test]
async fn messages_for_nobody_and_of_others_cost_nothing() {
    let (inlet, _) = unread();
    let parcel = Parcel::Message(Message::text("hello"));
    inlet.receive("another", seal(NodeId::random(), &parcel));
    assert_eq!((inlet.received(), inlet.dropped()), (0, 0));
    inlet.receive("subject", Bytes::from_static(b"hello"));
    assert_eq!((inlet.received(), inlet.dropped()), (0, 1));
}

#[test]
fn a_registry_belongs_to_one_cluster_and_names_are_not_shared() {
    let (one, other) = (Cluster::memory(), Cluster::memory());
    let (registry, node) = (Registry::new(), one.node());
    assert_eq!(Arc::clone(&node).attach(&registry, "/a"), Ok(()));
    assert_eq!(Arc::clone(&node).attach(&registry, "/a"), Ok(()));
    // Another gateway of the same cluster, with the same registry.
    assert_eq!(one.node().attach(&registry, "/a"), Ok(()));
    for other in [other, one.clone().name("other")] {
        assert_eq!(
            other.node().attach(&registry, "/a"),
            Err("the registry belongs to another `cluster` already".to_owned())
        );
    }
    let same = Arc::clone(&node).attach(&Registry::new(), "/a");
    assert_eq!(
        same,
        Err("two registries have the name `/a` in the cluster".to_owned())
    );
    let named = Registry::named("/b");
    assert_eq!(Arc::clone(&node).attach(&named, "/a"), Ok(()));
    let long = Registry::named("a".repeat(513));
    assert!(node.attach(&long, "/c").is_err());
}

#[test]
fn senseless_names_are_mistakes() {
    assert_eq!(Cluster::memory().name("chat").check(), Ok(()));
    for name in ["".to_owned(), "a".repeat(65)] {
        assert!(Cluster::memory().name(name).check().is_err());
    }
}
