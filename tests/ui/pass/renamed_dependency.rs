//! The `wasabi` crate under another name, as when a crate of one's own re-exports it.

mod toolbox {
    pub(super) use wasabi as sockets;
}

use toolbox::sockets::{self, prelude::*};

#[sockets::backend(crate = crate::pass::renamed_dependency::toolbox::sockets)]
async fn echo(message: Message) -> Message {
    message
}

#[sockets::middleware(crate = crate::pass::renamed_dependency::toolbox::sockets)]
async fn audit(req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

#[test]
fn compiles() {
    let _ = sockets::gateway!(
        crate = toolbox::sockets,
        ping = 20s,
        channel("/", middleware = [audit], echo),
    );
}
