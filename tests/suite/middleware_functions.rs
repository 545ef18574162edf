//! The arguments of middleware functions.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use wasabi::{
    BoxBackend, Error, FromRef, HeaderMap, MiddlewareFor, RouteTable, middleware::http, prelude::*,
    testing,
};
use wasabi_tests::serve;

#[derive(Clone)]
struct App {
    name: &'static str,
    users: Users,
}

#[derive(Clone)]
struct Users(Arc<Vec<&'static str>>);

impl FromRef<App> for Users {
    fn from_ref(app: &App) -> Self {
        app.users.clone()
    }
}

fn app() -> App {
    let users = Users(Arc::new(vec!["Ada"]));
    App { name: "app", users }
}

#[derive(Deserialize)]
struct Page {
    page: u32,
}

/// The user is in a header.
#[middleware(http)]
async fn login(mut request: http::Request, next: http::Next) -> impl http::IntoResponse {
    let user = request.headers().get("x-user");
    if let Some(user) = user.and_then(|user| user.to_str().ok()) {
        let user = user.to_owned();
        Identity::new(user).insert_into(request.extensions_mut());
    }
    next.run(request).await
}

/// Adds what it was given to the message.
#[expect(clippy::too_many_arguments, reason = "each extractor once")]
#[middleware(state = App)]
async fn told(
    prefix: &String,
    State(app): State<App>,
    Path(room): Path<u32>,
    user: Identity<String>,
    suffix: &'static str,
    Query(Page { page }): Query<Page>,
    connection: Connection,
    nobody: Option<Identity<u8>>,
    #[extract] headers: HeaderMap,
    key: Key,
    req: Request,
    next: impl Next,
) -> Result<Reply> {
    assert_eq!(connection.id(), req.connection().id());
    assert!(nobody.is_none() && headers.contains_key("host"));
    let told = format!(
        "{prefix} {} {room} {} {page} {key} {suffix}",
        app.name, *user
    );
    next.run(req.with_message(told)).await
}

#[tokio::test]
async fn a_middleware_function_takes_extractors_and_values_in_any_order() {
    let server = serve(gateway!(
        state = app(),
        channel(
            "/{room}",
            http = [login],
            parser = JsonKey::at("/do"),
            middleware = [told("<".to_owned(), ">")],
            async |text: Text| text,
        ),
    ))
    .await;
    let ada = [("x-user", "Ada")];
    let mut client = server.connect_with("/7?page=3", &ada).await.unwrap();
    assert_eq!(client.ask(r#"{"do":"it"}"#).await, "< app 7 Ada 3 it >");
}

/// Refuses users that the state does not know.
#[middleware]
async fn known(
    State(users): State<Users>,
    user: Identity<String>,
    req: Request,
    next: impl Next,
) -> Result<Reply> {
    match users.0.contains(&user.as_str()) {
        true => next.run(req).await,
        false => Err(Error::new("forbidden", "unknown")),
    }
}

/// Each place where a middleware may stand.
fn everywhere() -> Gateway {
    mod set {
        use super::*;

        pub(super) fn routes() -> impl Routes<App> {
            routes!(
                App,
                middleware = [known],
                match key {
                    "set" => async || "in",
                }
            )
        }
    }
    let table = RouteTable::new().route(
        "table",
        BoxBackend::<App>::new(known().around(testing_target())),
    );
    gateway!(
        state = app(),
        http = [login],
        mount(
            "/inside",
            gateway!(
                state = app(),
                http = [login],
                middleware = [known],
                channel("/", async || "in"),
            )
        ),
        channel("/channel", middleware = [known], async || "in"),
        channel(
            "/",
            parser = JsonKey::at("/do").or("raw"),
            routes = [set::routes()],
            match key {
                "with" => with([Timeout::new(5s), known], async || "in"),
                "balance" => balance([
                    (1, with([known], async || "in")),
                    (1, with([known], async || "in"))
                ]),
                _ => table,
            },
        ),
    )
}

fn testing_target() -> impl Backend<App> {
    struct In;
    impl<S: Sync> Backend<S> for In {
        async fn call(&self, _req: Request, _state: &S) -> Result<Reply> {
            Ok(Reply::message("in"))
        }
    }
    In
}

#[tokio::test]
async fn a_middleware_function_takes_the_state_wherever_it_stands() {
    let server = serve(everywhere()).await;
    for user in ["Ada", "Bob"] {
        for path in ["/channel", "/inside", "/"] {
            let headers = [("x-user", user)];
            let mut client = server.connect_with(path, &headers).await.unwrap();
            for key in ["set", "with", "balance", "table"] {
                let answer = client.ask(&json!({"do": key}).to_string()).await;
                let is_right = match user {
                    "Ada" => answer == "in",
                    _ => answer.contains("forbidden"),
                };
                assert!(is_right, "{path} {key}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn an_argument_that_fails_answers_the_request() {
    #[middleware]
    async fn paged(Query(_page): Query<Page>, req: Request, next: impl Next) -> Result<Reply> {
        next.run(req).await
    }

    #[middleware]
    async fn outcome(req: Request, next: impl Next) -> Result<Reply> {
        let outcome = next.run(req).await;
        match outcome {
            Err(error) => Err(Error::new("seen", error.code().to_owned())),
            Ok(reply) => Ok(reply),
        }
    }
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        middleware = [outcome, paged],
        async || "in",
    )))
    .await;
    let mut client = server.connect("/?page=1").await;
    assert_eq!(client.ask(r#"{"do":"it"}"#).await, "in");
    let mut client = server.connect("/?page=one").await;
    client.send(r#"{"do":"it","id":7}"#).await;
    let answer = client.json().await;
    assert_eq!(answer["id"], 7, "{answer}");
    assert_eq!(answer["error"]["code"], "seen");
    assert_eq!(answer["error"]["message"], "bad_request");
}

#[tokio::test]
async fn an_invalid_message_has_the_error_of_the_parser_even_if_an_argument_fails() {
    #[middleware]
    async fn paged(_: Json<Page>, req: Request, next: impl Next) -> Result<Reply> {
        next.run(req).await
    }
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do"),
        middleware = [paged],
        async || "in",
    )))
    .await;
    let mut client = server.connect("/").await;
    let answer = client.ask_json(json!({"page":1})).await;
    assert_eq!(answer["error"]["code"], "no_key", "{answer}");
    let answer = client.ask_json(json!({"do":"it"})).await;
    assert_eq!(answer["error"]["code"], "invalid_params", "{answer}");
    assert_eq!(client.ask(r#"{"do":"it","page":1}"#).await, "in");
}

#[test]
fn a_path_that_a_middleware_function_cannot_read_is_a_mistake() {
    #[middleware]
    async fn of_two(Path(_): Path<(String, u32)>, req: Request, next: impl Next) -> Result<Reply> {
        next.run(req).await
    }
    let gateway = gateway!(middleware = [of_two], channel("/{tenant}", async || "in"));
    let mistakes = gateway.check().expect_err("a mistake");
    let mistake = mistakes[0].to_string();
    let expected =
        "of_two`: `Path<(String, u32)>` takes 2 parameters, but the path has one: `tenant`";
    assert!(
        mistakes.len() == 1 && mistake.contains(expected),
        "{mistake}"
    );
}

#[tokio::test]
async fn a_middleware_function_with_extractors_is_tested_alone() {
    let connection = testing::TestConnection::open(
        testing::TestHandshake::to("/").identity(Identity::new("Bob".to_owned())),
    )
    .unwrap();
    let next = testing::next(async |_req: Request| Ok(Reply::message("in")));
    let (known, app, request) = (known(), app(), connection.request("it", ""));
    let refused = known.handle_with(request, &app, next).await;
    assert_eq!(refused.unwrap_err().code(), "forbidden");
}
