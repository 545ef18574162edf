//! Upstreams with several addresses, or with addresses that change.

use std::{io, time::Duration};

use tokio::time::Instant;
use wasabi::prelude::*;
use wasabi_tests::{serve, websocket_upstream::Upstream};

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_does_not_answer_delays_the_dial_only_a_moment() {
    let hole = wasabi_tests::tcp::BlackHole::open([127, 0, 0, 1]);
    let mut upstream = Upstream::start().await;
    let addrs = vec![hole.addr, upstream.addr];
    let backend = WebSocket::connect("ws://feed.test/").resolve_with(move |host, port| {
        assert_eq!((host.as_str(), port), ("feed.test", 80));
        std::future::ready(Ok(addrs.clone()))
    });
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    let began = Instant::now();
    client.send("hello").await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, "hello");
    assert_eq!(peer.headers["host"], "feed.test");
    assert!(
        began.elapsed() >= Duration::from_millis(250),
        "a head start"
    );
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn an_address_that_refuses_makes_way_for_the_next_one() {
    let gone = Upstream::start().await.stop().await;
    let mut upstream = Upstream::start().await;
    let addrs = vec![gone, upstream.addr];
    let backend = WebSocket::connect("ws://feed.test/")
        .resolve_with(move |_, _| std::future::ready(Ok(addrs.clone())));
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    client.send("hello").await;
    assert_eq!(upstream.accept().await.text().await, "hello");
}

#[tokio::test]
async fn an_upstream_without_addresses_is_unreachable() {
    let resolvers = [
        || Ok(Vec::new()),
        || Err(io::Error::other("no such service")),
        || panic!("in the user's function"),
    ];
    for resolve in resolvers {
        let backend = WebSocket::connect("ws://feed.test/")
            .resolve_with(move |_, _| async move { resolve() });
        let server = serve(gateway!(channel("/", backend))).await;
        let mut client = server.connect("/").await;
        let reply = client.ask("hello").await;
        assert_eq!(reply, "upstream_unreachable: upstream cannot be reached");
    }
}

#[test]
fn dial_with_and_resolve_with_together_are_a_mistake() {
    let backend = WebSocket::connect("ws://feed.test/")
        .resolve_with(async |_, _| Ok(Vec::new()))
        .dial_with(async |_| io::Result::Ok(tokio::io::empty()));
    let mistakes = gateway!(channel("/", backend))
        .check()
        .expect_err("two ways");
    assert!(
        mistakes[0].to_string().contains("`resolve_with`"),
        "{mistakes:?}"
    );
}
