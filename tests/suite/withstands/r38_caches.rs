//! A user never gets another user's reply.

use std::sync::Arc;

use axum::{Router, http::HeaderMap};
use wasabi::{
    GatewayError,
    middleware::http::{Next as HttpNext, Request as HttpRequest, Response},
    prelude::*,
};
use wasabi_tests::{Gate, TestServer, http_service, serve, until};

async fn verify(token: String) -> Option<Identity<String>> {
    Some(Identity::new(token.strip_prefix("of-")?.to_owned()))
}

/// Answers with the user who asks; counts the requests.
#[derive(Clone)]
struct Portfolio {
    asked: Arc<std::sync::atomic::AtomicUsize>,
    gate: Gate,
}

impl Portfolio {
    fn new(gate: Gate) -> Self {
        Self {
            asked: Arc::default(),
            gate,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl<S: Sync> wasabi::Backend<S> for Portfolio {
    async fn call(&self, req: Request, _state: &S) -> Result {
        let identity = req.connection().identity::<String>();
        self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.gate.pass().await;
        let user = identity.map_or("nobody".to_owned(), Identity::into_inner);
        Ok(Reply::message(format!("that of {user}")))
    }
}

fn open() -> Gate {
    let gate = Gate::closed();
    gate.open.add_permits(1000);
    gate
}

async fn ask_as(server: &TestServer, path: &str, headers: &[(&'static str, &str)]) -> String {
    let client = server.connect_with(path, headers).await;
    client.expect("handshake").ask("x").await
}

#[tokio::test]
async fn a_cached_reply_is_for_the_user_it_was_made_for() {
    let portfolio = Portfolio::new(open());
    let server = serve(gateway!(channel(
        "/",
        http = [BearerAuth::new(verify).query_parameter("token")],
        with([Cache::new(1h)], portfolio.clone()),
    )))
    .await;
    for round in 0..2 {
        for user in ["alice", "bob"] {
            let header = format!("Bearer of-{user}");
            let reply = ask_as(&server, "/", &[("authorization", &header)]).await;
            assert_eq!(reply, format!("that of {user}"));
            // The token is not part of the URI that the connection knows.
            let reply = ask_as(&server, &format!("/?token=of-{user}"), &[]).await;
            assert_eq!(reply, format!("that of {user}"));
        }
        // Another connection of the same user gets the same.
        assert_eq!(portfolio.asked(), 4, "round {round}");
    }
}

#[tokio::test]
async fn a_cached_reply_of_an_upstream_is_for_the_client_whose_credentials_it_got() {
    let me = async |headers: HeaderMap| {
        let value = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        format!("{:?} {:?}", value("authorization"), value("cookie"))
    };
    let url = http_service(Router::new().fallback(me)).await;
    let forwarded = ["authorization", "cookie", "accept-language"];
    let server = serve(gateway!(channel(
        "/",
        with(
            [Cache::new(1h)],
            Http::post(&url).forward_headers(forwarded)
        ),
    )))
    .await;
    for (name, value) in [
        ("authorization", "a"),
        ("authorization", "b"),
        ("cookie", "a"),
        ("cookie", "b"),
    ] {
        let reply = ask_as(&server, "/", &[(name, value)]).await;
        let expected = match name {
            "cookie" => format!("None Some({value:?})"),
            _ => format!("Some({value:?}) None"),
        };
        assert_eq!(reply, expected);
    }
}

#[tokio::test]
async fn equal_requests_of_two_users_at_once_are_two_calls() {
    let gate = Gate::closed();
    let portfolio = Portfolio::new(gate.clone());
    let server = serve(gateway!(channel(
        "/",
        http = [BearerAuth::new(verify)],
        // The key forgets the user, but the cache compares more than the key.
        with(
            [Cache::new(1h).by(|req| Some(req.payload()))],
            portfolio.clone()
        ),
    )))
    .await;
    let mut clients = Vec::new();
    for user in ["alice", "bob", "alice", "bob"] {
        let header = format!("Bearer of-{user}");
        let client = server
            .connect_with("/", &[("authorization", &header)])
            .await;
        let mut client = client.expect("handshake");
        client.send("x").await;
        clients.push((user, client));
    }
    until("both calls", || portfolio.asked() == 2).await;
    gate.open.add_permits(10);
    for (user, client) in &mut clients {
        assert_eq!(client.text().await, format!("that of {user}"));
    }
    assert_eq!(portfolio.asked(), 2);
}

/// The application's own login, of which the gateway knows only that it has taken place.
#[middleware(http)]
async fn by_turns(mut request: HttpRequest, next: HttpNext) -> Response {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let user = ["alice", "bob"][TURN.fetch_add(1, Ordering::SeqCst) % 2].to_owned();
    Identity::new(user).insert_into(request.extensions_mut());
    next.run(request).await
}

#[tokio::test]
async fn a_client_with_a_custom_login_shares_no_cached_reply() {
    let portfolio = Portfolio::new(open());
    let server = serve(gateway!(channel(
        "/",
        http = [by_turns],
        with([Cache::new(1h)], portfolio.clone()),
    )))
    .await;
    assert_eq!(ask_as(&server, "/", &[]).await, "that of alice");
    assert_eq!(ask_as(&server, "/", &[]).await, "that of bob");
}

fn ask_or_name(message: &Message) -> Result<Option<Envelope<'_>>> {
    let key = match message.as_text() {
        Some("x") => "ask",
        _ => "name",
    };
    Ok(Some(Envelope::from_static(key)))
}

#[tokio::test]
async fn a_client_with_a_new_identity_gets_no_reply_of_the_old_one() {
    let portfolio = Portfolio::new(open());
    let become_another = async |user: Text, connection: Connection| {
        connection.renew(Identity::new(user.to_string()));
        "done"
    };
    let server = serve(gateway!(channel(
        "/",
        parser = ask_or_name,
        match key {
            "ask" => with([Cache::new(1h)], portfolio.clone()),
            _ => become_another,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("x").await, "that of nobody");
    for user in ["alice", "bob", "alice"] {
        assert_eq!(client.ask(user).await, "done");
        assert_eq!(client.ask("x").await, format!("that of {user}"));
        assert_eq!(client.ask("x").await, format!("that of {user}"));
    }
    assert_eq!(portfolio.asked(), 4);
}

#[tokio::test]
async fn shared_replies_are_for_everybody_and_one_call() {
    let portfolio = Portfolio::new(open());
    let server = serve(gateway!(channel(
        "/{tenant}",
        http = [BearerAuth::new(verify)],
        with([Cache::new(1h).shared()], portfolio.clone()),
    )))
    .await;
    for user in ["alice", "bob", "carol"] {
        let header = format!("Bearer of-{user}");
        let reply = ask_as(&server, "/a", &[("authorization", &header)]).await;
        assert_eq!(reply, "that of alice");
    }
    // A different path is a different request.
    let reply = ask_as(&server, "/b", &[("authorization", "Bearer of-bob")]).await;
    assert_eq!(reply, "that of bob");
}

#[tokio::test]
async fn a_shared_cache_around_an_upstream_that_gets_credentials_is_not_served() {
    let upstream = || Http::post("http://localhost/").forward_headers(["traceparent", "cookie"]);
    let cache = Cache::new(std::time::Duration::from_secs(1));
    let wrong = gateway!(channel(
        "/",
        middleware = [cache.clone().shared()],
        match key {
            "a" => upstream(),
            _ => NoRoute,
        },
    ));
    let mistakes = wrong.check().expect_err("a mistake");
    let [GatewayError::Setting(mistake)] = mistakes.as_slice() else {
        panic!("expected one mistake, got {mistakes:?}");
    };
    assert!(
        mistake.contains("receives `cookie` of each client"),
        "{mistake}"
    );
    for right in [
        gateway!(channel("/", with([cache.clone()], upstream()))),
        gateway!(channel(
            "/",
            with(
                [cache.clone().shared().by(|req| Some(req.payload()))],
                upstream()
            )
        )),
        gateway!(channel(
            "/",
            with(
                [cache.shared()],
                Http::post("http://localhost/").forward_headers(["traceparent"])
            )
        )),
    ] {
        assert_eq!(right.check(), Ok(()));
    }
}
