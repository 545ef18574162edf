use wasabi::prelude::*;

async fn echo(text: Text) -> Text {
    text
}

fn main() {
    let _ = gateway!(
        channel(
            "/",
            hosts = [],
            echo,
        ),
    );
}
