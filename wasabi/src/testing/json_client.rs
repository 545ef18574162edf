//! Requests as JSON objects.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{TestClient, TestError};
use crate::Message;

/// A [`TestClient`] that sends JSON objects with a key and an id, and finds the reply to each request by its id.
///
/// ```
/// use serde_json::{Value, json};
/// use wasabi::{prelude::*, testing::TestGateway};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gateway = gateway!(channel(
///     "/v1",
///     parser = JsonKey::at("/do").id("/id"),
///     match key {
///         "greet" => async |Json(call): Json<Value>| Json(json!({ "id": call["id"], "hello": call["name"] })),
///         _ => NoRoute,
///     },
/// ));
/// let gateway = TestGateway::new(gateway)?;
/// let mut client = gateway.connect("/v1").await?.json("/do", "/id");
/// let reply = client.request("greet", json!({ "name": "Ada" })).await?;
/// assert_eq!(reply["hello"], "Ada");
/// let refused = client.request("leave", json!({})).await?;
/// assert_eq!(refused["error"]["code"], "no_route");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JsonClient {
    client: TestClient,
    key: String,
    id: String,
    last: u64,
    /// Messages that arrived while a request waited for its reply.
    others: VecDeque<Value>,
}

impl TestClient {
    /// Sends requests as JSON objects whose keys and ids are at these JSON pointers, as `JsonKey::at(key).id(id)` reads
    /// them.
    #[must_use]
    pub fn json(self, key: &str, id: &str) -> JsonClient {
        JsonClient {
            client: self,
            key: key.to_owned(),
            id: id.to_owned(),
            last: 0,
            others: VecDeque::new(),
        }
    }
}

impl JsonClient {
    /// Sends this body with this key and a new id, and receives the message with this id. Messages that arrive before it
    /// wait for [`receive`](Self::receive).
    ///
    /// # Errors
    ///
    /// Those of [`TestClient::send`] and [`TestClient::json_of`].
    pub async fn request(&mut self, key: &str, body: impl Serialize) -> Result<Value, TestError> {
        let id = self.send(key, body).await?;
        let patience = self.client.patience;
        let replied = timeout(patience, async {
            loop {
                let message: Value = self.client.json_of().await?;
                if message.pointer(&self.id) == Some(&id) {
                    return Ok(message);
                }
                self.others.push_back(message);
            }
        });
        replied.await.unwrap_or(Err(TestError::Late(patience)))
    }

    /// Sends this body with this key and a new id, and returns the id.
    ///
    /// # Errors
    ///
    /// Those of [`TestClient::send`], and [`TestError::Protocol`] for a body that does not convert to a JSON object.
    pub async fn send(&mut self, key: &str, body: impl Serialize) -> Result<Value, TestError> {
        let mut body = serde_json::to_value(body).map_err(TestError::protocol)?;
        self.last += 1;
        let id = json!(self.last);
        for (pointer, value) in [(&self.key, json!(key)), (&self.id, id.clone())] {
            if !put(&mut body, pointer, value) {
                return Err(TestError::Protocol(format!(
                    "`{body}` has no room for a member at `{pointer}`"
                )));
            }
        }
        self.client.send(Message::text(body.to_string())).await?;
        Ok(id)
    }

    /// Receives the next message that was not the reply of a [`request`](Self::request).
    ///
    /// # Errors
    ///
    /// Those of [`TestClient::json_of`].
    pub async fn receive(&mut self) -> Result<Value, TestError> {
        match self.others.pop_front() {
            Some(message) => Ok(message),
            None => self.client.json_of().await,
        }
    }

    /// The client without keys and ids.
    pub fn client(&mut self) -> &mut TestClient {
        &mut self.client
    }
}

/// Puts a value at a JSON pointer of members (RFC 6901), and makes the objects on the way to it.
fn put(root: &mut Value, pointer: &str, value: Value) -> bool {
    let Some(path) = pointer.strip_prefix('/') else {
        return false;
    };
    let mut at = root;
    for name in path.split('/') {
        let name = name.replace("~1", "/").replace("~0", "~");
        let Value::Object(members) = at else {
            return false;
        };
        at = members.entry(name).or_insert_with(|| Map::new().into());
    }
    *at = value;
    true
}
