//! A NATS worker that uses only the NATS client library.

use async_nats::HeaderMap;
use futures_util::StreamExt;

use super::{Answer, Error};

/// Answers requests. The client reconnects by itself.
pub(crate) async fn serve(url: &str, topic: &str, answer: Answer) -> Result<(), Error> {
    let client = async_nats::connect(url).await?;
    let group = "workers".to_owned();
    let mut requests = client.queue_subscribe(topic.to_owned(), group).await?;
    while let Some(request) = requests.next().await {
        let reply = answer(&request.payload);
        let Some(reply_to) = request.reply else {
            continue;
        };
        let mut headers = HeaderMap::new();
        if let Some(kind) = request.headers.as_ref().and_then(|it| it.get("kind")) {
            headers.insert("kind", kind.as_str());
        }
        client
            .publish_with_headers(reply_to, headers, reply.into())
            .await?;
    }
    Ok(())
}
