//! The address of the client, with and without proxies.

use std::convert::Infallible;

use tower::service_fn;
use wasabi::{GatewayError, middleware::http::ClientIpLayer, prelude::*};
use wasabi_tests::{TestServer, serve};

async fn whoami(ClientIp(ip): ClientIp, connection: Connection) -> String {
    assert_eq!(connection.client_ip(), Some(ip));
    ip.to_string()
}

async fn seen(server: &TestServer, headers: &[(&'static str, &str)]) -> String {
    let client = server.connect_with("/", headers).await;
    client.expect("handshake").ask("").await
}

async fn behind(layer: ClientIpLayer) -> TestServer {
    serve(gateway!(channel("/", http = [layer], whoami))).await
}

#[tokio::test]
async fn x_forwarded_for_of_a_trusted_proxy_names_the_client() {
    let server = behind(ClientIp::trusting(["127.0.0.0/8"])).await;
    let header = |value| [("x-forwarded-for", value)];
    assert_eq!(
        seen(&server, &header("6.6.6.6, 1.1.1.1, 127.0.0.9")).await,
        "1.1.1.1"
    );
    assert_eq!(
        seen(&server, &header("[2001:db8::1]:4711")).await,
        "2001:db8::1"
    );
    assert_eq!(seen(&server, &[]).await, "127.0.0.1");
}

#[tokio::test]
async fn several_header_lines_are_one_list() {
    let lines =
        "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 127.0.0.2";
    let endpoint = service_fn(async |req: http::Request<axum::body::Body>| {
        let ip = req.extensions().get::<ClientIp>().map(ToString::to_string);
        Ok::<_, Infallible>(axum::response::Response::new(axum::body::Body::from(
            ip.unwrap_or_default(),
        )))
    });
    let layer = ClientIp::trusting(["127.0.0.0/8"]);
    let server = serve(gateway!(mount("/", tower::Layer::layer(&layer, endpoint)))).await;
    let request = format!("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{lines}\r\n\r\n");
    let answer = server.raw(&request).await;
    assert!(answer.ends_with("\r\n\r\n1.1.1.1"), "{answer}");
}

#[tokio::test]
async fn an_axum_endpoint_takes_the_address_too() {
    let server = serve(gateway!(get("/ip", async |ip: ClientIp| ip.to_string()))).await;
    let answer = server
        .raw("GET /ip HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.ends_with("\r\n\r\n127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn clients_behind_one_proxy_have_separate_limits() {
    let limit = RateLimit::per_minute(1).by(|req| req.connection().client_ip());
    let server = serve(gateway!(
        http = [ClientIp::trusting(["127.0.0.0/8"])],
        channel("/", middleware = [limit], whoami),
    ))
    .await;
    let header = |value| [("x-forwarded-for", value)];
    assert_eq!(seen(&server, &header("1.1.1.1")).await, "1.1.1.1");
    assert!(
        seen(&server, &header("1.1.1.1"))
            .await
            .starts_with("rate_limited")
    );
    assert_eq!(seen(&server, &header("2.2.2.2")).await, "2.2.2.2");
}

#[tokio::test]
async fn an_invalid_network_keeps_the_gateway_from_being_served() {
    let configured = ["10.0.0.0/8".to_owned(), "10.0.0.0/33".to_owned()];
    let gateway = gateway!(channel(
        "/",
        http = [ClientIp::trusting(configured)],
        whoami
    ));
    let mistakes = gateway.check().unwrap_err();
    assert!(
        matches!(&mistakes[..], [GatewayError::Setting(mistake)]
            if mistake.starts_with("`/`: `10.0.0.0/33` is not a network")),
        "{mistakes:?}"
    );
}
