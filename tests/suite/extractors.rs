//! The arguments that backend functions can take.

use http::HeaderMap;
use serde::Deserialize;
use serde_json::json;
use wasabi::{Error, FromRef, prelude::*};
use wasabi_tests::serve;

#[derive(Clone)]
struct Db(&'static str);

#[derive(Clone)]
struct App {
    db: Db,
    name: &'static str,
}

impl FromRef<App> for Db {
    fn from_ref(app: &App) -> Self {
        app.db.clone()
    }
}

#[tokio::test]
async fn the_state_and_its_parts() {
    let app = App {
        db: Db("db"),
        name: "app",
    };
    let server = serve(gateway!(
        state = app,
        channel(
            "/",
            async |State(app): State<App>, State(db): State<Db>| format!("{} {}", app.name, db.0),
        ),
        get("/name", async |State(app): State<App>| app.name),
    ))
    .await;
    assert_eq!(server.connect("/").await.ask("").await, "app db");
    assert_eq!(server.get("/name").await, 200);
}

#[derive(Deserialize)]
struct Page {
    page: u32,
}

#[tokio::test]
async fn path_and_query_of_the_handshake() {
    let server = serve(gateway!(channel(
        "/{tenant}/{room}",
        async |Path((tenant, room)): Path<(String, u32)>, Query(page): Query<Page>| {
            format!("{tenant} {room} {}", page.page)
        },
    )))
    .await;
    let mut client = server.connect("/acme/7?page=3").await;
    assert_eq!(client.ask("").await, "acme 7 3");
    let mut client = server.connect("/acme/seven?page=3").await;
    assert!(client.ask("").await.starts_with("bad_request: "));
    let mut client = server.connect("/acme/7").await;
    assert!(client.ask("").await.starts_with("bad_request: "));
}

#[tokio::test]
async fn hooks_see_path_and_query_too() {
    let server = serve(gateway!(channel(
        "/{tenant}/{room}",
        on_connect = async |connection: Connection| {
            let (tenant, room) = connection.path::<(String, u32)>().expect("a path");
            let page = connection.query::<Page>().map(|page| page.page);
            let _ = connection.send(format!("{tenant} {room} {page:?}")).await;
        },
        async |text: Text| text,
    )))
    .await;
    let mut client = server.connect("/acme/7?page=3").await;
    assert_eq!(client.text().await, "acme 7 Ok(3)");
}

#[tokio::test]
async fn headers_and_addresses() {
    let server = serve(gateway!(channel(
        "/",
        async |headers: HeaderMap, RemoteAddr(addr): RemoteAddr, connection: Connection| {
            assert_eq!(Some(addr), connection.remote_addr());
            format!(
                "{} {}",
                headers["x-name"].to_str().unwrap_or("?"),
                addr.ip()
            )
        },
    )))
    .await;
    let mut client = server.connect_with("/", &[("x-name", "me")]).await.unwrap();
    assert_eq!(client.ask("").await, "me 127.0.0.1");
}

#[tokio::test]
async fn json_of_another_shape_has_invalid_parameters() {
    #[derive(Deserialize)]
    struct Order {
        item: String,
        count: u32,
    }
    let server = serve(gateway!(channel(
        "/",
        async |Json(order): Json<Order>| format!("{} x {}", order.count, order.item),
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(
        client
            .ask(&json!({"item": "pen", "count": 2}).to_string())
            .await,
        "2 x pen"
    );
    let answer = client
        .ask(&json!({"item": "pen", "count": -2}).to_string())
        .await;
    assert!(
        answer.starts_with("invalid_params: invalid value: integer `-2`"),
        "{answer}"
    );
    client.send(br#"{"item":"ink","count":1}"#.to_vec()).await;
    assert_eq!(client.text().await, "1 x ink");
}

#[tokio::test]
async fn text_binary_and_either() {
    let server = serve(gateway!(
        channel("/text", async |Text(text): Text| Text(text)),
        channel("/binary", async |Binary(data): Binary| data),
        channel("/either", async |data: Bytes| data.len().to_string()),
    ))
    .await;
    let mut client = server.connect("/binary").await;
    client.send(vec![1, 2]).await;
    assert_eq!(client.binary().await, [1, 2]);
    assert_eq!(
        client.ask("x").await,
        "bad_request: expected a binary message"
    );
    let mut client = server.connect("/either").await;
    assert_eq!(client.ask("four").await, "4");
    client.send(vec![1]).await;
    assert_eq!(client.text().await, "1");
    let mut client = server.connect("/text").await;
    client.send(vec![1]).await;
    assert_eq!(client.text().await, "bad_request: expected a text message");
}

/// `key:id:number`
fn parts(message: &Message) -> Result<Option<Envelope<'_>>> {
    let text = message.as_text().unwrap_or_default();
    let mut parts = text.split(':');
    let mut envelope = Envelope::new(parts.next().unwrap_or_default());
    if let Some(id) = parts.next() {
        envelope = envelope.id(RequestId::new(id.to_owned()));
    }
    if let Some(number) = parts.next().and_then(|number| number.parse::<u64>().ok()) {
        envelope = envelope.value(number);
    }
    Ok(Some(envelope))
}

#[tokio::test]
async fn what_the_parser_found() {
    let server = serve(gateway!(channel(
        "/",
        parser = parts,
        async |key: Key, id: RequestId, number: Option<Parsed<u64>>, req: Request| {
            assert_eq!(req.key(), &*key);
            format!("{key} {id} {:?}", number.map(|number| *number))
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("sum:7:42").await, "sum 7 Some(42)");
    assert_eq!(client.ask("sum:7").await, "sum 7 None");
    assert_eq!(
        client.ask("sum").await,
        "bad_request: the request has no id"
    );
}

#[tokio::test]
async fn a_missing_value_is_an_internal_error() {
    let server = serve(gateway!(
        channel("/extension", async |Extension(n): Extension<u8>| n
            .to_string()),
        channel("/parsed", async |n: Parsed<u8>| n.to_string()),
    ))
    .await;
    for path in ["/extension", "/parsed"] {
        assert_eq!(
            server.connect(path).await.ask("").await,
            "internal: internal error"
        );
    }
}

#[tokio::test]
async fn an_application_can_write_its_own_extractor() {
    struct Shouted(String);

    impl<S: Sync> FromRequest<S> for Shouted {
        async fn from_request(req: &Request, _state: &S) -> Result<Self> {
            match req.message().as_text() {
                Some(text) => Ok(Self(text.to_uppercase())),
                None => Err(Error::bad_request("cannot shout bytes")),
            }
        }
    }
    let server = serve(gateway!(channel("/", async |Shouted(text): Shouted| text))).await;
    assert_eq!(server.connect("/").await.ask("hey").await, "HEY");
}

#[tokio::test]
async fn the_last_argument_may_consume_the_request() {
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/action"),
        match key {
            "twice" => async |first: Text, key: Key, second: Text| {
                assert_eq!(first, second);
                format!("{key} {}", second.len())
            },
            "payload" => async |message: Message, payload: Bytes| {
                assert_eq!(message.into_bytes(), payload);
                "both"
            },
            _ => async |connection: Connection, message: Message| {
                format!("{} {}", connection.uri(), message.len())
            },
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask(r#"{"action":"twice"}"#).await, "twice 18");
    assert_eq!(client.ask(r#"{"action":"payload"}"#).await, "both");
    assert_eq!(client.ask(r#"{"action":"x"}"#).await, "/ 14");
}
