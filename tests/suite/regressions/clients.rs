//! Clients that were wrongly admitted, or turned away with a crash and no answer.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use wasabi::{GatewayError, prelude::*};
use wasabi_tests::{TestServer, serve};

async fn ip(ClientIp(ip): ClientIp) -> String {
    ip.to_string()
}

async fn seen(server: &TestServer, headers: &[(&'static str, &str)]) -> String {
    let client = server.connect_with("/", headers).await;
    client.expect("handshake").ask("").await
}

#[tokio::test]
async fn a_foreign_origin_is_refused_unless_it_is_allowed() {
    let server = serve(gateway!(channel("/echo", async |message: Message| message))).await;
    for origin in ["https://evil.example", "null", "garbage"] {
        let refused = server.connect_with("/echo", &[("origin", origin)]).await;
        assert_eq!(refused.err().unwrap().status(), 403, "{origin}");
    }
    let own = format!("http://{}", server.addr);
    assert!(
        server
            .connect_with("/echo", &[("origin", &own)])
            .await
            .is_ok()
    );
    assert!(server.connect_with("/echo", &[]).await.is_ok());
}

#[tokio::test]
async fn a_short_authorization_header_is_401() {
    let users = BasicAuth::users([("alice", "wonderland")]);
    let server = serve(gateway!(
        channel("/basic", http = [users], async || "in"),
        channel(
            "/bearer",
            http = [BearerAuth::new(async |_| None::<Identity<()>>)],
            async || "in"
        ),
    ))
    .await;
    for path in ["/basic", "/bearer"] {
        for length in 0.."Bearer x".len() {
            for whole in ["Bearer x", "Basic YQ==", "        "] {
                let headers = [("authorization", &whole[..length])];
                let refused = server.connect_with(path, &headers).await.err();
                assert_eq!(refused.expect("a refusal").status(), 401, "{headers:?}");
            }
        }
    }
}

#[tokio::test]
async fn only_bearer_tokens_reach_the_verify_function() {
    let checked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&checked);
    let verify = move |token: String| {
        let known = token == "good";
        seen.lock().expect("no panic").push(token);
        async move { known.then(|| Identity::new(())) }
    };
    let server = serve(gateway!(channel(
        "/",
        http = [BearerAuth::new(verify)],
        async || "in"
    )))
    .await;
    for scheme in [
        "Basic good",
        "Digest good",
        "Bearergood",
        "good",
        "X-Bearer good",
    ] {
        let headers = [("authorization", scheme)];
        let refused = server.connect_with("/", &headers).await.err();
        assert_eq!(refused.expect("a refusal").status(), 401, "{scheme}");
    }
    let headers = [("authorization", "bearer good")];
    assert!(server.connect_with("/", &headers).await.is_ok());
    assert_eq!(*checked.lock().expect("no panic"), ["good"]);
}

#[tokio::test]
async fn a_wrong_name_takes_as_long_as_a_wrong_password() {
    // Hashes of 8 MiB take a noticeable time; constant-time comparison is the job of `subtle`.
    let hash = "$argon2id$v=19$m=8192,t=1,p=1$YSBzYWx0IG9mIDE2IGJ5$VybhHsfjij0O3eSta7Hv9iWiw5UmJOvsYPP8bFf65LM";
    let users = BasicAuth::users([("alice", hash)]);
    let server = serve(gateway!(channel("/", http = [users], async || "in"))).await;
    let least = async |credentials: &str| {
        let mut least = Duration::MAX;
        for _ in 0..5 {
            let start = Instant::now();
            let refused = server
                .connect_with("/", &[("authorization", credentials)])
                .await;
            assert_eq!(refused.err().expect("a refusal").status(), 401);
            least = least.min(start.elapsed());
        }
        least
    };
    // `alice:underground` and `mallory:underground`
    let password = least("Basic YWxpY2U6dW5kZXJncm91bmQ=").await;
    let name = least("Basic bWFsbG9yeTp1bmRlcmdyb3VuZA==").await;
    assert!(
        name > password / 4 && password > name / 4,
        "{name:?}, {password:?}"
    );
}

#[tokio::test]
async fn x_forwarded_for_is_not_believed_from_anybody() {
    let forged = [
        ("x-forwarded-for", "1.1.1.1"),
        ("forwarded", "for=1.1.1.1"),
        ("cf-connecting-ip", "1.1.1.1"),
        ("cloudfront-viewer-address", "1.1.1.1:80"),
    ];
    for layer in [
        ClientIp::trusting(["10.0.0.0/8"]),
        ClientIp::trusting(["10.0.0.0/8"]).forwarded(),
        ClientIp::cloudflare(["10.0.0.0/8"]),
        ClientIp::cloudfront(["10.0.0.0/8"]),
        ClientIp::peer(),
    ] {
        let server = serve(gateway!(channel("/", http = [layer], ip))).await;
        assert_eq!(seen(&server, &forged).await, "127.0.0.1");
    }
    let server = serve(gateway!(channel("/", ip))).await;
    assert_eq!(seen(&server, &forged).await, "127.0.0.1");
}

#[tokio::test]
async fn an_ipv6_address_is_not_cut_at_its_first_colon() {
    let proxies = ClientIp::trusting(["127.0.0.0/8"]);
    let server = serve(gateway!(channel("/", http = [proxies], ip))).await;
    for (written, address) in [
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("1.1.1.1:4711", "1.1.1.1"),
    ] {
        let headers = [("x-forwarded-for", written)];
        assert_eq!(seen(&server, &headers).await, address, "{written}");
    }
}

#[tokio::test]
async fn paths_that_conflict_are_reported_together_and_nothing_panics() {
    let (one, two, bad) = ("/{a}".to_owned(), "/{b}".to_owned(), "no-slash".to_owned());
    let gateway = gateway!(
        channel(one, async |text: Text| text),
        channel(two, async |text: Text| text),
        channel(bad, async |text: Text| text),
    );
    let mistakes = gateway.check().unwrap_err();
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(
        matches!(&mistakes[0], GatewayError::Conflict { path, other } if path == "/{b}" && other == "/{a}")
    );
    assert!(matches!(&mistakes[1], GatewayError::Path { path, .. } if path == "no-slash"));
    let error = Server::bind("127.0.0.1:0")
        .serve(gateway)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no-slash"), "{error}");
}

#[tokio::test]
async fn an_unknown_key_is_answered() {
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/action").id("/req_id"),
        match key {
            "known" => async || "known",
            _ => NoRoute,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    let ask = serde_json::json!({"action": "unknown", "req_id": 8});
    let reply = client.ask_json(ask).await;
    assert_eq!(reply["req_id"], 8);
    assert_eq!(reply["error"]["code"], "no_route");
}
