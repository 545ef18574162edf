use wasabi::{middleware::http, prelude::*};

#[middleware(http, state = usize)]
async fn limit(
    State(_most): State<usize>,
    request: http::Request,
    next: http::Next,
) -> impl http::IntoResponse {
    next.run(request).await
}

fn main() {
    let _ = gateway!(
        state = 100usize,
        channel("/", http = [limit], async |text: Text| text),
    );
}
