//! R14: an invalid `Authorization` header is answered 401, and the server continues. The property tests are in
//! `auth.rs`.

use futures_util::future::join_all;
use wasabi::prelude::*;
use wasabi_tests::{raw, serve};

/// Bytes allowed in a header except line breaks, from a generator with this state.
fn garbage(state: &mut u64) -> Vec<u8> {
    let mut next = || {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    };
    let length = next() % 60;
    let mut bytes: Vec<u8> = match next() % 4 {
        0 => Vec::new(),
        1 => b"Basic ".to_vec(),
        2 => b"Bearer ".to_vec(),
        _ => b"basic".to_vec(),
    };
    let alphabet = b"AZaz09+/=:, \t\"\\.-_~\x80\xff\xc3\xa9";
    bytes.extend((0..length).map(|_| alphabet[next() as usize % alphabet.len()]));
    bytes
}

#[tokio::test]
async fn any_bytes_in_authorization_are_401() {
    let users = BasicAuth::users([("alice", "wonderland")]);
    let tokens =
        BearerAuth::new(async |token: String| (token == "secret").then(|| Identity::new("alice")));
    let server = serve(gateway!(
        channel("/basic", http = [users], async |text: Text| text),
        channel("/bearer", http = [tokens], async |text: Text| text),
    ))
    .await;
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for path in ["/basic", "/bearer"] {
        for _ in 0..20 {
            let asking = (0..20).map(|_| {
                let written = garbage(&mut state);
                let server = &server;
                async move {
                    let mut request = format!(
                        "GET {path} HTTP/1.1\r\nhost: test\r\n{}authorization: ",
                        raw::HANDSHAKE
                    )
                    .into_bytes();
                    request.extend(&written);
                    request.extend(b"\r\n\r\n");
                    (raw::status(server, &request).await, written)
                }
            });
            for (status, written) in join_all(asking).await {
                assert_eq!(
                    status,
                    "HTTP/1.1 401",
                    "{:?}",
                    written.escape_ascii().to_string()
                );
            }
        }
    }
    let token = [("authorization", "Bearer secret")];
    let mut client = server
        .connect_with("/bearer", &token)
        .await
        .expect("handshake");
    assert_eq!(client.ask("fine").await, "fine");
}
