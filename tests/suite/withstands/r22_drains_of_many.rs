//! R22: a drain of many connections spreads its closes over the window, so that clients do not all reconnect at the
//! same moment.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::prelude::*;
use wasabi_tests::serve_with;

#[tokio::test]
async fn the_closes_of_a_drain_are_spread_over_the_window() {
    let gateway = gateway!(channel("/", async |text: Text| text));
    let server = serve_with(gateway, |server| {
        server.drain_spread(Duration::from_millis(1000))
    })
    .await;
    let clients = (0..200).map(|_| server.connect("/"));
    let mut clients = join_all(clients).await;
    for client in &mut clients {
        assert_eq!(client.ask("hello").await, "hello");
    }
    let start = Instant::now();
    server.handle.drain();
    let ends = clients.iter_mut().map(async |client| {
        assert_eq!(client.closed().await.0, 1012);
        start.elapsed().as_millis()
    });
    let ends = join_all(ends).await;
    for quarter in 0..4 {
        let closes = ends.iter().filter(|&&end| end / 250 == quarter).count();
        assert!(
            (20..=100).contains(&closes),
            "quarter {quarter}: {closes} of 200"
        );
    }
    server.ended().await.unwrap();
}

#[tokio::test]
async fn a_window_longer_than_the_drain_is_shortened_and_cuts_nobody() {
    let gateway = gateway!(channel("/", async |text: Text| {
        tokio::time::sleep(Duration::from_millis(300)).await;
        text
    }));
    let server = serve_with(gateway, |server| {
        let limit = Duration::from_secs(2);
        server.drain_timeout(limit).drain_spread(100 * limit)
    })
    .await;
    let clients = (0..20).map(|_| server.connect("/"));
    let clients = join_all(clients).await;
    server.handle.drain();
    let ends = clients.into_iter().map(async |mut client| {
        loop {
            client.send("working until the end").await;
            match client.next().await {
                WsMessage::Text(text) if text == "working until the end" => {}
                WsMessage::Text(text) => assert!(text.starts_with("closing: "), "{text}"),
                WsMessage::Close(close) => return close.expect("a code").reason.to_string(),
                other => panic!("expected an answer or the end, got {other:?}"),
            }
        }
    });
    for reason in join_all(ends).await {
        assert_eq!(reason, "the server is restarting");
    }
    server.ended().await.unwrap();
}
