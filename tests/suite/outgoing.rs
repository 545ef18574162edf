//! Values that are sent to clients.

use wasabi::{SendError, TrySendError, prelude::*};
use wasabi_tests::serve;

#[derive(serde::Serialize)]
struct Tick {
    price: u32,
}

#[tokio::test]
async fn json_is_sent_and_broadcast_as_text() {
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        async |connection: Connection| {
            connection.send(Json(Tick { price: 1 })).await.unwrap();
            connection.try_send(Json([2, 3])).unwrap();
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("go").await, r#"{"price":1}"#);
    assert_eq!(client.text().await, "[2,3]");
    let outcome = registry.broadcast(Json(Tick { price: 4 }));
    assert_eq!((outcome.sent, outcome.error.is_none()), (1, true));
    assert_eq!(client.text().await, r#"{"price":4}"#);
}

#[tokio::test]
async fn json_goes_as_text_to_groups_users_and_addresses() {
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        user = |_: &Connection| Some("ada"),
        async || "ready",
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("go").await, "ready");
    let connection = registry.connections().pop().expect("a connection");
    registry.join("room", &connection);
    let room = registry.group("room");
    assert_eq!(room.broadcast(Json([1])).sent, 1);
    assert_eq!(room.broadcast_except(&connection, Json([2])).sent, 0);
    assert_eq!(room.publish(Json([3])).await.here.sent, 1);
    assert_eq!(registry.user("ada").publish(Json([4])).await.here.sent, 1);
    let address = registry.address(&connection);
    registry.connection(address).send(Json([5])).await.unwrap();
    for expected in ["[1]", "[3]", "[4]", "[5]"] {
        assert_eq!(client.text().await, expected);
    }
}

#[tokio::test]
async fn json_that_cannot_be_written_is_sent_to_nobody_and_an_error() {
    /// JSON has only strings as keys.
    fn unwritable() -> Json<std::collections::HashMap<(u8, u8), u8>> {
        Json([((1, 2), 3)].into())
    }
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        async |connection: Connection| {
            let sent = connection.send(unwritable()).await;
            assert!(matches!(sent, Err(SendError::Unwritable(_))));
            let sent = connection.try_send(unwritable());
            assert!(matches!(sent, Err(TrySendError::Unwritable(_))));
            "done"
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("go").await, "done");
    for outcome in [
        registry.broadcast(unwritable()),
        registry.group("none").broadcast(unwritable()),
    ] {
        let error = outcome.error.expect("an error").to_string();
        assert!(error.contains("key must be a string"), "{error}");
        assert_eq!((outcome.sent, outcome.skipped.len()), (0, 0));
    }
}
