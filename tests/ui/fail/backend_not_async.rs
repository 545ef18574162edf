use wasabi::prelude::*;

#[backend]
fn echo(text: Text) -> Text {
    text
}

fn main() {}
