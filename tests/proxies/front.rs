//! Proxies that clients come through.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::{HeaderValue, StatusCode};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message as Frame, client::IntoClientRequest},
};
use wasabi::{Registry, prelude::*};
use wasabi_tests::{
    TestServer,
    authority::Authority,
    http2::Http2,
    proxy::{Proxy, shipped_haproxy, shipped_nginx},
    serve, serve_with, soon, until,
};

type Client = WebSocketStream<TlsStream<TcpStream>>;

async fn tls(authority: &Authority, from: &str, to: SocketAddr) -> TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    let from = format!("{from}:0").parse().expect("an address");
    socket.bind(from).expect("a port");
    let stream = soon(socket.connect(to)).await.expect("a connection");
    let connector = TlsConnector::from(Arc::new(authority.client()));
    let name = "127.0.0.1".try_into().expect("a name");
    soon(connector.connect(name, stream)).await.expect("TLS")
}

/// A client from this address, with these headers.
async fn connect(
    authority: &Authority,
    from: &str,
    to: SocketAddr,
    headers: &[(&'static str, &str)],
) -> Result<Client, Error> {
    let mut request = format!("wss://{to}/").into_client_request()?;
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).expect("a header");
        request.headers_mut().append(*name, value);
    }
    let stream = tls(authority, from, to).await;
    Ok(soon(client_async(request, stream)).await?.0)
}

async fn ask(client: &mut Client, text: &str) -> String {
    soon(client.send(text.into())).await.expect("a message");
    loop {
        match soon(client.next())
            .await
            .expect("a reply")
            .expect("a reply")
        {
            Frame::Text(text) => return text.to_string(),
            Frame::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Tells who the client is; pages of `https://shop.test` and those of the own host may connect.
fn whoami(registry: &Registry, ping: Duration) -> Gateway {
    gateway!(
        http = [ClientIp::trusting(["127.0.0.1/32"])],
        get("/readyz", readiness),
        channel(
            "/",
            registry = registry.clone(),
            origins = ["https://shop.test"],
            ping = ping,
            async |ip: ClientIp| ip.to_string()
        ),
    )
}

/// nginx that ends TLS and speaks to the gateway under its own name for it, as it does by default.
fn nginx(authority: &Authority, to: &TestServer, settings: &str) -> Proxy {
    let server = format!(
        "server {{ listen 127.0.0.1:PORT ssl http2;
            ssl_certificate DIR/cert.pem; ssl_certificate_key DIR/key.pem;
            location / {{
                proxy_pass http://{};
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection \"upgrade\";
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                proxy_set_header X-Forwarded-Host $http_host;
                proxy_set_header X-Forwarded-Proto $scheme;
                {settings}
            }} }}",
        to.addr
    );
    Proxy::nginx(authority, &server)
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx: run tests/run"]
async fn behind_nginx_the_address_is_the_one_from_nginx_and_not_the_one_the_client_claims() {
    let authority = Authority::new();
    let server = serve(whoami(&Registry::new(), HOUR)).await;
    let nginx = shipped_nginx(&authority, server.addr);
    let claims = [("x-forwarded-for", "203.0.113.7")];
    for headers in [&[][..], &claims] {
        let client = connect(&authority, "127.0.0.9", nginx.addr, headers).await;
        let mut client = client.expect("a WebSocket");
        assert_eq!(ask(&mut client, "who?").await, "127.0.0.9");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx: run tests/run"]
async fn behind_nginx_that_rewrites_the_host_pages_of_the_same_host_may_connect() {
    let authority = Authority::new();
    let server = serve(whoami(&Registry::new(), HOUR)).await;
    let nginx = nginx(&authority, &server, "");
    let own = format!("https://{}", nginx.addr);
    for (origin, may_connect) in [
        (own.as_str(), true),
        ("https://shop.test", true),
        ("https://evil.test", false),
        ("http://shop.test", false),
    ] {
        let headers = [("origin", origin)];
        match connect(&authority, "127.0.0.9", nginx.addr, &headers).await {
            Ok(_) => assert!(may_connect, "{origin}"),
            Err(Error::Http(answer)) => {
                assert!(!may_connect, "{origin}");
                assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin}");
            }
            Err(error) => panic!("{origin}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx: run tests/run"]
async fn pings_keep_idle_clients_connected_through_nginx_with_a_short_idle_timeout() {
    let authority = Authority::new();
    let (quiet, pinged) = (Registry::new(), Registry::new());
    for (registry, ping, stays) in [
        (&quiet, HOUR, false),
        (&pinged, Duration::from_millis(300), true),
    ] {
        let server = serve(whoami(registry, ping)).await;
        let nginx = nginx(
            &authority,
            &server,
            "proxy_read_timeout 1s; proxy_send_timeout 1s;",
        );
        let client = connect(&authority, "127.0.0.9", nginx.addr, &[]).await;
        let mut client = client.expect("a WebSocket");
        until("it is registered", || registry.len() == 1).await;
        // Reading answers pings.
        let end = async { while let Some(Ok(_)) = client.next().await {} };
        let ended = tokio::time::timeout(Duration::from_secs(3), end)
            .await
            .is_ok();
        assert_eq!(ended, !stays);
        if stays {
            assert_eq!(ask(&mut client, "who?").await, "127.0.0.9");
        } else {
            until("the gateway has noticed", || registry.is_empty()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HAProxy: run tests/run"]
async fn behind_haproxy_the_address_is_the_one_from_the_proxy_protocol() {
    let authority = Authority::new();
    let gateway = gateway!(
        get("/readyz", readiness),
        channel("/", async |RemoteAddr(addr): RemoteAddr, ip: ClientIp| {
            format!("{} {ip}", addr.ip())
        })
    );
    let server = serve_with(gateway, |server| {
        server.also_bind_proxied("127.0.0.1:0", ["127.0.0.1/32"])
    })
    .await;
    let proxied = server.handle.addrs().await[1];
    let haproxy = shipped_haproxy(&authority, proxied, "60s");
    let claims = [("x-forwarded-for", "203.0.113.7")];
    let client = connect(&authority, "127.0.0.9", haproxy.addr, &claims).await;
    let mut client = client.expect("a WebSocket");
    assert_eq!(ask(&mut client, "who?").await, "127.0.0.9 127.0.0.9");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HAProxy: run tests/run"]
async fn websockets_over_http2_come_through_haproxy() {
    let authority = Authority::new();
    let server = serve_with(
        gateway!(
            get("/livez", async || "alive"),
            get("/readyz", readiness),
            channel("/echo", async |text: Text| text)
        ),
        |server| server.also_bind_proxied("127.0.0.1:0", ["127.0.0.1/32"]),
    )
    .await;
    let proxied = server.handle.addrs().await[1];
    let haproxy = shipped_haproxy(&authority, proxied, "60s");
    let mut config = authority.client();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(haproxy.addr)
        .await
        .expect("a connection");
    let name = "127.0.0.1".try_into().expect("a name");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = soon(connecting).await.expect("TLS");
    let mut http2 = Http2::over(stream, &haproxy.addr.to_string()).await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(http2.open("/echo").await);
    }
    for (n, stream) in streams.iter_mut().enumerate() {
        let text = n.to_string();
        soon(stream.send(text.as_str().into()))
            .await
            .expect("a message");
        let reply = soon(stream.next())
            .await
            .expect("a reply")
            .expect("a reply");
        assert_eq!(reply, Frame::text(text));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HAProxy: run tests/run"]
async fn pings_keep_idle_clients_connected_through_haproxy_with_a_short_tunnel_timeout() {
    let authority = Authority::new();
    let registry = Registry::new();
    for (ping, stays) in [(HOUR, false), (Duration::from_millis(300), true)] {
        let server = serve_with(whoami(&registry, ping), |server| {
            server.also_bind_proxied("127.0.0.1:0", ["127.0.0.1/32"])
        })
        .await;
        let proxied = server.handle.addrs().await[1];
        let haproxy = shipped_haproxy(&authority, proxied, "1s");
        let client = connect(&authority, "127.0.0.9", haproxy.addr, &[]).await;
        let mut client = client.expect("a WebSocket");
        let end = async { while let Some(Ok(_)) = client.next().await {} };
        let ended = tokio::time::timeout(Duration::from_secs(3), end)
            .await
            .is_ok();
        assert_eq!(ended, !stays);
        drop(client);
        until("the gateway has noticed", || registry.is_empty()).await;
    }
}

/// While one of two gateways drains, HAProxy learns of it from its readiness and sends clients to the other.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HAProxy: run tests/run"]
async fn a_rollout_behind_haproxy_refuses_no_client() {
    let authority = Authority::new();
    let gateway = |name: &'static str| {
        gateway!(
            get("/readyz", readiness),
            channel("/", async move || name.to_owned())
        )
    };
    let delayed = |server: Server| server.drain_delay(Duration::from_millis(1500));
    let first = serve_with(gateway("first"), delayed).await;
    let second = serve_with(gateway("second"), delayed).await;
    let config = format!(
        "defaults
            mode http
            timeout connect 5s
            timeout client 60s
            timeout server 60s
            timeout tunnel 60s
        frontend clients
            bind 127.0.0.1:PORT ssl crt DIR/both.pem
            default_backend gateways
        backend gateways
            balance roundrobin
            option httpchk GET /readyz
            server first {} check inter 100ms fall 2 rise 1
            server second {} check inter 100ms fall 2 rise 1
        ",
        first.addr, second.addr
    );
    let haproxy = Proxy::haproxy(&authority, &config);
    let (answered, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let coming = async {
        while !over.load(Ordering::Relaxed) {
            let client = connect(&authority, "127.0.0.1", haproxy.addr, &[]).await;
            let mut client = client.expect("nobody is turned away");
            ask(&mut client, "who?").await;
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    let draining = async {
        until("clients come", || answered.load(Ordering::Relaxed) > 10).await;
        first.drain().await.expect("a drain");
        let now = answered.load(Ordering::Relaxed);
        until("clients come still", || {
            answered.load(Ordering::Relaxed) > now + 10
        })
        .await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(coming, draining);
}
