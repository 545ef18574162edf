//! Sets of routes that modules declare, on one channel.

use wasabi::{FromRef, prelude::*};
use wasabi_tests::serve;

/// Uses the text as the key.
fn whole(message: &Message) -> Result<Option<Envelope<'_>>> {
    Ok(Some(Envelope::new(message.as_text().unwrap_or_default())))
}

#[derive(Clone)]
struct App {
    shop: &'static str,
    limits: Limits,
}

#[derive(Clone, Copy)]
struct Limits(usize);

impl FromRef<App> for Limits {
    fn from_ref(app: &App) -> Self {
        app.limits
    }
}

const APP: App = App {
    shop: "tea",
    limits: Limits(3),
};

async fn route(req: Request) -> String {
    req.route().to_owned()
}

#[middleware]
async fn mark(name: &'static str, req: Request, next: impl Next) -> Result<Reply> {
    let reply = next.run(req).await?;
    let messages = reply.as_messages();
    let text = messages[0].as_text().unwrap_or_default();
    Ok(Reply::message(format!("{name}({text})")))
}

mod orders {
    use super::*;

    pub(super) const STATUS: &str = "orders.status";

    #[backend(state = App)]
    async fn place(State(app): State<App>, req: Request) -> String {
        format!("{} {}", app.shop, req.route())
    }

    async fn most_items(State(limits): State<Limits>) -> String {
        limits.0.to_string()
    }

    /// Borrows what it is made from, as a module's functions do.
    pub(super) fn routes(prefix: &str, limits: &Limits) -> impl Routes<App> {
        let (prefix, most) = (prefix.to_owned(), limits.0);
        let is_old = move |key: &str| key.starts_with(&prefix) && key.len() < prefix.len() + most;
        routes!(
            App,
            match key {
                /// Places an order.
                "orders.place" => with([mark("place"), Timeout::new(2s)], place),
                "orders.cancel" | STATUS => route,
                #[cfg(any())]
                "orders.never" => this_does_not_exist,
                #[cfg(all())]
                "orders.most" => most_items,
                key if is_old(key) => route,
                "orders.nodes" => balance([(1, route), (1, route)]),
                "orders.inside" | "orders.outside" => match key {
                    "orders.inside" => route,
                    _ => route,
                },
            }
        )
    }
}

mod market {
    use super::*;

    /// Works with any state that has limits.
    pub(super) fn routes<S>() -> impl Routes<S>
    where
        S: Clone + Send + Sync + 'static,
        Limits: FromRef<S>,
    {
        routes!(
            S,
            middleware = [mark("market")],
            routes = [ticks::routes()],
            match key {
                "quote" => async |State(limits): State<Limits>| limits.0.to_string(),
            }
        )
    }

    mod ticks {
        use super::*;

        pub(super) fn routes<S: Send + Sync + 'static>() -> impl Routes<S> {
            routes!(
                S,
                with(
                    [mark("ticks")],
                    match key {
                        "ticks" => route,
                        "trades" => async || "none",
                    }
                )
            )
        }
    }
}

fn gateway() -> Gateway {
    let limits = Limits(4);
    gateway!(
        state = APP,
        channel(
            "/",
            parser = whole,
            middleware = [mark("all")],
            routes = [
                orders::routes("old.", &limits),
                with([mark("outside")], market::routes()),
                with(
                    [mark("group")],
                    match key {
                        "a" => route,
                        "b" => route,
                    }
                ),
            ],
            match key {
                "ping" => async || "pong",
                _ => async || "rest",
            },
        ),
    )
}

#[tokio::test]
async fn sets_of_several_modules_answer_on_one_channel_beside_its_own_routes() {
    let server = serve(gateway()).await;
    let mut client = server.connect("/").await;
    for (key, reply) in [
        ("orders.place", "all(place(tea orders.place))"),
        ("orders.cancel", "all(orders.cancel | STATUS)"),
        ("orders.status", "all(orders.cancel | STATUS)"),
        ("orders.most", "all(3)"),
        ("orders.never", "all(rest)"),
        ("old.abc", "all(key if is_old(key))"),
        ("old.abcd", "all(rest)"),
        ("orders.nodes", "all(orders.nodes)"),
        ("orders.inside", "all(orders.inside)"),
        ("orders.outside", "all(orders.inside | orders.outside)"),
        ("quote", "all(outside(market(3)))"),
        ("ticks", "all(outside(market(ticks(ticks))))"),
        ("trades", "all(outside(market(ticks(none))))"),
        ("a", "all(group(a))"),
        ("b", "all(group(b))"),
        ("ping", "all(pong)"),
        ("", "all(rest)"),
        ("orders", "all(rest)"),
    ] {
        assert_eq!(client.ask(key).await, reply, "{key}");
    }
}

#[test]
fn sets_are_described_with_what_is_around_their_routes() {
    let gateway = gateway();
    assert_eq!(gateway.check(), Ok(()));
    let described = gateway.describe().to_string();
    let rows: Vec<_> = described.lines().collect();
    for (route, rest) in [
        ("orders.place", "mark > Timeout > place    Places an order."),
        ("orders.inside", "route"),
        ("orders.inside | orders.outside", "route"),
        ("ticks", "mark > mark > mark > route"),
        ("quote", "mark > mark > |..|"),
        ("b", "mark > route"),
        ("ping", "|..|"),
        ("_", "|..|"),
    ] {
        let is_it = |row: &&&str| {
            let mut parts = row.split("->").map(str::trim);
            parts.next() == Some(route) && parts.next() == Some(rest)
        };
        assert_eq!(
            rows.iter().filter(is_it).count(),
            1,
            "{route} in\n{described}"
        );
    }
    assert!(!described.contains("never"), "{described}");
}

/// Says nothing of the routes inside.
struct Wrapped<B>(B);

impl<S: Sync, B: Backend<S>> Backend<S> for Wrapped<B> {
    async fn call(&self, req: Request, state: &S) -> Result<Reply> {
        self.0.call(req, state).await
    }
}

#[tokio::test]
async fn a_set_is_a_backend_that_has_no_route_for_other_keys() {
    fn set() -> impl Routes<App> {
        routes!(
            App,
            routes = [market::routes()],
            match key {
                "a" => route,
                "b" => async || "b",
            }
        )
    }
    let server = serve(gateway!(
        state = APP,
        channel("/set", parser = whole, set()),
        channel(
            "/arm",
            parser = whole,
            match key {
                "first" => async || "first",
                "a" | "quote" => set(),
                _ => Wrapped(set()),
            },
        ),
        channel(
            "/balanced",
            parser = whole,
            balance([(1, set()), (1, Wrapped(set()))])
        ),
        channel("/listed", parser = whole, routes = [set()], NoRoute),
    ))
    .await;
    for (path, key, reply) in [
        ("/set", "a", "a"),
        ("/set", "ticks", "market(ticks(ticks))"),
        ("/set", "c", "no_route: no route for this key"),
        ("/arm", "first", "first"),
        ("/arm", "a", "a"),
        ("/arm", "quote", "market(3)"),
        ("/arm", "b", "b"),
        ("/arm", "ticks", "market(ticks(_))"),
        ("/arm", "c", "no_route: no route for this key"),
        ("/balanced", "b", "b"),
        ("/balanced", "quote", "market(3)"),
        ("/balanced", "c", "no_route: no route for this key"),
        ("/listed", "a", "a"),
        ("/listed", "c", "no_route: no route for this key"),
    ] {
        let mut client = server.connect(path).await;
        for _ in 0..2 {
            assert_eq!(client.ask(key).await, reply, "{path} {key}");
        }
    }
}

#[tokio::test]
async fn the_first_set_whose_guard_holds_answers() {
    enum Action {
        Buy,
        Sell,
    }
    fn action(key: &str) -> Option<Action> {
        match key {
            "buy" => Some(Action::Buy),
            "sell" => Some(Action::Sell),
            _ => None,
        }
    }
    fn actions() -> impl Routes {
        routes!(match action(key) {
            Some(Action::Buy) => async || "bought",
            Some(Action::Sell) => async || "sold",
        })
    }
    fn prefixed(prefix: &'static str) -> impl Routes {
        routes!(match key {
            key if key.starts_with(prefix) => async |key: Key| format!("old {key}"),
        })
    }
    let server = serve(gateway!(channel(
        "/",
        parser = whole,
        routes = [prefixed("b"), actions(), prefixed("s")],
        NoRoute,
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("buy").await, "old buy");
    assert_eq!(client.ask("sell").await, "sold");
    assert_eq!(client.ask("s").await, "old s");
    assert!(client.ask("hold").await.starts_with("no_route"));
}
