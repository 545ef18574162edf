//! Everything that a declaration can have.

use std::{collections::HashSet, time::Duration};

use wasabi::{Close, Cluster, middleware::http, prelude::*};

#[derive(Clone)]
struct Db;

#[derive(Clone)]
struct App {
    db: Db,
}

impl wasabi::FromRef<App> for Db {
    fn from_ref(app: &App) -> Self {
        app.db.clone()
    }
}

enum Action {
    Buy,
    Sell,
}

impl std::str::FromStr for Action {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "buy" => Ok(Self::Buy),
            "sell" => Ok(Self::Sell),
            _ => Err(()),
        }
    }
}

/// Places an order.
#[backend]
async fn place(State(_db): State<Db>, Path(_tenant): Path<String>, text: Text) -> Result<Text> {
    Ok(text)
}

#[backend(state = App)]
async fn count(State(_app): State<App>) -> impl IntoReply + use<> {
    "1"
}

#[middleware]
async fn audit(req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

/// Lets one role in.
#[middleware]
async fn require<N: Next>(
    role: &'static str,
    names: &HashSet<String>,
    mut limit: u32,
    req: Request,
    next: N,
) -> Result {
    limit += 1;
    if names.len() > limit as usize || role == req.key() {
        return Err(wasabi::Error::NoRoute);
    }
    next.run(req).await
}

#[middleware(http)]
async fn token(
    expected: String,
    request: http::Request,
    next: http::Next,
) -> impl http::IntoResponse {
    match request.uri().query() == Some(&*expected) {
        true => Ok(next.run(request).await),
        false => Err(axum::http::StatusCode::UNAUTHORIZED),
    }
}

async fn greet(_connection: Connection) {}

async fn admit(connection: Connection) -> Result<(), Close> {
    let _ = connection;
    Ok(())
}

async fn farewell(_connection: Connection, _close: Close) {}

fn first_word(message: &Message) -> Result<Option<Envelope<'_>>> {
    Ok(message
        .as_text()
        .and_then(|text| text.split(' ').next())
        .map(Envelope::new))
}

// Long: one declaration with everything in it.
fn declare(registry: Registry, legacy: String) -> Gateway {
    let timeout = Duration::from_secs(3);
    gateway!(
        state = App { db: Db },
        cluster = Cluster::memory().name("everything"),
        http = [token("a=b".to_owned())],
        middleware = [audit],
        origins = ["https://*.example.com", "http://localhost:3000"],
        subprotocols = ["v2", "v1"],
        compression = Compression::deflate()
            .threshold(512B)
            .level(6)
            .context_takeover(12),
        parser = first_word,
        errors = Text,
        on_connect = greet,
        on_disconnect = farewell,
        max_connections = 10_000,
        concurrency = 16,
        max_message_size = 1MiB,
        max_header_size = 32KiB,
        max_waiting_messages = 64,
        max_waiting_bytes = 512KB,
        idle_timeout = 1h,
        ping = 20s,
        pong_timeout = 10s,
        open_timeout = 5s,
        send_timeout = timeout + 250us,
        stream_idle_timeout = 1min,
        close_timeout = 100ms,
        get("/livez", || async { "ok" }),
        post("/livez", async |State(_app): State<App>| "ok"),
        any("/any/{*rest}", async || "any"),
        mount("/sub", sub()),
        mount(format!("/{}", "axum"), axum::Router::new()),
        channel(
            "/orders/{tenant}",
            registry = registry,
            user = |connection| connection.user(),
            groups = [wasabi::Kept::prefix("room:").size(200).ttl(10min)],
            http = [tower::layer::util::Identity::new(), token("c=d".to_owned())],
            middleware = [require("admin", HashSet::from(["a".to_owned()]), 1), audit],
            parser = Raw,
            on_connect = admit,
            errors = Json,
            match key.parse::<Action>() {
                Ok(Action::Buy) => with([audit, audit], place),
                Ok(Action::Sell) => balance([(2, place), (1, with([audit], count))]),
                Err(_) => match key {
                    "inner" => count,
                    key if key.starts_with(&legacy) => place,
                    _ => NoRoute,
                },
            },
        ),
        channel(
            format!("/{}", "echo"),
            errors = ErrorFormat::Silent,
            compression = Compression::none(),
            async |message: Message| message,
        ),
        channel("/silent", errors = Silent, {
            let text = "constant";
            move || async move { text }
        }),
    )
}

fn sub() -> Gateway {
    gateway!(channel("/{room}", async |text: Text| text),)
}

#[test]
fn compiles() {
    let gateway = declare(Registry::new(), "legacy.".to_owned());
    assert_eq!(gateway.check(), Ok(()));
}
