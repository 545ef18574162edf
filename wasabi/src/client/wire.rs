//! How the messages of a channel are written and read.

mod told;

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{GatewayError, NotSent};
use crate::Message;

type Place = &'static [&'static str];

/// How the messages of a channel are written: what a generated file says of the channel's parser or protocol.
#[derive(Debug, Clone, Copy)]
pub struct Wire {
    form: Form,
    error_id: Option<Place>,
    has_text_ids: bool,
    pub(super) stop: Option<&'static str>,
    pub(super) subprotocols: Place,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Plain,
    Keyed { key: Place, id: Place },
    JsonRpc,
}

impl Wire {
    const fn of(form: Form) -> Self {
        Self {
            form,
            error_id: None,
            has_text_ids: false,
            stop: None,
            subprotocols: &[],
        }
    }

    /// JSON objects with a key and an id at these places, as [`JsonKey`](crate::JsonKey) reads them. An empty place of ids:
    /// there are none, and every request waits until its deadline.
    pub const fn keyed(key: &'static [&'static str], id: &'static [&'static str]) -> Self {
        Self::of(Form::Keyed { key, id })
    }

    /// Calls of [`JsonRpc`](crate::JsonRpc).
    pub const fn json_rpc() -> Self {
        Self::of(Form::JsonRpc)
    }

    /// Messages without keys.
    pub const fn plain() -> Self {
        Self::of(Form::Plain)
    }

    /// Errors have the id of their request at another place.
    #[must_use]
    pub const fn error_id(mut self, place: &'static [&'static str]) -> Self {
        self.error_id = Some(place);
        self
    }

    /// Ids are text.
    #[must_use]
    pub const fn text_ids(mut self) -> Self {
        self.has_text_ids = true;
        self
    }

    /// The method that ends a subscription: it is called when a stream is dropped.
    #[must_use]
    pub const fn stop(mut self, method: &'static str) -> Self {
        self.stop = Some(method);
        self
    }

    /// The subprotocols to offer.
    #[must_use]
    pub const fn subprotocols(mut self, names: &'static [&'static str]) -> Self {
        self.subprotocols = names;
        self
    }

    pub(super) fn is_rpc(&self) -> bool {
        matches!(self.form, Form::JsonRpc)
    }

    pub(super) fn write(&self, key: &str, body: Value, id: u64) -> Result<String, NotSent> {
        let message = match self.form {
            Form::JsonRpc => {
                let mut call = json!({ "jsonrpc": "2.0", "method": key, "id": id });
                if !body.is_null() {
                    call["params"] = body;
                }
                call
            }
            Form::Keyed {
                key: at,
                id: places,
            } => {
                let mut message = match body {
                    Value::Object(members) => members,
                    Value::Null => Map::new(),
                    _ => return Err(NotSent::new("the message is no JSON object")),
                };
                put(&mut message, at, key.into())?;
                let id = match self.has_text_ids {
                    true => Value::from(id.to_string()),
                    false => Value::from(id),
                };
                put(&mut message, places, id)?;
                Value::Object(message)
            }
            Form::Plain => return Err(NotSent::new("the channel has no keys")),
        };
        Ok(message.to_string())
    }

    /// Reads a message, as far as it belongs to a request.
    pub(super) fn read(&self, message: &Message) -> Option<Read> {
        let (id, error_id): (Place, Place) = match self.form {
            Form::JsonRpc => (&["id"], &["id"]),
            Form::Keyed { id, .. } => (id, self.error_id.unwrap_or(id)),
            Form::Plain => return self.read_plain(message),
        };
        let message: Value = serde_json::from_slice(message.as_bytes()).ok()?;
        let pushed = message.get("params").filter(|_| self.is_rpc());
        let part = pushed.unwrap_or(&message);
        let error = part.get("error").filter(|error| !error.is_null());
        // The parameters of a notification may have a member of this name that is the application's.
        let error = error.filter(|error| pushed.is_none() || error["code"].is_number());
        let error = error.and_then(|error| self.error(error));
        let place = match (pushed, &error) {
            (Some(_), _) => &["subscription"][..],
            (None, Some(_)) => error_id,
            (None, None) => id,
        };
        let owner = match place {
            [] => None,
            place => at(part, place).and_then(written),
        };
        let owner = owner.map(|text| match pushed {
            Some(_) => Owner::Subscription(text),
            None => Owner::Request(text),
        });
        if let Some(mut error) = error {
            error.id = owner.as_ref().map(|owner| owner.text().to_owned());
            return Some(Read::Error(owner, error));
        }
        let value = match self.is_rpc() {
            true => part.get("result").cloned().unwrap_or_default(),
            false => message,
        };
        let owner = owner.or_else(|| Some(Owner::Group(told::group(&value)?.to_owned())));
        owner.map(|owner| Read::Value(owner, value))
    }

    /// Reads a message that belongs to no request: it may be an error. Of others nothing is kept.
    fn read_plain(&self, message: &Message) -> Option<Read> {
        #[derive(Deserialize)]
        struct Errors {
            error: Option<Value>,
        }
        let text = message.as_bytes().trim_ascii_start();
        // A list would be read as well.
        if !text.starts_with(b"{") {
            return None;
        }
        let message: Errors = serde_json::from_slice(text).ok()?;
        let error = self.error(&message.error?)?;
        Some(Read::Error(None, error))
    }

    /// An error of the gateway. Other messages may have a member of the same name.
    fn error(&self, error: &Value) -> Option<GatewayError> {
        let fault = match self.is_rpc() {
            true => &error["data"],
            false => error,
        };
        let code = match fault["code"].as_str() {
            Some(code) => code.to_owned(),
            // JSON-RPC's own codes are numbers, and not every error of it has more.
            None if self.is_rpc() => error["code"].to_string(),
            None => return None,
        };
        let later = fault["retry_after_ms"].as_u64();
        Some(GatewayError {
            code,
            message: error["message"].as_str().unwrap_or_default().to_owned(),
            id: None,
            retry_after: later.map(Duration::from_millis),
        })
    }
}

/// What a message is, to the requests.
#[derive(Debug)]
pub(super) enum Read {
    Value(Owner, Value),
    Error(Option<Owner>, GatewayError),
}

/// What a message belongs to.
#[derive(Debug)]
pub(super) enum Owner {
    Request(String),
    Subscription(String),
    Group(String),
}

impl Owner {
    fn text(&self) -> &str {
        match self {
            Self::Request(text) | Self::Subscription(text) | Self::Group(text) => text,
        }
    }
}

/// An id as text: the gateway may write a number as it was, or as text.
pub(super) fn written(id: &Value) -> Option<String> {
    match id {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn at<'a>(value: &'a Value, place: &[&str]) -> Option<&'a Value> {
    place.iter().try_fold(value, |value, name| value.get(name))
}

fn put(message: &mut Map<String, Value>, place: Place, value: Value) -> Result<(), NotSent> {
    match place {
        [] => {}
        [name] => {
            message.insert((*name).to_owned(), value);
        }
        [name, rest @ ..] => match message.entry(*name).or_insert_with(|| json!({})) {
            Value::Object(inner) => put(inner, rest, value)?,
            _ => return Err(NotSent::new("the place of the key or the id is taken")),
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_and_the_id_are_put_where_the_parser_reads_them() {
        let wire = Wire::keyed(&["head", "do"], &["head", "id"]);
        let body = json!({ "item": "tea", "head": { "trace": 1 } });
        let text = wire.write("order", body, 7).expect("a message");
        let message: Value = serde_json::from_str(&text).expect("JSON");
        let head = json!({ "trace": 1, "do": "order", "id": 7 });
        assert_eq!(message, json!({ "item": "tea", "head": head }));
        for bad in [json!([1]), json!({ "head": 1 })] {
            assert!(wire.write("order", bad, 7).is_err());
        }
    }

    #[test]
    fn a_message_with_an_error_of_its_own_is_no_error() {
        let wire = Wire::keyed(&["do"], &["id"]);
        let message = Message::from(r#"{"id":1,"error":"none","total":2}"#);
        assert!(matches!(wire.read(&message), Some(Read::Value(..))));
        let message = Message::from(r#"{"id":"1","error":{"code":"closing","retry_after_ms":5}}"#);
        let Some(Read::Error(Some(Owner::Request(id)), error)) = wire.read(&message) else {
            panic!("no error");
        };
        assert_eq!((&*id, &*error.code), ("1", "closing"));
        assert_eq!(error.retry_after, Some(Duration::from_millis(5)));
        for other in ["text", r#"{"price":3}"#, r#"{"id":null}"#] {
            assert!(wire.read(&Message::from(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn an_error_of_json_rpc_has_a_code_in_any_case() {
        let error = |text: &'static str| match Wire::json_rpc().read(&Message::from(text)) {
            Some(Read::Error(_, error)) => error.code,
            read => panic!("{read:?}"),
        };
        let ours = r#"{"id":1,"error":{"code":-32000,"message":"m","data":{"code":"sold_out"}}}"#;
        assert_eq!(error(ours), "sold_out");
        let standard = r#"{"id":1,"error":{"code":-32601,"message":"m"}}"#;
        assert_eq!(error(standard), "-32601");
        let pushed = r#"{"method":"m","params":{"subscription":"1","error":{"code":-32000}}}"#;
        assert_eq!(error(pushed), "-32000");
    }

    #[test]
    fn a_notification_with_an_error_of_its_own_is_no_error() {
        let text = r#"{"method":"m","params":{"subscription":"1","error":"none","result":2}}"#;
        let read = Wire::json_rpc().read(&Message::from(text));
        assert!(matches!(read, Some(Read::Value(Owner::Subscription(_), _))));
        let text = r#"{"method":"m","params":{"error":{"code":"e"}}}"#;
        assert!(Wire::json_rpc().read(&Message::from(text)).is_none());
    }

    #[test]
    fn a_message_without_a_key_may_be_an_error_and_nothing_else() {
        let read = |text: &'static str| Wire::plain().read(&Message::from(text));
        let Some(Read::Error(None, error)) = read(r#" {"error":{"code":"closing"},"id":1}"#) else {
            panic!("no error");
        };
        assert_eq!(error.code, "closing");
        for other in [
            r#"[{"code":"closing"}]"#,
            r#"{"error":"none"}"#,
            r#"{"id":1}"#,
            "text",
        ] {
            assert!(read(other).is_none(), "{other}");
        }
    }
}
