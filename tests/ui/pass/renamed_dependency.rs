//! The `wasabi` crate under another name, as when a crate of one's own re-exports it.

mod toolbox {
    pub use wasabi as sockets;
}

use toolbox::sockets::{self, prelude::*};

#[sockets::backend(crate = crate::toolbox::sockets)]
async fn echo(message: Message) -> Message {
    message
}

#[sockets::middleware(crate = crate::toolbox::sockets)]
async fn audit(req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

fn main() {
    let _ = sockets::gateway!(
        crate = toolbox::sockets,
        ping = 20s,
        channel("/", middleware = [audit], echo),
    );
}
