use wasabi::prelude::*;

#[backend]
struct Echo;

fn main() {}
