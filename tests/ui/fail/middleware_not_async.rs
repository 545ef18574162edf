use wasabi::prelude::*;

#[middleware]
fn audit(_req: Request, _next: impl Next) -> Result<Reply> {
    Err(wasabi::Error::NoRoute)
}

fn main() {}
