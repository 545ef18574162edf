use wasabi::{FromRequest, prelude::*};

#[derive(Clone)]
struct Db;

#[derive(Clone)]
struct Counter;

/// An extractor for gateways without a state.
struct Plain;

impl FromRequest<()> for Plain {
    async fn from_request(_req: &Request, _state: &()) -> Result<Self> {
        Ok(Self)
    }
}

#[backend]
async fn count(text: Text, State(_counter): State<Counter>) -> Text {
    text
}

#[backend(state = Counter)]
async fn only(State(_counter): State<Counter>) {}

#[backend]
async fn plain(_plain: Plain) {}

#[backend]
async fn number(_number: u32, State(_counter): State<Counter>) {}

fn main() {
    let _ = gateway!(
        state = Db,
        channel(
            "/",
            match key {
                "count" => count,
                "only" => only,
                "plain" => plain,
                _ => number,
            },
        ),
    );
}
