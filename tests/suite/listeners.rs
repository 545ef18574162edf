//! Several addresses for one server.

use std::{collections::HashSet, net::TcpListener};

use tokio::task::JoinSet;
use wasabi::{ServeError, prelude::*};
use wasabi_tests::{serve_with, soon, until};

#[tokio::test]
async fn a_server_listens_on_several_addresses() {
    let registry = Registry::new();
    let given = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = given.local_addr().expect("an address").port();
    let gateway = gateway!(channel(
        "/",
        registry = registry.clone(),
        async |text: Text| text
    ));
    let server = serve_with(gateway, |server| {
        server
            .also_bind("127.0.0.1:0")
            .also_bind_plain("127.0.0.1:0")
            .also_on(given)
    })
    .await;
    let addrs = server.handle.addrs().await;
    assert_eq!(addrs[0], server.addr);
    assert_eq!(addrs[3].port(), port);
    assert_eq!(addrs.iter().collect::<HashSet<_>>().len(), 4);
    let mut clients = Vec::new();
    for addr in addrs {
        let client = soon(tokio_tungstenite::connect_async(format!("ws://{addr}/"))).await;
        clients.push(client.expect("handshake"));
    }
    assert_eq!(registry.len(), 4);
    drop(clients);
    server.drain().await.expect("drained");
}

#[tokio::test]
async fn one_address_in_use_keeps_the_server_from_starting() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken
        .local_addr()
        .map(|addr| (taken, addr))
        .expect("an address");
    let gateway = gateway!(channel("/", async |text: Text| text));
    let server = Server::bind("127.0.0.1:0")
        .also_bind(taken.1)
        .signals(false);
    let error = soon(server.serve(gateway)).await.expect_err("it is taken");
    assert!(matches!(error, ServeError::Bind { address, .. } if address == taken.1.to_string()));
}

#[tokio::test]
async fn no_more_sockets_than_allowed_are_open_on_all_addresses_together() {
    let registry = Registry::new();
    let gateway = gateway!(channel(
        "/",
        registry = registry.clone(),
        async |text: Text| text
    ));
    let server = serve_with(gateway, |server| {
        server.also_bind("127.0.0.1:0").max_sockets(3)
    })
    .await;
    let addrs = server.handle.addrs().await;
    let mut waiting = JoinSet::new();
    for n in 0..20 {
        let url = format!("ws://{}/", addrs[n % 2]);
        waiting.spawn(async move {
            let client = tokio_tungstenite::connect_async(url).await;
            client.expect("handshake").0
        });
    }
    // Each place that becomes free goes to one waiting client, at whichever address.
    for left in (0..20).rev() {
        let client = soon(waiting.join_next()).await.expect("one").expect("in");
        assert!(registry.len() <= 3, "{} are in", registry.len());
        assert_eq!(waiting.len(), left);
        drop(client);
    }
    until("all have gone", || registry.is_empty()).await;
    server.drain().await.expect("drained");
}

#[cfg(unix)]
mod unix {
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::UnixStream;
    use tokio_tungstenite::{client_async, tungstenite::client::IntoClientRequest};
    use wasabi::prelude::*;
    use wasabi_tests::{serve_with, soon};

    fn path(name: &str) -> String {
        let file = format!("wasabi-{name}-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(file);
        path.to_str().expect("UTF-8").to_owned()
    }

    async fn whoami(ip: Option<ClientIp>, connection: Connection) -> String {
        assert_eq!(connection.remote_addr(), None);
        ip.map_or("nobody".to_owned(), |ip| ip.to_string())
    }

    async fn ask(path: &str, url: &str) -> String {
        let stream = soon(UnixStream::connect(path))
            .await
            .expect("a Unix socket");
        let mut request = url.into_client_request().expect("a URL");
        let forwarded = "1.1.1.1".parse().expect("a header value");
        request.headers_mut().insert("x-forwarded-for", forwarded);
        let (mut socket, _) = soon(client_async(request, stream))
            .await
            .expect("handshake");
        socket.send("".into()).await.expect("send");
        let answer = soon(socket.next()).await.expect("an answer");
        answer.expect("an answer").to_string()
    }

    #[tokio::test]
    async fn a_server_listens_on_a_unix_socket_whose_peers_may_be_trusted() {
        let path = path("trusted");
        let gateway = gateway!(
            channel("/trusting", http = [ClientIp::trusting(["unix:"])], whoami),
            channel("/", http = [ClientIp::trusting(["10.0.0.0/8"])], whoami),
        );
        let server = serve_with(gateway, |server| server.also_bind(format!("unix:{path}"))).await;
        assert_eq!(ask(&path, "ws://localhost/trusting").await, "1.1.1.1");
        assert_eq!(ask(&path, "ws://localhost/").await, "nobody");
        server.drain().await.expect("drained");
        assert!(
            !std::fs::exists(&path).expect("a folder"),
            "the file is removed"
        );
    }

    #[tokio::test]
    async fn a_socket_file_that_was_left_behind_is_replaced_and_a_live_one_is_not() {
        let path = path("stale");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
        assert!(std::fs::exists(&path).expect("a folder"));
        let gateway = || gateway!(channel("/", async |text: Text| text));
        let address = format!("unix:{path}");
        let server = serve_with(gateway(), |server| server.also_bind(&address)).await;
        let second = Server::bind(&address).signals(false);
        let error = soon(second.serve(gateway()))
            .await
            .expect_err("it is taken");
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot listen on {address}: "))
        );
        assert!(soon(UnixStream::connect(&path)).await.is_ok());
        server.drain().await.expect("drained");
        std::fs::write(&path, "not a socket").expect("write");
        let third = Server::bind(&address).signals(false);
        assert!(soon(third.serve(gateway())).await.is_err());
        assert_eq!(std::fs::read(&path).expect("kept"), b"not a socket");
        let _ = std::fs::remove_file(&path);
    }

    #[tokio::test]
    async fn the_file_of_a_unix_socket_has_the_mode_that_is_set() {
        use std::os::unix::fs::PermissionsExt;

        let path = path("mode");
        let gateway = || gateway!(channel("/", whoami));
        let server = serve_with(gateway(), |server| {
            server.also_bind(format!("unix:{path}")).unix_mode(0o666)
        })
        .await;
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o666);
        server.drain().await.expect("drained");
        let senseless = Server::bind("127.0.0.1:0").unix_mode(660);
        let error = soon(senseless.serve(gateway()))
            .await
            .expect_err("a mistake");
        assert!(
            error.to_string().contains("write it like `0o660`"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_file_that_another_server_has_put_there_is_not_removed() {
        let path = path("taken-over");
        let gateway = || gateway!(channel("/", http = [ClientIp::trusting(["unix:"])], whoami));
        let address = format!("unix:{path}");
        let old = serve_with(gateway(), |server| server.also_bind(&address)).await;
        std::fs::remove_file(&path).expect("as a script does before it starts another one");
        let new = serve_with(gateway(), |server| server.also_bind(&address)).await;
        old.drain().await.expect("drained");
        assert_eq!(ask(&path, "ws://localhost/").await, "1.1.1.1");
        new.drain().await.expect("drained");
        assert!(!std::fs::exists(&path).expect("a folder"), "it was its own");
    }

    #[tokio::test]
    async fn listeners_of_the_standard_library_and_of_tokio_are_accepted() {
        let (std_path, tokio_path) = (path("given-std"), path("given-tokio"));
        let std_unix = std::os::unix::net::UnixListener::bind(&std_path).expect("a socket");
        let tokio_unix = tokio::net::UnixListener::bind(&tokio_path).expect("a socket");
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let addr = tcp.local_addr().expect("an address");
        let gateway = gateway!(channel("/", http = [ClientIp::trusting(["unix:"])], whoami));
        let server = serve_with(gateway, |server| {
            server.also_on(std_unix).also_on(tokio_unix).also_on(tcp)
        })
        .await;
        for path in [&std_path, &tokio_path] {
            assert_eq!(ask(path, "ws://localhost/").await, "1.1.1.1");
        }
        assert_eq!(server.handle.addrs().await[1], addr);
        server.drain().await.expect("drained");
        for path in [&std_path, &tokio_path] {
            assert!(
                std::fs::exists(path).expect("a folder"),
                "it belongs to somebody else"
            );
            std::fs::remove_file(path).expect("a file");
        }
    }
}
