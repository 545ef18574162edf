//! Reading what is kept of a group, over each engine that keeps messages.

use wasabi::{Kept, KeptMessages, Position};

use super::{super::*, kept_node::*};

over_each_engine! {
    a_history_is_read_in_pages_at_every_node
    a_position_that_is_not_kept_begins_with_what_is
    a_history_has_what_was_published_elsewhere_before
    a_position_that_nobody_has_published_is_not_recovered
}

fn numbers(page: &KeptMessages) -> Vec<u64> {
    let numbers = page.messages.iter().map(|kept| {
        let text = kept.message.as_text().expect("text");
        let message: serde_json::Value = serde_json::from_str(text).expect("JSON");
        // As members get it.
        assert_eq!(message["position"], kept.position.to_string());
        message["n"].as_u64().expect("a number")
    });
    numbers.collect()
}

fn kept() -> Kept {
    Kept::prefix("room:").size(5).stamp("position")
}

/// Publishes 1 to 7, with messages of another group between them, and returns their positions.
async fn says_seven(node: &KeptNode) -> Vec<Position> {
    let mut positions = Vec::new();
    for number in 1..=7 {
        let position = node.says("room:1", number).await;
        positions.push(position.parse().expect("a position"));
        node.says("room:2", 100 + number).await;
    }
    positions
}

async fn a_history_is_read_in_pages_at_every_node(cluster: Cluster) {
    let nodes = [
        KeptNode::with(&cluster, kept()).await,
        KeptNode::with(&cluster, kept()).await,
    ];
    let positions = says_seven(&nodes[0]).await;
    for node in &nodes {
        node.has(&positions[6].to_string()).await;
        let room = node.registry.group("room:1");
        let first = room.history(None, 2).await.expect("a history");
        assert_eq!((numbers(&first), first.recovered), (vec![3, 4], false));
        assert_eq!(
            (first.first, first.position, first.next),
            (Some(positions[2]), positions[6], Some(positions[3]))
        );
        let second = room.history(first.next, 2).await.expect("a history");
        assert_eq!((numbers(&second), second.recovered), (vec![5, 6], true));
        let last = room.history(second.next, 2).await.expect("a history");
        assert_eq!((numbers(&last), last.next), (vec![7], None));
        let all = room.history(None, usize::MAX).await.expect("a history");
        assert_eq!((numbers(&all), all.next), (vec![3, 4, 5, 6, 7], None));
        // Whoever has all of it misses nothing.
        let none = room
            .history(Some(all.position), 2)
            .await
            .expect("a history");
        assert_eq!((numbers(&none), none.recovered), (vec![], true));
        let silent = node.registry.group("room:3").history(None, 2).await;
        let silent = silent.expect("a history");
        assert_eq!(
            (numbers(&silent), silent.first, silent.next),
            (vec![], None, None)
        );
        for group in ["live", &format!("room:{}", "a".repeat(512))] {
            let refused = node.registry.group(group).history(None, 2).await;
            assert_eq!(refused.expect_err("no history").code(), "bad_request");
        }
    }
}

async fn a_position_that_is_not_kept_begins_with_what_is(cluster: Cluster) {
    let node = KeptNode::with(&cluster, kept()).await;
    let positions = says_seven(&node).await;
    node.has(&positions[6].to_string()).await;
    let room = node.registry.group("room:1");
    let lost = room
        .history(Some(positions[0]), 100)
        .await
        .expect("a history");
    assert_eq!(
        (numbers(&lost), lost.recovered),
        (vec![3, 4, 5, 6, 7], false)
    );
    let recovered = room
        .history(Some(positions[1]), 100)
        .await
        .expect("a history");
    assert_eq!(
        (numbers(&recovered), recovered.recovered),
        (vec![3, 4, 5, 6, 7], true)
    );
}

async fn a_history_has_what_was_published_elsewhere_before(cluster: Cluster) {
    let (here, there) = (KeptNode::of(&cluster).await, KeptNode::of(&cluster).await);
    for number in 0..20 {
        let position = here
            .says("room:1", number)
            .await
            .parse()
            .expect("a position");
        let page = there
            .registry
            .group("room:1")
            .history(Some(position), 10)
            .await;
        let page = page.expect("a history");
        assert_eq!((numbers(&page), page.recovered), (vec![], true));
    }
}

async fn a_position_that_nobody_has_published_is_not_recovered(cluster: Cluster) {
    let node = KeptNode::of(&cluster).await;
    let position = node.says("room:1", 1).await;
    node.has(&position).await;
    let room = node.registry.group("room:1");
    for position in [Position::new(u64::MAX, u64::MAX), Position::new(0, 1)] {
        let page = timeout(PATIENCE, room.history(Some(position), 10)).await;
        let page = page.expect("in time").expect("a history");
        assert_eq!((numbers(&page), page.recovered), (vec![1], false));
    }
}

/// A gateway that has no clients reads the history too.
#[tokio::test]
async fn a_gateway_without_a_client_has_a_history() {
    let cluster = Cluster::memory();
    let first = KeptNode::of(&cluster).await;
    first.says("room:1", 1).await;
    let second = KeptNode::of(&cluster).await;
    let page = soon(second.registry.group("room:1").history(None, 10)).await;
    assert_eq!(numbers(&page.expect("a history")), [1]);
    let alone = Registry::new().group("room:1").history(None, 10).await;
    assert_eq!(alone.expect_err("no gateway").code(), "bad_request");
}
