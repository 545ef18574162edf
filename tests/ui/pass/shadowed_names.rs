//! Nothing that the user calls `Result`, `Option`, `Send`, .. gets into the expansion.
#![allow(dead_code, non_camel_case_types)]

use wasabi::{Message, Next, Reply, Request, backend, gateway, middleware};

type Result<T> = std::result::Result<T, u8>;
type Option = ();
type Box = ();
struct Some;
struct None;
struct Ok;
struct Err;
struct str;
struct usize;
struct Duration;
struct Gateway;
trait Send {}
trait Sync {}
trait Fn {}
trait Future {}
trait Clone {}

#[backend]
async fn echo(message: Message) -> Message {
    message
}

#[middleware]
async fn audit(req: Request, next: impl Next) -> wasabi::Result<Reply> {
    next.run(req).await
}

#[middleware(http)]
async fn log(
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    next.run(request).await
}

#[test]
fn compiles() {
    let prefix = String::from("legacy.");
    let _ = gateway!(
        middleware = [audit],
        http = [log],
        ping = 20s,
        max_message_size = 64KiB,
        errors = Json,
        channel("/echo", echo),
        channel(
            "/",
            match key {
                "a" | "b" => with([audit], echo),
                "c" => balance([(1, echo), (2, echo)]),
                key if key.starts_with(&*prefix) => echo,
                _ => echo,
            },
        ),
    );
}

/// As a pattern, the name of a struct without fields would mean the struct.
mod units {
    use wasabi::{NoRoute, Routes, gateway, routes};

    use super::{audit, echo};

    struct arm;
    struct channel;
    struct h0;
    struct index;
    struct inner;
    struct known;
    struct m0;
    struct node;
    struct other;
    struct owed;
    struct owes;
    struct path;
    struct picked;
    struct req;
    struct result;
    struct route;
    struct scope;
    struct set0;
    struct sets;
    struct state;
    struct target;
    struct u64;
    struct visit;

    fn more() -> impl Routes {
        routes!(
            middleware = [audit],
            match key {
                "more" => echo,
                #[cfg(all())]
                "most" => echo,
            }
        )
    }

    fn all() -> impl Routes {
        routes!((), routes = [more()])
    }

    #[test]
    fn compiles() {
        let _ = gateway!(
            middleware = [audit],
            channel(
                "/",
                routes = [
                    all(),
                    match key {
                        "b" => echo,
                    }
                ],
                match key {
                    "a" => balance([
                        (1, echo),
                        (
                            2,
                            match key {
                                "a" => echo,
                                _ => echo,
                            }
                        )
                    ]),
                    _ => with(
                        [audit],
                        match key {
                            "c" => echo,
                            _ => NoRoute,
                        }
                    ),
                },
            ),
        );
    }
}

/// A binding may have the name of a middleware or a backend function.
mod bindings {
    use wasabi::{Message, Next, Reply, Request, Result, backend, gateway, middleware};

    #[middleware]
    async fn user(req: Request, next: impl Next) -> Result<Reply> {
        next.run(req).await
    }

    #[middleware]
    async fn role(allowed: u8, req: Request, next: impl Next) -> Result<Reply> {
        let _ = allowed;
        next.run(req).await
    }

    #[middleware(http)]
    async fn session(
        request: axum::extract::Request,
        next: axum::middleware::Next,
    ) -> axum::response::Response {
        next.run(request).await
    }

    #[backend]
    async fn echo(message: Message) -> Message {
        message
    }

    #[test]
    fn compiles() {
        let _ = gateway!(channel(
            "/",
            http = [session],
            middleware = [user, role(1)],
            echo
        ));
        let (user, role) = (1, 2);
        for session in [user, role] {
            let echo = |echo: u8| echo;
            #[expect(clippy::match_single_binding, reason = "a pattern")]
            match echo(session) {
                user => assert!(user > 0),
            }
        }
    }
}
