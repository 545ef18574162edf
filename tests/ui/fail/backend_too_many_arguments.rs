use wasabi::prelude::*;

#[backend]
async fn all(
    _a0: Text,
    _a1: Text,
    _a2: Text,
    _a3: Text,
    _a4: Text,
    _a5: Text,
    _a6: Text,
    _a7: Text,
    _a8: Text,
    _a9: Text,
    _a10: Text,
) {
}

fn main() {}
