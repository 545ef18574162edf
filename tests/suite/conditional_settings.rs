//! `#[cfg]` before settings.
#![allow(unexpected_cfgs, reason = "`absent` is what nobody sets")]

use wasabi::{StatusCode, middleware::http, prelude::*, testing::TestGateway};

#[middleware]
async fn closed(_req: Request, _next: impl Next) -> Result<Reply> {
    Err(wasabi::Error::new("closed", "closed"))
}

#[middleware]
async fn marked(req: Request, next: impl Next) -> Result<Reply> {
    let reply = next.run(req).await?;
    Ok(Reply::messages(
        [reply.as_messages(), &[Message::text("marked")]].concat(),
    ))
}

#[middleware(http)]
async fn refuse(_request: http::Request, _next: http::Next) -> http::Response {
    let mut response = http::Response::default();
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

fn set() -> impl Routes<&'static str> {
    routes!(
        &'static str,
        #[cfg(absent)]
        middleware = [closed],
        #[cfg(not(absent))]
        middleware = [marked],
        match key {
            "set" => async |State(state): State<&'static str>| state,
        }
    )
}

/// Every setting that may stand twice, once configured out.
// Long: one declaration with all of them.
#[tokio::test]
async fn settings_that_are_configured_out_have_no_effect() {
    let gateway = gateway!(
        #[cfg(absent)]
        state = 7,
        #[cfg(not(absent))]
        state = "here",
        #[cfg(absent)]
        http = [refuse],
        #[cfg(not(absent))]
        http = [],
        #[cfg(absent)]
        middleware = [closed],
        #[cfg(not(absent))]
        middleware = [marked],
        channel(
            "/",
            parser = JsonKey::at("/do"),
            #[cfg(absent)]
            http = [refuse],
            #[cfg(absent)]
            middleware = [closed],
            #[cfg(not(absent))]
            middleware = [marked],
            #[cfg(absent)]
            routes = [match key {
                "list" => NoRoute,
            }],
            #[cfg(not(absent))]
            routes = [
                match key {
                    "list" => async || "list",
                },
                set()
            ],
            match key {
                #[cfg(absent)]
                _ => match key {
                    "inner" => NoRoute,
                    _ => NoRoute,
                },
                #[cfg(not(absent))]
                _ => match key {
                    "inner" => async || "inner",
                    _ => NoRoute,
                },
            },
        ),
    );
    assert_eq!(gateway.check(), Ok(()));
    let described = gateway.describe().to_string();
    assert!(described.contains("marked"), "{described}");
    for absent in ["closed", "refuse"] {
        assert!(!described.contains(absent), "{described}");
    }
    let gateway = TestGateway::new(gateway).expect("no mistakes");
    let mut client = gateway.connect("/").await.expect("not refused");
    for (key, answer, marks) in [
        ("list", "list", 2),
        ("set", "here", 3),
        ("inner", "inner", 2),
    ] {
        client
            .send(format!(r#"{{"do":"{key}"}}"#))
            .await
            .expect("sent");
        assert_eq!(client.text().await.expect("an answer"), answer);
        for _ in 0..marks {
            assert_eq!(client.text().await.expect("a mark"), "marked", "{key}");
        }
    }
}
