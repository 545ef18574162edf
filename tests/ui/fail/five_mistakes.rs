use wasabi::prelude::*;

async fn count(number: u32) -> String {
    number.to_string()
}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        concurency = 10,
        channel(
            "/a/{x}",
            origins = ["https://app.example.com/"],
            match key {
                "order" => echo,
                "quote" | "order" => echo,
                _ => echo,
            },
        ),
        channel("/a/{y}", ping = 20s, echo),
        channel(
            "/b",
            match key {
                "order" => count,
                _ => echo,
            },
        ),
    );
}
