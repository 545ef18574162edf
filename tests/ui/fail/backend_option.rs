use wasabi::prelude::*;

#[backend(stat = Db)]
async fn echo(text: Text) -> Text {
    text
}

fn main() {}
