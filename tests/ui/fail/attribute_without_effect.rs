use wasabi::{prelude::*, routes};

async fn echo(message: Message) -> Message {
    message
}

#[middleware]
async fn audit(req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

#[backend(state = (), state = u32)]
async fn twice() {}

fn set() -> impl Routes {
    routes!(
        #[cfg(unix)]
        crate = wasabi,
        /// Logs each request.
        middleware = [audit],
        crate = wasabi,
        match key { "a" => echo },
    )
}

fn main() {
    let _ = gateway!(
        /// How often the gateway pings.
        ping = 20s,
        channel(
            "/",
            /// Not more than a page.
            max_message_size = 4KiB,
            middleware = [#[cfg(unix)] audit],
            /// All keys.
            match key {
                #[doc = include_str!("key.md")]
                "b" => echo,
                _ => echo,
            },
        ),
    );
    drop(set());
}
