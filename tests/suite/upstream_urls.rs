//! Upstream URLs that depend on the client and its messages.

use axum::{Router, extract::Request as Incoming};
use wasabi::prelude::*;
use wasabi_tests::{http_service, serve, soon, websocket_upstream::Upstream};

/// The base URL of a service that answers with the requested URI.
async fn service() -> String {
    http_service(Router::new().fallback(async |req: Incoming| req.uri().to_string())).await
}

#[tokio::test]
async fn values_of_path_query_and_message_are_filled_into_the_url() {
    let url = service().await;
    let address =
        format!("{url}/v1/{{tenant}}/orders/{{/order/id}}.json?page={{?page}}&by={{/by}}");
    let server = serve(gateway!(channel("/{tenant}", Http::post(address)))).await;
    let mut client = server.connect("/acme?page=2&other=3").await;
    let asked = client.ask(r#"{"order":{"id":7},"by":"na\u006de"}"#).await;
    assert_eq!(asked, "/v1/acme/orders/7.json?page=2&by=name");
    // The client's path and query are read once, the message each time.
    let asked = client.ask(r#"{"order":{"id":"8"},"by":true}"#).await;
    assert_eq!(asked, "/v1/acme/orders/8.json?page=2&by=true");
}

#[tokio::test]
async fn a_value_is_always_one_segment_or_one_value() {
    let url = service().await;
    let address = format!("{url}/{{name}}/{{/id}}?q={{?q}}&r={{/id}}#");
    let address = address.trim_end_matches('#');
    let server = serve(gateway!(channel("/{name}", Http::get(address)))).await;
    let mut client = server.connect("/a;b%20c%3Fd?q=1%262%3D3%23%2B").await;
    let asked = client.ask(r#"{"id":"../x?y#z%2f&é"}"#).await;
    let value = "..%2Fx%3Fy%23z%252f%26%C3%A9";
    assert_eq!(
        asked,
        format!("/a%3Bb%20c%3Fd/{value}?q=1%262%3D3%23%2B&r={value}")
    );
}

#[tokio::test]
async fn an_invalid_segment_or_value_is_refused_and_nothing_is_sent() {
    let url = service().await;
    let server = serve(gateway!(
        channel("/whole", Http::get(format!("{url}/a/{{/id}}/b"))),
        channel("/part", Http::get(format!("{url}/%2e{{/id}}"))),
        channel("/query", Http::get(format!("{url}/?q={{?q}}"))),
    ))
    .await;
    let mut client = server.connect("/whole").await;
    for id in ["", ".", ".."] {
        let asked = client.ask(&format!(r#"{{"id":"{id}"}}"#)).await;
        assert_eq!(
            asked, "bad_request: a value is not valid as a segment of a path",
            "{id:?}"
        );
    }
    for id in ["a\\r\\nb", "\\u0000", ".\\t."] {
        let asked = client.ask(&format!(r#"{{"id":"{id}"}}"#)).await;
        assert_eq!(
            asked, "bad_request: a value contains characters that a URL cannot have",
            "{id:?}"
        );
    }
    for message in ["{}", r#"{"id":null}"#, r#"{"id":[]}"#] {
        let asked = client.ask(message).await;
        assert_eq!(
            asked, "bad_request: expected a string, number or boolean at `/id`",
            "{message}"
        );
    }
    assert!(client.ask("{").await.starts_with("unreadable: not JSON"));
    let mut client = server.connect("/part").await;
    for id in [".", ""] {
        let asked = client.ask(&format!(r#"{{"id":"{id}"}}"#)).await;
        assert_eq!(
            asked, "bad_request: a value is not valid as a segment of a path",
            "{id:?}"
        );
    }
    assert_eq!(client.ask(r#"{"id":"x"}"#).await, "/%2ex");
    for (query, expected) in [
        ("", "bad_request: a query parameter is missing"),
        ("?q=1&q=2", "bad_request: a query parameter occurs twice"),
        ("?q=", "/?q="),
    ] {
        let mut client = server.connect(&format!("/query{query}")).await;
        assert_eq!(client.ask("x").await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_parameter_of_the_mount_path_can_be_used() {
    let url = service().await;
    let address = format!("{url}/{{tenant}}/{{room}}");
    let inner = || gateway!(channel("/{room}", Http::get(&address)));
    let mistakes = inner().check().expect_err("a mistake");
    assert_eq!(
        mistakes[0].to_string(),
        "`/{room}`: the URL of an upstream contains `{tenant}`, but the path has no such parameter"
    );
    let server = serve(gateway!(mount("/{tenant}", inner()))).await;
    assert_eq!(server.connect("/acme/7").await.ask("x").await, "/acme/7");
}

#[test]
fn unknown_placeholders_are_mistakes() {
    for (url, why) in [
        ("http://{host}/", "is outside the path"),
        ("http://a/{}", "is not a placeholder"),
        ("http://a/{*rest}", "is not a placeholder"),
        ("http://a/{x", "unmatched brace"),
        ("http://a/{/a~b}", "is not a JSON pointer"),
    ] {
        let mistakes = gateway!(channel("/{x}", Http::get(url)))
            .check()
            .expect_err(url);
        assert!(mistakes[0].to_string().contains(why), "{url}: {mistakes:?}");
    }
}

#[tokio::test]
async fn a_brace_in_the_url_of_a_function_is_not_sent_as_it_is() {
    let url = service().await;
    let backend = Http::with(move |_| Ok(HttpRequest::get(format!("{url}/{{id}}"))));
    let server = serve(gateway!(channel("/", backend))).await;
    assert_eq!(
        server.connect("/").await.ask("x").await,
        "internal: internal error"
    );
}

#[test]
fn a_shared_cache_around_a_url_with_values_of_the_client_is_a_mistake() {
    for url in ["http://a/{x}", "http://a/?q={?x}"] {
        let cache = Cache::new(std::time::Duration::from_secs(1)).shared();
        let gateway = gateway!(channel("/{x}", with([cache], Http::get(url))));
        let mistakes = gateway.check().expect_err(url);
        assert!(
            mistakes[0]
                .to_string()
                .contains("receives `x` of each client"),
            "{mistakes:?}"
        );
    }
}

#[tokio::test]
async fn values_of_path_and_query_are_filled_into_the_url_of_a_websocket_server() {
    let mut upstream = Upstream::start().await;
    let url = format!("ws://{}/v2/{{room}}?key=secret&as={{?user}}", upstream.addr);
    let backend = WebSocket::connect(url).forward_query(["lang"]);
    let server = serve(gateway!(channel("/rooms/{room}", backend))).await;
    let mut client = server
        .connect("/rooms/a%3Fb?user=x%26key%3Dmine&lang=en")
        .await;
    client.send("hello").await;
    let peer = soon(upstream.accept()).await;
    assert_eq!(peer.uri, "/v2/a%3Fb?key=secret&as=x%26key%3Dmine&lang=en");

    let dials = upstream.dials();
    for path in ["/rooms/a", "/rooms/%2e%2e?user=x", "/rooms/a?user=x&user=y"] {
        let Ok(mut client) = server.connect_with(path, &[]).await else {
            continue; // a path with dot segments does not get this far
        };
        let answer = client.ask("hello").await;
        assert!(answer.starts_with("bad_request: "), "{path}: {answer}");
    }
    assert_eq!(upstream.dials(), dials);
}

#[tokio::test]
async fn a_websocket_server_is_dialled_before_there_is_a_message() {
    let gateway = gateway!(channel(
        "/",
        WebSocket::connect(String::from("ws://a/{/id}"))
    ));
    let mistakes = gateway.check().expect_err("a mistake");
    assert!(mistakes[0].to_string().contains("before the first message"));
    let gateway = gateway!(channel(
        "/",
        WebSocket::connect(String::from("ws://a/{room}"))
    ));
    let mistakes = gateway.check().expect_err("a mistake");
    assert!(
        mistakes[0].to_string().contains("no such parameter"),
        "{mistakes:?}"
    );
}
