use wasabi::prelude::*;

#[middleware]
async fn audit(req: Request) -> Result<Reply> {
    Ok(Reply::none())
}

fn main() {}
