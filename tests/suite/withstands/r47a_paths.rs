//! R47a: one path written in several ways.

use axum::{Router, extract::Request};
use tokio::net::TcpListener;
use wasabi::{GatewayError, prelude::*};
use wasabi_tests::{raw, serve, soon};

/// Shows what answers at a path, over a plain request or, with the headers for it, as a handshake.
fn gateway() -> Gateway {
    let rest = Router::new().fallback(async |req: Request| format!("rest {}", req.uri().path()));
    gateway!(
        get("/api/admin", || async { "admin" }),
        get("/api/{name}", async |Path(name): Path<String>| format!(
            "name {name}"
        )),
        channel(
            "/ws/admin",
            http = [BearerAuth::new(nobody)],
            async |text: Text| text
        ),
        channel("/ws/{name}", async |text: Text| text),
        mount("/files", rest),
    )
}

async fn nobody(_token: String) -> Option<Identity<()>> {
    None
}

#[tokio::test]
async fn every_spelling_of_a_path_reaches_the_same_endpoint() {
    let server = serve(gateway()).await;
    let get = async |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let answer = server.raw(&request).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        (head[9..12].to_owned(), body.to_owned())
    };
    let ok = |body: &str| ("200".to_owned(), body.to_owned());
    for path in [
        "/api/admin",
        "/api/%61dmin",
        "/%61pi/%61dmi%6E",
        "http://test/api/%61dmin",
    ] {
        assert_eq!(get(path).await, ok("admin"), "{path}");
    }
    assert_eq!(get("/api/caf%c3%a9").await, ok("name caf\u{e9}"));
    assert_eq!(get("/api/%2561dmin").await, ok("name %61dmin"));
    assert_eq!(get("/api/admin.").await, ok("name admin."));
    assert_eq!(get("/files/%61/b/?x=//").await, ok("rest /a/b/"));
    for path in [
        "/api//admin",
        "//api/admin",
        "/api/./admin",
        "/api/%2e/admin",
        "/api/x/../admin",
        "/api/%2E%2e/api/admin",
        "/api/..;/admin",
        "/api%2Fadmin",
        "/api/%2fadmin",
        "/api/..%5cadmin",
        "/api/%00",
        "/api/%6",
        "/files//etc",
        "/files/../api/admin",
    ] {
        assert_eq!(get(path).await.0, "400", "{path}");
    }
}

#[tokio::test]
async fn every_spelling_of_a_path_is_protected_alike() {
    let server = serve(gateway()).await;
    let status = async |path: &str| {
        let handshake = raw::HANDSHAKE;
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n{handshake}\r\n");
        raw::status(&server, request.as_bytes()).await
    };
    assert_eq!(status("/ws/other").await, "HTTP/1.1 101");
    for path in ["/ws/admin", "/ws/%61dmin", "/%77s/adm%69n"] {
        assert_eq!(status(path).await, "HTTP/1.1 401", "{path}");
    }
    for path in ["/ws//admin", "/ws/x/../admin", "/ws%2fadmin"] {
        assert_eq!(status(path).await, "HTTP/1.1 400", "{path}");
    }
}

#[tokio::test]
async fn a_router_of_another_server_refuses_ambiguous_paths() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let app = gateway().into_router().expect("no mistakes");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let status = async |path: &str| {
        let url = format!("http://{addr}{path}");
        let answer = soon(wasabi::reqwest::get(url)).await.expect("an answer");
        answer.status().as_u16()
    };
    assert_eq!(status("/api/admin").await, 200);
    assert_eq!(status("/api/%61dmin").await, 400);
    assert_eq!(status("/files/a").await, 200);
    assert_eq!(status("/files/%61").await, 400);
}

#[test]
fn a_declared_path_that_no_request_can_match_is_a_mistake() {
    for path in ["/%61dmin", "/a//b", "/a/../b", "/a%2Fb", "/%e9"] {
        let path = std::hint::black_box(path);
        let mistakes = gateway!(channel(path, async |text: Text| text))
            .check()
            .expect_err(path);
        assert!(
            matches!(&mistakes[..], [GatewayError::Path { .. }]),
            "{mistakes:?}"
        );
    }
}
