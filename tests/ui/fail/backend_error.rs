use wasabi::prelude::*;

struct Failure;

#[backend]
async fn fail() -> Result<String, Failure> {
    Err(Failure)
}

fn main() {}
