//! `#[cfg]` on arms, sections and settings, and documentation comments.
#![allow(unexpected_cfgs)]

use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

#[test]
fn compiles() {
    let gateway = gateway!(
        #[cfg(absent)]
        ping = nothing,
        #[cfg(not(absent))]
        ping = 20s,
        /// Whether the process lives.
        get("/livez", || async { "ok" }),
        #[cfg(absent)]
        channel("/echo", not_there),
        #[cfg(not(absent))]
        channel("/echo", echo),
        /// The main channel.
        channel(
            "/",
            #[cfg(absent)]
            parser = nothing,
            match key {
                /// Answers with the same.
                ///
                /// Always.
                "echo" => echo,
                #[cfg(absent)]
                "nothing" => nothing,
                #[cfg(absent)]
                _ => nothing,
                #[cfg(not(absent))]
                _ => NoRoute,
            },
        ),
    );
    assert_eq!(gateway.check(), Ok(()));
    let described = gateway.describe().to_string();
    assert!(described.contains("Answers with the same."), "{described}");
    assert!(!described.contains("nothing"), "{described}");
}
