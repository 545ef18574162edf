//! Routes inside each other.

use super::*;

#[tokio::test]
async fn matches_nest() {
    let server = serve(gateway!(channel(
        "/",
        parser = whole,
        match key.split_once('.') {
            Some(("number", _)) => match key {
                "number.one" => one,
                "number.two" => two,
                _ => NoRoute,
            },
            _ => async || "other",
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("number.one").await, "one");
    assert_eq!(client.ask("number.two").await, "two");
    assert!(client.ask("number.three").await.starts_with("no_route"));
    assert_eq!(client.ask("letter").await, "other");
}

async fn route(req: Request) -> String {
    req.route().to_owned()
}

// Long: one declaration, and a row for each of its arms.
#[tokio::test]
async fn a_request_has_the_name_of_the_innermost_arm_before_the_first_middleware_runs() {
    let gateway = gateway!(channel(
        "/",
        parser = whole,
        middleware = [mark("outside")],
        match key {
            "a" => one,
            "b" | "c" => match key {
                /// The first of the two.
                "b" => with(
                    [mark("b")],
                    match key.len() {
                        0 => two,
                        _ => one,
                    }
                ),
                _ => two,
            },
            "size" => match key.len() {
                4 => route,
                _ => one,
            },
            "nodes" => balance([
                (
                    1,
                    match key {
                        "nodes" => route,
                        _ => one,
                    }
                ),
                (1, route)
            ]),
            _ => with(
                [mark("group")],
                match key {
                    "d" => one,
                    "e" => with([mark("e")], two),
                    _ => NoRoute,
                }
            ),
        },
    ));
    let described = gateway.describe().to_string();
    let row = |row: &str| {
        let (route, target) = row.split_once("->")?;
        Some(format!("{} -> {}", route.trim(), target.trim()))
    };
    let rows: Vec<_> = described.lines().filter_map(row).collect();
    assert_eq!(
        rows,
        [
            "a -> one",
            "b: 0 -> mark > two    The first of the two.",
            "b -> mark > one    The first of the two.",
            "b | c -> two",
            "size: 4 -> route",
            "size -> one",
            "nodes -> balance 1 x 2 routes | 1 x route",
            "d -> mark > one",
            "e -> mark > mark > two",
            "_ -> mark > NoRoute",
        ]
    );
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    for (key, reply) in [
        ("a", "outside(one)@a"),
        ("b", "outside(b(one)@b)@b"),
        ("c", "outside(two)@b | c"),
        ("size", "outside(size: 4)@size: 4"),
        ("nodes", "outside(nodes)@nodes"),
        ("d", "outside(group(one)@d)@d"),
        ("e", "outside(group(e(two)@e)@e)@e"),
        ("f", "no_route: no route for this key"),
    ] {
        assert_eq!(client.ask(key).await, reply, "{key}");
    }
}

#[tokio::test]
async fn one_breaker_counts_each_route_of_a_group_for_itself() {
    async fn fails() -> Result<()> {
        Err(wasabi::Error::upstream_status(
            wasabi::StatusCode::BAD_GATEWAY,
        ))
    }
    let server = serve(gateway!(channel(
        "/",
        parser = whole,
        middleware = [CircuitBreaker::new(1, 1min)],
        match key {
            "a" => one,
            _ => with(
                [Timeout::new(1min)],
                match key {
                    "bad" => fails,
                    "good" => two,
                    _ => NoRoute,
                }
            ),
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert!(client.ask("bad").await.starts_with("upstream_status"));
    assert!(client.ask("bad").await.starts_with("breaker_open"));
    assert_eq!(client.ask("good").await, "two");
}
