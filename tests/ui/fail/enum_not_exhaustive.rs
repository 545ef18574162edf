use wasabi::prelude::*;

enum Action {
    Buy,
    Sell,
}

impl std::str::FromStr for Action {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "buy" => Ok(Self::Buy),
            "sell" => Ok(Self::Sell),
            _ => Err(()),
        }
    }
}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel(
            "/",
            match key.parse::<Action>() {
                Ok(Action::Buy) => echo,
                Err(_) => echo,
            },
        ),
    );
}
