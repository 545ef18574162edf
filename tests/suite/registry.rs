//! The live connections of a channel.

use wasabi::{CloseCode, prelude::*};
use wasabi_tests::{serve, until};

#[tokio::test]
async fn the_registry_counts_finds_and_forgets() {
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        async |connection: Connection| connection.id().to_string(),
    )))
    .await;
    let mut one = server.connect("/").await;
    let mut two = server.connect("/").await;
    let (first, second) = (one.ask("").await, two.ask("").await);
    assert_ne!(first, second);
    assert_eq!(registry.len(), 2);

    let connections = registry.connections();
    let found = connections
        .iter()
        .find(|connection| connection.id().to_string() == first)
        .unwrap();
    assert_eq!(registry.lookup(found.id()).unwrap().id(), found.id());
    found.send("just you").await.unwrap();
    assert_eq!(one.text().await, "just you");
    two.silent().await;

    one.close(1000, "").await;
    until("one has gone", || registry.len() == 1).await;
    assert!(registry.lookup(found.id()).is_none());
    assert!(found.send("anybody?").await.is_err());

    registry.connections()[0].close(CloseCode::GOING_AWAY);
    assert_eq!(two.closed().await.0, 1001);
    until("both have gone", || registry.is_empty()).await;
}

#[tokio::test]
async fn two_channels_may_share_a_registry() {
    let registry = Registry::new();
    let server = serve(gateway!(
        channel(
            "/a",
            registry = registry.clone(),
            async |message: Message| message
        ),
        channel(
            "/b",
            registry = registry.clone(),
            async |message: Message| message
        ),
    ))
    .await;
    let (mut a, mut b) = (server.connect("/a").await, server.connect("/b").await);
    until("both are listed", || registry.len() == 2).await;
    for connection in registry.connections() {
        connection.try_send("news").unwrap();
    }
    assert_eq!(a.text().await, "news");
    assert_eq!(b.text().await, "news");
}
