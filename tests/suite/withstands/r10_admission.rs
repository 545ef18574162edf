//! R10: a limit is exact, and every place comes back. See also `regressions/connections.rs`, of many at once, and
//! `r15_panics.rs`.

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use wasabi::prelude::*;
use wasabi_tests::{raw, serve, soon, until};

#[tokio::test]
async fn clients_that_leave_in_the_middle_of_their_handshake_keep_no_place() {
    let server = serve(gateway!(channel(
        "/",
        max_connections = 10,
        async |message: Message| message,
    )))
    .await;
    let request = format!("GET / HTTP/1.1\r\nhost: test\r\n{}\r\n", raw::HANDSHAKE);
    for round in 0..100 {
        let stream = server.tcp().await;
        // Some are reset before their answer can be written.
        stream.set_zero_linger().unwrap();
        let (_, mut writer) = stream.into_split();
        writer.write_all(request.as_bytes()).await.unwrap();
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let all = async {
        loop {
            let attempts = (0..10).map(|_| server.connect_with("/", &[]));
            let outcomes = join_all(attempts).await;
            if outcomes.iter().all(Result::is_ok) {
                break;
            }
        }
    };
    soon(all).await;
}

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
