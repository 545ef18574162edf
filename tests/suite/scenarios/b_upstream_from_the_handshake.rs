//! An upstream connection that takes its query and headers from the client's handshake.

use futures_util::SinkExt;
use wasabi::prelude::*;
use wasabi_tests::serve;

use wasabi_tests::websocket_upstream::Upstream;

#[tokio::test]
async fn the_upstream_is_dialled_once_with_what_the_client_came_with() {
    let mut upstream = Upstream::start().await;
    let server = serve(gateway!(channel(
        "/",
        max_message_size = 600KiB,
        WebSocket::connect(upstream.url("/v3"))
            .require_query(["app_id"])
            .forward_query(["l"])
            .forward_headers(["user-agent"]),
    )))
    .await;

    let refused = server.connect_with("/?l=EN", &[]).await.err();
    assert_eq!(refused.expect("a refusal").status(), 400);
    assert_eq!(upstream.dials(), 0);

    let (path, headers) = ("/?app_id=1089&l=EN", [("user-agent", "app/2")]);
    let mut client = server
        .connect_with(path, &headers)
        .await
        .expect("handshake");
    // In one packet, so that all of them arrive before the upstream is connected.
    for n in 0..20 {
        let message = n.to_string().into();
        client.socket.feed(message).await.expect("send");
    }
    client.socket.flush().await.expect("send");
    let mut peer = upstream.accept().await;
    for n in 0..20 {
        assert_eq!(peer.text().await, n.to_string());
    }
    assert_eq!(upstream.dials(), 1);
    assert_eq!(peer.uri.to_string(), "/v3?app_id=1089&l=EN");
    assert_eq!(peer.headers["user-agent"], "app/2");

    let large = "ä".repeat(20_000);
    peer.send(large.as_str()).await;
    assert!(client.text().await == large, "it is another text");

    peer.crash();
    assert_eq!(client.closed().await.0, 1011);

    let mut client = server
        .connect_with(path, &headers)
        .await
        .expect("handshake");
    client.send("again").await;
    upstream.accept().await.close(4001, "bye").await;
    assert_eq!(client.closed().await, (4001, "bye".to_owned()));
}
