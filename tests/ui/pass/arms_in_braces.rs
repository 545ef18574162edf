// rustfmt puts braces around what does not fit beside the arrow.
#![deny(warnings)]

use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

#[test]
fn compiles() {
    let gateway = gateway!(channel(
        "/",
        match key {
            "function" => {
                echo
            }
            "service" => {
                Http::post("http://localhost/").timeout(2s)
            }
            "with" => {
                with([Timeout::new(1s)], echo)
            }
            "balance" => {
                balance([(1, echo), (2, { with([Throttle::new(1)], echo) })])
            }
            "match" => {
                match key.len() {
                    0..5 => NoRoute,
                    _ => echo,
                }
            }
            "statements" => {
                let text = "constant";
                move || async move { text }
            }
            _ => {
                NoRoute
            }
        },
    ));
    assert_eq!(gateway.check(), Ok(()));
}
