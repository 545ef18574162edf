//! JSON-RPC 2.0.

mod read;
mod subscription;
mod write;

pub use self::subscription::Unsubscribe;
use self::{read::read, subscription::subscribed};
use super::{Call, Incoming, Protocol};
use crate::{Connection, Error, Message, Reply, RequestId, Result, reply::Body};

/// JSON-RPC 2.0: the routing key is the `method`, and functions return results without an envelope.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use wasabi::{JsonRpc, Params, prelude::*};
///
/// #[derive(Deserialize)]
/// struct Order {
///     item: String,
///     count: u32,
/// }
///
/// #[derive(Serialize)]
/// struct Receipt {
///     text: String,
/// }
///
/// /// `{"jsonrpc":"2.0","id":7,"method":"order","params":{"item":"tea","count":2}}`, or `"params":["tea",2]`
/// async fn order(Params(order): Params<Order>) -> Json<Receipt> {
///     let text = format!("{} x {}", order.count, order.item);
///     Json(Receipt { text }) // {"jsonrpc":"2.0","id":7,"result":{"text":"2 x tea"}}
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     protocol = JsonRpc::new(),
///     match key {
///         "order" => order,
///         _ => NoRoute,
///     },
/// ));
/// # drop(gateway);
/// ```
///
/// # Results
///
/// A function returns [`Json`](crate::Json), or anything else that is a reply. A text that is JSON becomes the result as
/// it is, any other text becomes a JSON string; a `String` from outside that may look like JSON is safer as
/// `Json(string)`. No reply is the result `null`; several are an array; binary data must be JSON in UTF-8. A stream is a
/// [subscription](Self::subscriptions).
///
/// A notification, a request without `id`, gets nothing back, not even an error. The `id` is a string, a number or
/// `null`, and goes back as written. A member of the envelope that is repeated is an error, because other parsers may
/// read it in another way.
///
/// A backend that passes requests on to another server, such as [`Http`](crate::Http), sends the whole envelope. The
/// server's answer becomes the result, so a server that speaks JSON-RPC itself needs a middleware that takes the result
/// out of its answer, by [`Reply::try_map`].
///
/// # Batches
///
/// A batch is one message with an array of calls, and is answered by one array. Each call has its own route, middleware,
/// id and outcome. The calls run side by side, 16 at a time, and take one place of the channel's `concurrency`. Their
/// replies are in the order of the calls; once they have as many bytes as the channel's `max_waiting_bytes`, further
/// calls are not run but answered with `overloaded`. A batch cannot subscribe. If one of its calls [owes a
/// reply](crate::Backend::owes_reply), a client that goes ends them all, notifications included.
///
/// # Cancellation
///
/// The notification `$/cancelRequest` of the Language Server Protocol, with the parameters `{"id":7}` or `[7]`, cancels the requests of this connection
/// with that id. They are answered with the error `cancelled`. In a batch it has effect before the calls of the batch run.
/// A call inside of a batch cannot be cancelled alone.
///
/// # Errors
///
/// | code | the error |
/// |---|---|
/// | -32700 | [`unreadable`](Error::Unreadable): the message is not JSON |
/// | -32600 | [`no_key`](Error::NoKey) and [`bad_request`](Error::BadRequest): not a request of JSON-RPC 2.0 |
/// | -32601 | [`no_route`](Error::NoRoute) |
/// | -32602 | [`invalid_params`](Error::InvalidParams) |
/// | -32603 | [`internal`](Error::Internal) |
/// | -32000 | all others |
///
/// `data` has our [`code`](Error::code), and `retry_after_ms` if it is known:
/// `{"code":-32000,"message":"no reply in time","data":{"code":"timed_out"}}`. An application's own error whose code is a
/// number, as in `Error::new("3", "execution reverted")`, has that number as its `code`.
#[derive(Debug, Clone)]
pub struct JsonRpc {
    notification: &'static str,
    max_batch: usize,
}

impl JsonRpc {
    /// JSON-RPC 2.0 with the default settings.
    pub const fn new() -> Self {
        Self {
            notification: "subscription",
            max_batch: 100,
        }
    }

    /// The method of the notifications that carry the messages of a subscription, `subscription` by default.
    ///
    /// A function that returns a stream, such as [`Replies`](crate::Replies), makes a subscription. The result of its
    /// request is the subscription's id, a string. Each message of the stream follows as a notification with that id:
    /// `{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x1a","result":..}}`. If the stream fails,
    /// the last notification has an `error` in place of the `result`. The backend [`Unsubscribe`] ends a subscription.
    ///
    /// ```
    /// use futures_util::{Stream, StreamExt, stream};
    /// use wasabi::{JsonRpc, Unsubscribe, prelude::*};
    ///
    /// async fn blocks() -> Replies<impl Stream<Item = Json<u64>>> {
    ///     Replies(stream::iter(0..).then(async |number| {
    ///         tokio::time::sleep(std::time::Duration::from_secs(12)).await;
    ///         Json(number)
    ///     }))
    /// }
    ///
    /// let gateway = gateway!(channel(
    ///     "/",
    ///     protocol = JsonRpc::new().subscriptions("eth_subscription"),
    ///     match key {
    ///         "eth_subscribe" => blocks,
    ///         "eth_unsubscribe" => Unsubscribe,
    ///         _ => NoRoute,
    ///     },
    /// ));
    /// # drop(gateway);
    /// ```
    #[must_use]
    pub const fn subscriptions(mut self, notification: &'static str) -> Self {
        self.notification = notification;
        self
    }

    /// How many calls a batch may have, 100 by default. A larger batch is one error, -32600, and none of its calls runs.
    #[must_use]
    pub const fn max_batch(mut self, calls: usize) -> Self {
        self.max_batch = calls;
        self
    }
}

impl Default for JsonRpc {
    fn default() -> Self {
        Self::new()
    }
}

impl Protocol for JsonRpc {
    #[inline]
    fn read<'m>(&self, message: &'m Message, _connection: &Connection) -> Result<Incoming<'m>> {
        read(message, self.max_batch)
    }

    #[inline]
    fn reply(&self, call: &Call<'_>, reply: Reply) -> Result<Reply> {
        let Some(id) = call.id() else {
            return Ok(Reply::none());
        };
        let is_json = reply.is_json();
        Ok(match reply.into_body() {
            Body::One(Message::Text(json)) if is_json => Reply::message(write::response(id, &json)),
            Body::One(message) => Reply::message(write::result(id, &message)?),
            Body::None => Reply::message(write::response(id, "null")),
            Body::Many(messages) => Reply::message(write::results(id, messages.as_slice())?),
            Body::Stream(messages) => subscribed(id, self.notification, messages),
            Body::Gated(gated) => return gated.try_map(|reply| self.reply(call, reply)),
        })
    }

    fn batch(&self, replies: Vec<Message>) -> Reply {
        match replies.is_empty() {
            true => Reply::none(),
            false => Reply::message(write::batch(&replies)),
        }
    }

    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places {
        use crate::schema::{Codes, Language, Places};
        Places {
            language: Language::JsonRpc {
                notification: self.notification,
                max_batch: self.max_batch,
            },
            key: Some("/method".to_owned()),
            or: None,
            not_json: None,
            id: Some("/id".to_owned()),
            codes: Codes::of(&["bad_request", "no_key", "unreadable"]),
            closes: Vec::new(),
        }
    }

    fn check(&self) -> Result<(), String> {
        wasabi_rules::above_zero("JsonRpc::max_batch", self.max_batch).map(drop)
    }

    fn error(&self, error: &Error, id: Option<&RequestId>) -> Reply {
        write::error(error, id, self.notification)
    }
}
