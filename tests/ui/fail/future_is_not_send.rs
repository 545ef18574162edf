use wasabi::prelude::*;

async fn count(text: Text) -> String {
    let text = std::rc::Rc::new(text);
    std::future::ready(()).await;
    text.to_string()
}

fn main() {
    let _ = gateway!(
        channel("/", count),
    );
}
