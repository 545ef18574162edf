use wasabi::prelude::*;

#[backend]
async fn download() -> axum::body::BodyDataStream {
    axum::body::Body::from("data").into_data_stream()
}

fn main() {}
