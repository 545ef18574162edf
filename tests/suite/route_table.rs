//! Routes that are known only at run time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use wasabi::{BoxBackend, Error, RouteTable, prelude::*};
use wasabi_tests::serve;

async fn place(Path(tenant): Path<String>) -> String {
    format!("placed for {tenant}")
}

/// The backends that a file may name.
fn backend(name: &str) -> BoxBackend {
    match name {
        "place" => BoxBackend::new(place),
        "silent" => BoxBackend::new(async || ()),
        _ => BoxBackend::new(async |text: Text| text),
    }
}

fn from_file() -> RouteTable {
    let file = r#"{"orders.place": "place", "echo": "echo", "ping": "place", "quiet": "silent"}"#;
    let routes: HashMap<String, String> = serde_json::from_str(file).expect("a file");
    let routes = routes.iter();
    routes.map(|(key, name)| (key, backend(name))).collect()
}

/// The whole message is the key.
fn key(message: &Message) -> Result<Option<Envelope<'_>>> {
    Ok(Some(Envelope::new(message.as_text().unwrap_or_default())))
}

#[tokio::test]
async fn routes_from_a_file_stand_beside_static_ones_and_have_names() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = Arc::clone(&seen);
    let gateway = gateway!(channel(
        "/{tenant}",
        parser = key,
        middleware = [Measure::new(move |measured| see
            .lock()
            .unwrap()
            .push(measured.route))],
        match key {
            "ping" => async || "pong",
            _ => with([Throttle::new(10)], from_file()),
        },
    ));
    let described = gateway.describe().to_string();
    for line in [
        "orders.place  ->  place",
        "ping          ->  |..|",
        "quiet         ->  ",
    ] {
        assert!(described.contains(line), "{described}");
    }
    let server = serve(gateway).await;
    let mut client = server.connect("/acme").await;
    assert_eq!(client.ask("ping").await, "pong");
    assert_eq!(client.ask("orders.place").await, "placed for acme");
    client.send("quiet").await;
    assert_eq!(client.ask("echo").await, "echo");
    assert_eq!(client.ask("?").await, "no_route: no route for this key");
    let seen = seen.lock().unwrap();
    assert_eq!(*seen, ["ping", "orders.place", "quiet", "echo", "_"]);
}

#[tokio::test]
async fn other_keys_go_to_a_backend_of_their_own_also_behind_balance_and_inside_each_other() {
    let inner = RouteTable::new().route("inner", backend("place"));
    let table = RouteTable::new()
        .route("place", backend("place"))
        .otherwise(BoxBackend::new(inner.otherwise(backend("echo"))));
    let gateway = gateway!(channel(
        "/{tenant}",
        parser = key,
        balance([(1, table), (1, BoxBackend::new(async || "balanced"))]),
    ));
    let described = gateway.describe().to_string();
    assert!(described.contains("_      ->  "), "{described}");
    let server = serve(gateway).await;
    let mut client = server.connect("/acme").await;
    let mut answers = Vec::new();
    for key in ["place", "place", "inner", "inner", "other", "other"] {
        answers.push(client.ask(key).await);
    }
    answers.sort();
    let placed = "placed for acme";
    assert_eq!(
        answers,
        ["balanced", "balanced", "balanced", "other", placed, placed]
    );
}

#[test]
fn mistakes_in_a_table_keep_the_gateway_from_being_served() {
    let table = [
        ("a", backend("echo")),
        ("b", backend("place")),
        ("a", backend("echo")),
    ];
    let table: RouteTable = table.into_iter().collect();
    assert_eq!((table.len(), table.is_empty()), (2, false));
    let gateway = gateway!(channel("/", parser = key, table));
    let mistakes = gateway.check().unwrap_err();
    let texts: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    for mistake in [
        "`/`: a table of routes has these keys twice: `a`",
        "takes one parameter, but the path has none",
    ] {
        assert!(texts.iter().any(|text| text.contains(mistake)), "{texts:?}");
    }
}

#[tokio::test]
async fn a_boxed_backend_uses_the_state_and_fails_as_others_do() {
    #[derive(Clone)]
    struct App(&'static str);
    let backends: Vec<BoxBackend<App>> = vec![
        BoxBackend::new(async |State(app): State<App>| app.0),
        BoxBackend::new(async || Err::<(), _>(Error::Overloaded)),
    ];
    let mut backends = backends.into_iter();
    let (works, fails) = (backends.next().unwrap(), backends.next().unwrap());
    let server = serve(gateway!(
        state = App("app"),
        channel("/works", works),
        channel("/fails", fails),
    ))
    .await;
    assert_eq!(server.connect("/works").await.ask("").await, "app");
    let answer = server.connect("/fails").await.ask("").await;
    assert!(answer.starts_with("overloaded: "), "{answer}");
}
