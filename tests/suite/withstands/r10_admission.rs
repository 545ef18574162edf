//! R10: a limit is exact, and every place comes back. See also `regressions/connections.rs`, of many at once, and
//! `r15_panics.rs`.

use wasabi::prelude::*;
use wasabi_tests::{serve, until};

#[tokio::test]
async fn a_full_channel_answers_503_until_a_place_is_free() {
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/echo",
        max_connections = 1,
        registry = registry.clone(),
        async |message: Message| message,
    )))
    .await;
    let client = server.connect("/echo").await;
    let refused = server.connect_with("/echo", &[]).await.err().unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    client.close(1000, "").await;
    until("the place is free", || registry.is_empty()).await;
    server.connect("/echo").await;
}
