//! R47b: the headers of a handshake, which stay with the connection, are bounded.

use wasabi::prelude::*;
use wasabi_tests::{raw, serve_with, soon, wires::over_every_wire};

fn handshake(path: &str, filler: usize) -> String {
    let (handshake, filler) = (raw::HANDSHAKE, "x".repeat(filler));
    format!("GET {path} HTTP/1.1\r\nhost: test\r\n{handshake}x-filler: {filler}\r\n\r\n")
}

#[tokio::test]
async fn a_handshake_with_more_headers_than_a_connection_keeps_is_refused_with_431() {
    let gateway = gateway!(
        get("/page", async || "a page"),
        channel("/", async |text: Text| text),
        channel("/large", max_header_size = 40KiB, async |text: Text| text),
    );
    let server = serve_with(gateway, |server| server).await;
    for (path, filler, expected) in [
        ("/", 15_000, "HTTP/1.1 101"),
        ("/", 17_000, "HTTP/1.1 431"),
        ("/large", 39_000, "HTTP/1.1 101"),
        ("/large", 41_000, "HTTP/1.1 431"),
        // The gateway keeps nothing of these.
        ("/page", 41_000, "HTTP/1.1 200"),
    ] {
        let status = raw::status(&server, handshake(path, filler).as_bytes()).await;
        assert_eq!(status, expected, "{path} {filler}");
    }
}

#[tokio::test]
async fn the_uri_of_a_handshake_counts_over_every_transport() {
    over_every_wire(async |wire| {
        let gateway = gateway!(channel("/", max_header_size = 1KiB, async |text: Text| {
            text
        }));
        let server = wire.serve(gateway).await;
        drop(soon(server.open("/")).await);
        let path = format!("/?{}", "x".repeat(1100));
        assert_eq!(server.status(&path).await, 431);
    })
    .await;
}
