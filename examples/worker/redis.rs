//! A Redis streams worker that uses only the Redis client library.

use std::collections::HashMap;

use redis::{AsyncConnectionConfig, Client, RedisResult};

use super::{Answer, Error};

type Fields = HashMap<String, Vec<u8>>;
type Streams = Vec<(String, Vec<(String, Fields)>)>;

/// Answers requests until the connection breaks.
pub(crate) async fn serve(url: &str, topic: &str, answer: Answer) -> Result<(), Error> {
    let client = Client::open(url)?;
    // One connection waits for requests, without a timeout; the other one sends replies.
    let patient = AsyncConnectionConfig::new().set_response_timeout(None);
    let mut requests = client
        .get_multiplexed_async_connection_with_config(&patient)
        .await?;
    let mut replies = client.get_multiplexed_async_connection().await?;

    let created: RedisResult<()> = redis::cmd("XGROUP")
        .arg(&["CREATE", topic, "workers", "0", "MKSTREAM"])
        .query_async(&mut replies)
        .await;
    match created {
        Err(error) if error.code() != Some("BUSYGROUP") => return Err(error.into()),
        _ => {}
    }
    // Reads first the requests that this worker took earlier and did not acknowledge, then new ones.
    let mut from = "0";
    loop {
        let streams: Option<Streams> = redis::cmd("XREADGROUP")
            .arg(&["GROUP", "workers", "worker-1", "COUNT", "64"])
            .arg(&["BLOCK", "0", "STREAMS", topic, from])
            .query_async(&mut requests)
            .await?;
        let entries = streams
            .into_iter()
            .flatten()
            .flat_map(|(_, entries)| entries);
        let mut commands = redis::pipe();
        let mut any = false;
        for (entry, fields) in entries {
            any = true;
            let reply = answer(fields.get("payload").map_or(&[], Vec::as_slice));
            if let Some(reply_to) = fields.get("reply_to") {
                commands
                    .cmd("XADD")
                    .arg(reply_to)
                    .arg(&["MAXLEN", "~", "10000", "*"])
                    .arg("id")
                    .arg(fields.get("id"))
                    .arg("kind")
                    .arg(fields.get("kind"))
                    .arg("payload")
                    .arg(reply)
                    .cmd("EXPIRE")
                    .arg(reply_to)
                    .arg(300);
            }
            commands.cmd("XACK").arg(&[topic, "workers", &entry]);
        }
        if any {
            commands.exec_async(&mut replies).await?;
        } else {
            from = ">";
        }
    }
}
