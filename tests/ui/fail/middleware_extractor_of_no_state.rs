use wasabi::{FromRequest, prelude::*};

/// An extractor for gateways without a state.
struct Plain;

impl FromRequest<()> for Plain {
    async fn from_request(_req: &Request, _state: &()) -> Result<Self> {
        Ok(Self)
    }
}

#[middleware]
async fn plain(#[extract] _plain: Plain, req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

fn main() {
    let _ = gateway!(
        state = 100usize,
        channel("/", middleware = [plain], async |text: Text| text),
    );
}
