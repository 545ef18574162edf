#![deny(deprecated)]

use wasabi::{Http, Middleware, Next, Reply, Request, Result, gateway, middleware::http::Identity};

struct Cache;

impl Cache {
    fn new() -> Self {
        Self
    }

    fn shared(self) -> Self {
        self
    }

    fn by<F: Fn(&Request) -> Option<u64>>(self, _key: F) -> Self {
        self
    }
}

impl Middleware for Cache {
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        next.run(req).await
    }
}

fn main() {
    let _ = gateway!(
        channel(
            "/own",
            with([Cache::new()], async |user: Identity<String>| user
                .into_inner())
        ),
        channel(
            "/all",
            with([Cache::new().shared()], async |user: Identity<String>| user
                .into_inner())
        ),
        channel(
            "/http",
            middleware = [Cache::new().shared()],
            match key {
                "me" => Http::post("http://a/").forward_headers(["cookie"]),
                "traced" => Http::post("http://a/").forward_headers(["traceparent"]),
                _ => Http::post("http://a/"),
            },
        ),
        channel(
            "/by",
            with(
                [Cache::new().shared().by(|_| Some(1))],
                async |user: Identity<String>| user.into_inner()
            ),
        ),
    );
}
