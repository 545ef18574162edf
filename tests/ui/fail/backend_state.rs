use wasabi::prelude::*;

#[derive(Clone)]
struct Db;

#[derive(Clone)]
struct Counter;

#[backend(state = Db)]
async fn count(State(_db): State<Db>, State(_counter): State<Counter>) {}

fn main() {}
