use wasabi::prelude::*;

struct Echo;

impl Echo {
    #[backend]
    async fn echo(&self, text: Text) -> Text {
        text
    }
}

fn main() {}
