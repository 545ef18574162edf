//! The arguments of hooks.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde::Deserialize;
use tokio::sync::mpsc;
use wasabi::{
    Close, CloseCode, FromConnection, FromRef, HeaderMap, LeftGroups, middleware::http, prelude::*,
};
use wasabi_tests::{log::Log, serve, soon, until};

#[derive(Clone)]
struct App {
    tell: mpsc::UnboundedSender<String>,
    registry: Registry,
}

impl FromRef<App> for Registry {
    fn from_ref(app: &App) -> Self {
        app.registry.clone()
    }
}

#[derive(Deserialize)]
struct Page {
    page: u32,
}

/// Everybody is Ada.
#[middleware(http)]
async fn login(mut request: http::Request, next: http::Next) -> impl http::IntoResponse {
    Identity::new("Ada").insert_into(request.extensions_mut());
    next.run(request).await
}

#[expect(clippy::too_many_arguments, reason = "each extractor once")]
async fn joined(
    State(app): State<App>,
    Path(room): Path<u32>,
    Query(Page { page }): Query<Page>,
    user: Identity<&'static str>,
    connection: Connection,
    headers: HeaderMap,
    nobody: Option<Identity<u8>>,
    RemoteAddr(addr): RemoteAddr,
    ClientIp(ip): ClientIp,
) -> Result<(), Close> {
    assert_eq!((addr.ip(), nobody.is_none()), (ip, true));
    assert!(headers.contains_key("host"));
    let _ = connection.send(format!("{} {room} {page}", *user)).await;
    match room {
        0 => Err(Close::new(CloseCode::new::<4404>(), "no such room")),
        _ => {
            app.registry.join(room.to_string(), &connection);
            app.registry.join("all", &connection);
            Ok(())
        }
    }
}

async fn left(
    close: Close,
    State(app): State<App>,
    State(registry): State<Registry>,
    LeftGroups(mut groups): LeftGroups,
    Path(room): Path<u32>,
    user: Identity<&'static str>,
) {
    groups.sort();
    assert!(registry.groups().is_empty(), "it has left them");
    let _ = app
        .tell
        .send(format!("{} {room} {close} {groups:?}", *user));
}

#[tokio::test]
async fn hooks_take_extractors_as_functions_do() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let registry = Registry::new();
    let app = App {
        tell,
        registry: registry.clone(),
    };
    let server = serve(gateway!(
        state = app,
        on_disconnect = left,
        channel(
            "/{room}",
            registry = registry.clone(),
            http = [login],
            on_connect = joined,
            async |text: Text| text,
        ),
    ))
    .await;
    let mut client = server.connect("/7?page=3").await;
    assert_eq!(client.text().await, "Ada 7 3");
    assert_eq!(client.ask("hi").await, "hi");
    client.close(1000, "").await;
    let ended = soon(told.recv()).await.unwrap();
    assert_eq!(ended, r#"Ada 7 1000 ["7", "all"]"#);
    let mut client = server.connect("/0?page=3").await;
    assert_eq!(client.text().await, "Ada 0 3");
    assert_eq!(client.closed().await, (4404, "no such room".to_owned()));
}

/// Asks a service that does not answer.
struct Unreachable;

impl<S: Sync> FromConnection<S> for Unreachable {
    async fn from_connection(_: &Connection, _: &S) -> wasabi::Result<Self> {
        Err(wasabi::Error::UpstreamUnreachable("down".into()))
    }
}

#[tokio::test]
async fn a_connection_whose_on_connect_lacks_an_argument_is_refused() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let log = Log::of(tracing::Level::WARN);
    let server = serve(gateway!(
        on_disconnect = move |_: Connection| {
            let count = count.clone();
            async move {
                count.fetch_add(1, Ordering::SeqCst);
            }
        },
        channel(
            "/number/{n}",
            on_connect = async |Path(_): Path<u32>| (),
            async |text: Text| text,
        ),
        channel(
            "/identity",
            on_connect = async |_: Identity<u8>| (),
            async |text: Text| text,
        ),
        channel(
            "/upstream",
            on_connect = async |_: Unreachable| (),
            async |text: Text| text,
        ),
        channel(
            "/close/{n}",
            on_disconnect = async |Path(_): Path<u32>| (),
            async |text: Text| text,
        ),
        channel(
            "/close",
            on_connect = async || (),
            on_disconnect = async |_: Identity<u8>| (),
            async |text: Text| text,
        ),
    ))
    .await;
    let (code, reason) = server.connect("/number/seven").await.closed().await;
    assert_eq!((code, reason.contains("seven")), (1008, true), "{reason}");
    assert!(log.text().is_empty(), "the client is to blame");
    assert_eq!(
        server.connect("/identity").await.closed().await,
        (1011, String::new())
    );
    assert_eq!(log.lines("on_connect failed").len(), 1);
    assert_eq!(server.connect("/upstream").await.closed().await.0, 1011);
    assert_eq!(log.lines("on_connect failed").len(), 2);
    server.connect("/close/x").await.close(1000, "").await;
    server.connect("/close").await.close(1000, "").await;
    until("the failed hook is logged", || {
        log.lines("on_disconnect failed").len() == 1
    })
    .await;
    assert_eq!(ended.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_hooks_read_from_the_path_is_checked() {
    async fn pair(Path(_): Path<(u32, u32)>) {}
    let gateway = gateway!(
        on_connect = pair,
        channel("/{a}/{b}", async || ()),
        channel("/{a}", on_disconnect = pair, async || ()),
    );
    let mistakes = gateway.check().unwrap_err();
    assert_eq!(mistakes.len(), 2);
    let text = mistakes[0].to_string();
    assert!(
        text.contains("takes 2 parameters, but the path has one: `a`"),
        "{text}"
    );
}
