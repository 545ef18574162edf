use wasabi::prelude::*;

#[derive(Clone)]
struct App;

struct Orders;

impl Backend<()> for Orders {
    async fn call(&self, _req: Request, _state: &()) -> Result<Reply> {
        Ok(Reply::none())
    }
}

fn main() {
    let _ = gateway!(state = App, channel("/", Orders));
}
