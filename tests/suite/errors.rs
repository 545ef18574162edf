//! Error replies: one outcome per message, and silence only if it is asked for.

use serde_json::json;
use wasabi::{Error, prelude::*};
use wasabi_tests::serve;

/// Fails as the message says.
async fn fail(text: Text) -> Result<String, Error> {
    Err(match &*text {
        "application" => Error::new("out_of_stock", "this item is sold out"),
        "limited" => Error::RateLimited {
            retry_after: Some(std::time::Duration::from_millis(1500)),
        },
        "io" => std::io::Error::other("the password is hunter2").into(),
        _ => return Ok("fine".to_owned()),
    })
}

#[tokio::test]
async fn raw_channels_answer_errors_in_text_without_internals() {
    let server = serve(gateway!(channel("/", fail))).await;
    let mut client = server.connect("/").await;
    assert_eq!(
        client.ask("application").await,
        "out_of_stock: this item is sold out"
    );
    assert_eq!(client.ask("io").await, "internal: internal error");
    client.send(vec![1]).await;
    assert_eq!(client.text().await, "bad_request: expected a text message");
    assert_eq!(client.ask("fine").await, "fine");
}

#[tokio::test]
async fn json_errors_carry_code_message_and_retry_time() {
    let server = serve(gateway!(channel("/", errors = Json, fail))).await;
    let mut client = server.connect("/").await;
    client.send("limited").await;
    assert_eq!(
        client.json().await,
        json!({"error": {"code": "rate_limited", "message": "too many requests, retry later", "retry_after_ms": 1500}})
    );
}

#[derive(serde::Deserialize)]
struct Amount {
    amount: u32,
}

#[tokio::test]
async fn what_is_unreadable_has_no_key_or_has_wrong_parameters_has_a_code_of_its_own() {
    let server = serve(gateway!(
        channel(
            "/json",
            parser = JsonKey::at("/do"),
            match key {
                "pay" => async |Json(of): Json<Amount>| of.amount.to_string(),
                _ => NoRoute,
            },
        ),
        channel(
            "/rpc",
            protocol = JsonRpc::new(),
            match key {
                "pay" => async |Params(of): Params<Amount>| Json(of.amount),
                _ => NoRoute,
            },
        ),
    ))
    .await;
    let json = |message| ("/json", "/error/code", message);
    let rpc = |message| ("/rpc", "/error/data/code", message);
    for (code, (path, at, message)) in [
        ("unreadable", json(r#"{"do":"pay""#)),
        ("no_key", json(r#"{"amount":1}"#)),
        ("no_key", json(r#"{"do":{},"amount":1}"#)),
        ("invalid_params", json(r#"{"do":"pay","amount":"all"}"#)),
        ("no_route", json(r#"{"do":"pray"}"#)),
        ("unreadable", rpc(r#"{"jsonrpc":"2.0","id":1"#)),
        ("no_key", rpc(r#"{"jsonrpc":"2.0","id":1}"#)),
        (
            "invalid_params",
            rpc(r#"{"jsonrpc":"2.0","id":1,"method":"pay","params":["all"]}"#),
        ),
        (
            "no_route",
            rpc(r#"{"jsonrpc":"2.0","id":1,"method":"pray"}"#),
        ),
    ] {
        let mut client = server.connect(path).await;
        client.send(message).await;
        let answer = client.json().await;
        assert_eq!(answer.pointer(at), Some(&json!(code)), "{message}");
    }
}

/// `id rest`: the id is usually not JSON.
fn id_first(message: &Message) -> Result<Option<Envelope<'_>>> {
    let text = message.as_text().unwrap_or_default();
    let (id, key) = text
        .split_once(' ')
        .ok_or(Error::bad_request("expected an id"))?;
    Ok(Some(Envelope::new(key).id(RequestId::new(id.to_owned()))))
}

#[tokio::test]
async fn an_error_reply_carries_the_id_of_its_request() {
    let server = serve(gateway!(
        parser = id_first,
        channel("/text", NoRoute),
        channel("/json", errors = Json, NoRoute),
        channel(
            "/nested",
            errors = ErrorFormat::json_id_at("/meta/re~1quest"),
            NoRoute
        ),
    ))
    .await;
    let mut client = server.connect("/text").await;
    assert_eq!(client.ask("7 x").await, "7 no_route: no route for this key");
    assert_eq!(client.ask("x").await, "bad_request: expected an id");
    let error = json!({"code": "no_route", "message": "no route for this key"});
    let mut client = server.connect("/json").await;
    client.send("7 x").await;
    assert_eq!(client.json().await, json!({"error": error, "id": 7}));
    client.send("\"a\" x").await;
    assert_eq!(client.json().await, json!({"error": error, "id": "a"}));
    client.send("{\"} x").await;
    assert_eq!(client.json().await, json!({"error": error, "id": "{\"}"}));
    let mut client = server.connect("/nested").await;
    client.send("7 x").await;
    assert_eq!(
        client.json().await,
        json!({"error": error, "meta": {"re/quest": 7}})
    );
}

#[tokio::test]
async fn errors_can_be_silent() {
    let server = serve(gateway!(channel("/", errors = Silent, fail))).await;
    let mut client = server.connect("/").await;
    client.send("application").await;
    assert_eq!(client.ask("fine").await, "fine");
}

#[tokio::test]
async fn a_function_may_write_the_errors() {
    fn write(error: &Error, id: Option<&RequestId>) -> String {
        format!("E {} {}", error.code(), id.map_or("-", RequestId::as_str))
    }
    let server = serve(gateway!(channel("/", errors = write, fail))).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("application").await, "E out_of_stock -");
}

#[tokio::test]
async fn an_error_handler_may_turn_an_error_into_a_reply() {
    let handler = ErrorHandler::new(|req: &Request, error: Error| match error.code() {
        "out_of_stock" => Ok(format!(
            "{} later",
            req.message().as_text().unwrap_or_default()
        )),
        _ => Err(error),
    });
    let server = serve(gateway!(channel("/", middleware = [handler], fail))).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("application").await, "application later");
    assert_eq!(client.ask("io").await, "internal: internal error");
}

#[tokio::test]
async fn a_request_over_its_time_is_cancelled_and_answered_timed_out() {
    let server = serve(gateway!(channel(
        "/",
        middleware = [Timeout::new(20ms)],
        async |_: Text| std::future::pending::<String>().await,
    )))
    .await;
    assert_eq!(
        server.connect("/").await.ask("x").await,
        "timed_out: no reply in time"
    );
}

#[tokio::test]
async fn a_panic_in_the_parser_or_a_middleware_is_answered_internal() {
    fn parser(message: &Message) -> Result<Option<Envelope<'_>>> {
        assert!(message.as_text() != Some("parser"), "on purpose");
        Ok(Some(Envelope::new("x")))
    }
    #[middleware]
    async fn panics(req: Request, next: impl Next) -> Result<Reply> {
        assert!(req.message().as_text() != Some("middleware"), "on purpose");
        next.run(req).await
    }
    let server = serve(gateway!(channel(
        "/",
        parser = parser,
        middleware = [panics],
        async |text: Text| text,
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("parser").await, "internal: internal error");
    assert_eq!(client.ask("middleware").await, "internal: internal error");
    assert_eq!(client.ask("fine").await, "fine");
}

#[tokio::test]
async fn a_panic_before_the_future_of_a_reply_is_answered_with_the_id() {
    struct Eager;
    impl<S: Sync> Backend<S> for Eager {
        fn call(&self, req: Request, _: &S) -> impl Future<Output = Result<Reply>> + Send {
            assert!(req.key() != "panic", "on purpose");
            std::future::ready(Ok(Reply::message("fine")))
        }
    }
    let server = serve(gateway!(channel("/", parser = id_first, Eager))).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("7 panic").await, "7 internal: internal error");
    assert_eq!(client.ask("8 x").await, "fine");
}

#[tokio::test]
async fn a_parser_may_drop_a_message_on_purpose() {
    fn no_comments(message: &Message) -> Result<Option<Envelope<'_>>> {
        let text = message.as_text().unwrap_or_default();
        Ok((!text.starts_with('#')).then(|| Envelope::new(text)))
    }
    let server = serve(gateway!(channel(
        "/",
        parser = no_comments,
        async |key: Key| key.to_string()
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("# nothing").await;
    assert_eq!(client.ask("something").await, "something");
}
