//! From the routing key to the backend, through the chain.

mod nested;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use proptest::{collection::vec, prelude::*};
use wasabi::prelude::*;
use wasabi_tests::serve;

/// Uses the text as the key.
fn whole(message: &Message) -> Result<Option<Envelope<'_>>> {
    Ok(Some(Envelope::new(message.as_text().unwrap_or_default())))
}

async fn one() -> &'static str {
    "one"
}

async fn two() -> &'static str {
    "two"
}

#[tokio::test]
async fn patterns_alternatives_guards_and_the_rest() {
    let prefix = String::from("legacy.");
    let server = serve(gateway!(channel(
        "/",
        parser = whole,
        match key {
            "a" => one,
            "b" | "c" => two,
            key if key.starts_with(&prefix) => async |key: Key| format!("old {key}"),
            _ => NoRoute,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for (key, reply) in [
        ("a", "one"),
        ("b", "two"),
        ("c", "two"),
        ("legacy.x", "old legacy.x"),
        ("d", "no_route: no route for this key"),
        ("", "no_route: no route for this key"),
    ] {
        assert_eq!(client.ask(key).await, reply, "{key}");
    }
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "", "a", "b", "c", "a.b", "a.", "A", "\u{e4}", "_", "key"
        ])
        .prop_map(String::from),
        "[abc.\u{e4}]{0,3}",
        "\\PC{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_key_goes_to_the_first_pattern_that_matches(keys in vec(key(), 1..60), closed: bool) {
        // The earlier pattern wins over `"a.b"`; so does the guard over `"c"` while it holds.
        let gateway = gateway!(channel(
            "/",
            parser = whole,
            match key {
                "c" if closed => async || "closed",
                "a" => one,
                "b" | "c" => two,
                "" | "\u{e4}" => async || "odd",
                key if key.starts_with("a.") => async || "prefix",
                "a.b" => async || "never",
                _ => async || "rest",
            },
        ));
        let literals = HashMap::from([("a", "one"), ("b", "two"), ("c", "two"), ("", "odd"), ("\u{e4}", "odd")]);
        let expected = |key: &str| match literals.get(key) {
            Some(_) if key == "c" && closed => "closed",
            Some(route) => route,
            None if key.starts_with("a.") => "prefix",
            None => "rest",
        };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let server = serve(gateway).await;
            let mut client = server.connect("/").await;
            for key in &keys {
                assert_eq!(client.ask(key).await, expected(key), "{key:?}");
            }
        });
    }
}

enum Action {
    Buy,
    Sell,
}

impl std::str::FromStr for Action {
    type Err = ();

    fn from_str(key: &str) -> Result<Self, ()> {
        match key {
            "buy" => Ok(Self::Buy),
            "sell" => Ok(Self::Sell),
            _ => Err(()),
        }
    }
}

#[tokio::test]
async fn an_enum_of_actions_is_matched_exhaustively() {
    let server = serve(gateway!(channel(
        "/",
        parser = whole,
        match key.parse::<Action>() {
            Ok(Action::Buy) => one,
            Ok(Action::Sell) => two,
            Err(()) => NoRoute,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("buy").await, "one");
    assert_eq!(client.ask("sell").await, "two");
    assert!(client.ask("hold").await.starts_with("no_route"));
}

#[middleware]
async fn mark(name: &'static str, req: Request, next: impl Next) -> Result<Reply> {
    let route = req.route();
    let reply = next.run(req).await?;
    let text = reply.as_messages()[0]
        .as_text()
        .unwrap_or_default()
        .to_owned();
    Ok(Reply::message(format!("{name}({text})@{route}")))
}

#[tokio::test]
async fn middleware_nests_from_the_gateway_to_the_route_and_knows_the_route() {
    let server = serve(gateway!(
        middleware = [mark("gateway")],
        channel(
            "/",
            parser = whole,
            middleware = [mark("channel")],
            match key {
                "a" | "b" => with([mark("outer"), mark("inner")], one),
                _ => two,
            },
        ),
        channel("/plain", two),
    ))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(
        client.ask("a").await,
        "gateway(channel(outer(inner(one)@a | b)@a | b)@a | b)@a | b"
    );
    assert_eq!(client.ask("x").await, "gateway(channel(two)@_)@_");
    let mut client = server.connect("/plain").await;
    assert_eq!(client.ask("x").await, "gateway(two)@two");
}

#[tokio::test]
async fn a_middleware_may_run_the_rest_again_or_not_at_all() {
    #[middleware]
    async fn twice(req: Request, next: impl Next) -> Result<Reply> {
        match req.key() {
            "skip" => return Ok(Reply::message("skipped")),
            _ => drop(next.run(req.clone()).await),
        }
        next.run(req).await
    }
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let server = serve(gateway!(channel(
        "/",
        parser = whole,
        middleware = [twice],
        move || {
            let counted = counted.clone();
            async move { (counted.fetch_add(1, Ordering::SeqCst) + 1).to_string() }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("x").await, "2");
    assert_eq!(client.ask("skip").await, "skipped");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn arms_and_sections_that_are_configured_out_do_not_exist() {
    let server = serve(gateway!(
        channel(
            "/",
            parser = whole,
            match key {
                #[cfg(any())]
                "a" => this_does_not_exist,
                #[cfg(all())]
                "b" => two,
                _ => one,
            },
        ),
        #[cfg(any())]
        channel("/not", this_does_not_exist),
    ))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("a").await, "one");
    assert_eq!(client.ask("b").await, "two");
    assert_eq!(server.get("/not").await, 404);
}

#[tokio::test]
async fn sub_gateways_and_services_are_mounted() {
    fn rooms() -> Gateway {
        gateway!(channel("/", async || "lobby"), channel("/{room}", room),)
    }
    async fn room(Path((org, room)): Path<(String, String)>) -> String {
        format!("{org} {room}")
    }
    let files = axum::Router::new().route("/readme", axum::routing::get(async || "read me"));
    let server = serve(gateway!(
        mount("/{org}/rooms", rooms()),
        mount("/static", files),
        channel("/", async || "root"),
    ))
    .await;
    assert_eq!(
        server.connect("/acme/rooms/7").await.ask("").await,
        "acme 7"
    );
    assert_eq!(server.connect("/acme/rooms").await.ask("").await, "lobby");
    assert_eq!(server.connect("/").await.ask("").await, "root");
    assert_eq!(server.get("/static/readme").await, 200);
    assert_eq!(server.get("/static/other").await, 404);
}

#[tokio::test]
async fn a_gateway_describes_itself() {
    let gateway = gateway!(
        middleware = [mark("gateway")],
        /// Is it alive?
        get("/livez", async || "ok"),
        channel(
            "/",
            parser = whole,
            middleware = [Timeout::new(1s)],
            match key {
                /// The first.
                "a" => one,
                "b" | "c" => with([mark("x")], two),
                _ => NoRoute,
            },
        ),
        mount(
            "/rooms",
            gateway!(get("/alive", async || "ok"), channel("/{room}", one)),
        ),
    );
    let text = gateway.describe().to_string();
    for part in [
        "channel /",
        "mark",
        "Timeout",
        "a",
        "one",
        "The first.",
        "b | c",
        "two",
        "NoRoute",
        "get",
        "/livez",
        "/rooms/alive",
        "channel /rooms/{room}",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}
