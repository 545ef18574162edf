#![deny(warnings)]

use wasabi::prelude::*;

#[test]
fn compiles() {
    let prefix = String::from("v1.");
    let gateway = gateway!(
        errors = |error, _id| format!("! {}", error.code()),
        channel(
            "/",
            parser = move |message| {
                let text = message.as_text().unwrap_or_default();
                Ok(text.strip_prefix(&prefix).map(Envelope::new))
            },
            on_connect = async |connection| drop(connection.send("hello").await),
            on_disconnect = async |_connection, close| println!("{close}"),
            match key {
                "echo" => async |message: Message| message,
                _ => NoRoute,
            },
        ),
        channel(
            "/silent",
            parser = |_| Ok(None),
            errors = |error, id| match id {
                Some(id) => Reply::message(format!("{id} {error}")),
                None => Reply::none(),
            },
            async |text: Text| text,
        ),
    );
    assert_eq!(gateway.check(), Ok(()));
}
