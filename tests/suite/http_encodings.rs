//! Compressed bodies of HTTP services, and texts in other charsets.

use std::io::Write;

use axum::{Router, extract::Request as Incoming, response::IntoResponse};
use flate2::{
    Compression as Level,
    write::{GzEncoder, ZlibEncoder},
};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use wasabi::prelude::*;
use wasabi_tests::{http_service, serve};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::best());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

/// Answers with what the message requests.
async fn service(request: Incoming) -> impl IntoResponse {
    let accepted = request.headers().get(ACCEPT_ENCODING).cloned();
    let accepted = accepted.map_or(String::new(), |value| {
        value.to_str().expect("text").to_owned()
    });
    let body = axum::body::to_bytes(request.into_body(), 1024)
        .await
        .expect("a body");
    let zlib = |body: &[u8]| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Level::best());
        encoder.write_all(body).expect("memory");
        encoder.finish().expect("memory")
    };
    let text = "text/plain; charset=utf-8";
    let (encoding, content_type, body) = match &*body {
        b"accepted" => ("identity", text, accepted.into_bytes()),
        b"gzip" => ("gzip", text, gzip("né".as_bytes())),
        b"deflate" => ("deflate", text, zlib("né".as_bytes())),
        b"br" => ("br", text, b"\x20\0\x10n\xc3\xa9\x03".to_vec()),
        b"zstd" => (
            "zstd",
            text,
            b"\x28\xb5\x2f\xfd\x20\x03\x19\0\0n\xc3\xa9".to_vec(),
        ),
        b"binary" => ("gzip", "application/octet-stream", gzip(b"\xff\0")),
        b"bomb" => ("gzip", text, gzip(&vec![b'x'; 50 * 1024 * 1024])),
        b"broken" => ("gzip", text, b"no gzip".to_vec()),
        b"twice" => ("gzip, gzip", text, gzip(&gzip("né".as_bytes()))),
        b"nothing" => ("compress", text, Vec::new()),
        b"unknown" => ("compress", text, b"...".to_vec()),
        b"latin1" => ("", "text/plain; charset=iso-8859-1", b"n\xe9".to_vec()),
        b"latin1 with utf-8" => ("", "text/plain; charset=iso-8859-1", "né".into()),
        b"ascii" => ("", "text/plain; charset=iso-8859-1", b"ne".to_vec()),
        _ => (
            "",
            "application/json; charset=utf-16",
            b"\xff\xfe1\0".to_vec(),
        ),
    };
    (
        [(CONTENT_ENCODING, encoding), (CONTENT_TYPE, content_type)],
        body,
    )
}

async fn client() -> wasabi_tests::Client {
    let url = http_service(Router::new().fallback(service)).await;
    let server = serve(gateway!(channel("/", Http::post(url)))).await;
    let header = ("accept-encoding", "br;q=1.0, x-of-the-browser");
    server
        .connect_with("/", &[header])
        .await
        .expect("connected")
}

const INVALID: &str = "upstream_invalid: upstream sent an invalid answer";

#[tokio::test]
async fn an_undecodable_body_is_an_error_and_never_text() {
    let mut client = client().await;
    for asked in [
        "unknown",
        "twice",
        "latin1",
        "latin1 with utf-8",
        "utf-16",
        "broken",
    ] {
        assert_eq!(client.ask(asked).await, INVALID, "{asked}");
    }
    assert_eq!(client.ask("ascii").await, "ne");
    assert_eq!(client.ask("nothing").await, "");
}

#[cfg(not(feature = "decompress"))]
#[tokio::test]
async fn without_the_feature_the_gateway_asks_for_uncompressed_bodies() {
    let mut client = client().await;
    assert_eq!(client.ask("accepted").await, "identity");
    for asked in ["gzip", "deflate", "binary"] {
        assert_eq!(client.ask(asked).await, INVALID, "{asked}");
    }
}

#[cfg(feature = "decompress")]
#[tokio::test]
async fn the_gateway_asks_for_compressed_bodies_and_decodes_them() {
    let mut client = client().await;
    let accepted = client.ask("accepted").await;
    let accepted: Vec<_> = accepted.split(',').map(str::trim).collect();
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        assert!(accepted.contains(&encoding), "{accepted:?}");
    }
    assert_eq!(accepted.len(), 4, "none of the browser's");
    for asked in ["gzip", "deflate", "br", "zstd"] {
        assert_eq!(client.ask(asked).await, "né", "{asked}");
    }
    client.send("binary").await;
    assert_eq!(client.binary().await, b"\xff\0");
}

#[cfg(feature = "decompress")]
#[tokio::test]
async fn a_body_that_inflates_over_the_limit_is_an_error() {
    let mut client = client().await;
    assert_eq!(client.ask("bomb").await, INVALID);
    assert_eq!(client.ask("gzip").await, "né");
}
