//! Groups that keep their messages: publishing with a key, and reading what is kept.

use std::sync::atomic::Ordering;

use wasabi::cluster::Memory;

use super::{unreliable::Unreliable, *};

over_each_engine! {
    histories_are_read_at_every_node
    a_message_with_a_key_is_stored_once_at_whatever_node
}

async fn histories_are_read_at_every_node(cluster: Cluster) {
    let [one, other] = Managed::two(&cluster).await;
    let publish = "/v1/groups/kept:a/publish";
    let mut positions = Vec::new();
    for (at, managed) in [&one, &other, &one].into_iter().enumerate() {
        let stored = managed
            .ask("POST", PUBLISH, publish, format!("é {at}"))
            .await;
        let stored = stored.ok();
        assert_eq!(stored["duplicate"], json!(false), "{stored}");
        positions.push(stored["position"].as_str().expect("a position").to_owned());
    }
    let binary = one.request("POST", publish).body(vec![0xff]);
    let binary = binary.header("content-type", "application/octet-stream");
    let last = one.documented("POST", PUBLISH, binary).await.ok()["position"].clone();
    let history = "/v1/groups/_/history?group=kept%3Aa";
    for managed in [&one, &other] {
        // Waits until the node has it.
        let last = last.as_str().expect("a position");
        let nothing = format!("{history}&since={last}");
        let nothing = managed.get(HISTORY, &nothing).await.ok();
        let rest = json!({"first": positions[1], "position": last, "next": null});
        let page = |recovered, messages: serde_json::Value, next: Option<&str>| {
            let mut page = rest.clone();
            page["messages"] = messages;
            page["recovered"] = json!(recovered);
            page["next"] = json!(next);
            page
        };
        assert_eq!(nothing, page(true, json!([]), None));
        let [second, third] =
            [1, 2].map(|at| json!({"position": positions[at], "text": format!("é {at}")}));
        let fourth = json!({"position": last, "base64": "/w=="});
        let first = managed
            .get(HISTORY, &format!("{history}&limit=2"))
            .await
            .ok();
        assert_eq!(
            first,
            page(false, json!([second, third]), Some(&positions[2]))
        );
        let next = format!("{history}&limit=2&since={}", positions[2]);
        let next = managed.get(HISTORY, &next).await.ok();
        assert_eq!(next, page(true, json!([fourth]), None));
        let missed = managed
            .get(HISTORY, &format!("{history}&since={}", positions[0]))
            .await;
        assert_eq!(
            missed.ok(),
            page(true, json!([second, third, fourth]), None)
        );
        let live = managed.get(HISTORY, "/v1/groups/live/history").await;
        assert_eq!(live.error(), (400, "bad_request"));
    }
}

async fn a_message_with_a_key_is_stored_once_at_whatever_node(cluster: Cluster) {
    let [one, other] = Managed::two(&cluster).await;
    let mut ada = one.client("ada", "kept:a").await;
    let publish = "/v1/groups/kept:a/publish";
    let stored = one
        .publish_once(publish, "\"a key\" of : mine", "hello")
        .await
        .ok();
    assert_eq!(stored["duplicate"], json!(false));
    for managed in [&one, &other] {
        let again = managed
            .publish_once(publish, "\"a key\" of : mine", "hello")
            .await;
        let again = again.ok();
        assert_eq!(again["duplicate"], json!(true));
        assert_eq!(again["position"], stored["position"]);
    }
    other.publish_once(publish, "another", "bye").await.ok();
    assert_eq!(ada.text().await, "hello");
    assert_eq!(ada.text().await, "bye");
    ada.silent().await;
}

#[tokio::test]
async fn a_key_that_would_have_no_effect_is_refused() {
    let managed = Managed::of(&Cluster::memory()).await;
    let mut ada = managed.client("ada", "live").await;
    let live = managed
        .publish_once("/v1/groups/live/publish", "key", "hello")
        .await;
    assert_eq!(live.error(), (400, "bad_request"));
    let message = live.body["error"]["message"].as_str().expect("a message");
    assert!(message.contains("only a kept group"), "{message}");
    let kept = "/v1/groups/kept:a/publish";
    for key in ["", &"k".repeat(257)] {
        let refused = managed.publish_once(kept, key, "hello").await;
        assert_eq!(refused.error(), (400, "bad_request"), "{key}");
    }
    let twice = managed.request("POST", kept).header("idempotency-key", "a");
    let twice = managed
        .documented("POST", PUBLISH, twice.header("idempotency-key", "b"))
        .await;
    assert_eq!(twice.error(), (400, "bad_request"));
    let address = managed
        .node
        .registry
        .address(&managed.node.registry.connections()[0]);
    for (template, path) in [
        (USER, "/v1/users/ada".to_owned()),
        (CONNECTION, format!("/v1/connections/{address}")),
    ] {
        let request = managed
            .request("POST", &path)
            .header("idempotency-key", "a");
        let refused = managed
            .documented("POST", template, request.body("hello"))
            .await;
        assert_eq!(refused.error(), (400, "bad_request"), "{path}");
    }
    ada.silent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_not_known_to_be_stored_is_published_again_with_its_key() {
    let (engine, is_cut) = Unreliable::connected(&Memory::new());
    let managed = Managed::of(&Cluster::new(engine)).await;
    let mut ada = managed.client("ada", "kept:a").await;
    let publish = "/v1/groups/kept:a/publish";
    is_cut.store(true, Ordering::SeqCst);
    for key in [None, Some("key")] {
        let unknown = match key {
            None => managed.ask("POST", PUBLISH, publish, "hello").await,
            Some(key) => managed.publish_once(publish, key, "hello").await,
        };
        assert_eq!(unknown.error(), (202, "upstream_lost"), "{key:?}");
    }
    is_cut.store(false, Ordering::SeqCst);
    let again = managed.publish_once(publish, "key", "hello").await.ok();
    assert_eq!(again["duplicate"], json!(true));
    for _ in 0..2 {
        assert_eq!(ada.text().await, "hello");
    }
    ada.silent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_engine_nothing_is_stored_and_no_history_is_there() {
    let away = Unreliable::away();
    let managed = Managed::of(&Cluster::new(away)).await;
    let publish = "/v1/groups/kept:a/publish";
    let refused = managed.publish_once(publish, "key", "hello").await;
    assert_eq!(refused.error(), (503, "upstream_unreachable"));
    let unread = managed.get(HISTORY, "/v1/groups/kept:a/history").await;
    assert_eq!(unread.error(), (503, "upstream_unreachable"));
    let why = unread.body["error"]["message"].as_str().expect("a text");
    assert!(
        why.starts_with("the node has not read the history"),
        "{why}"
    );
}
