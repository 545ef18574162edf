//! The setting `sends`, with the cargo feature `schema`.

mod kept;

use std::collections::BTreeSet;

pub(crate) use self::kept::of_groups;
use super::Channel;
use crate::{
    IntoReply,
    extract::HasSchema,
    schema::{Output, SchemaFn},
};

/// A message that clients get without having asked for it, for the setting `sends` of a channel.
///
/// What [`Connection::send`](crate::Connection::send), [`Group::broadcast`](crate::Group::broadcast) and
/// [`Group::publish`](crate::Group::publish) send is not in the declaration. This says it for
/// [`Gateway::asyncapi`](crate::Gateway::asyncapi). Nothing is checked at run time.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Serialize;
/// use wasabi::{Sent, prelude::*};
///
/// #[derive(Serialize, JsonSchema)]
/// struct Tick {
///     price: u64,
/// }
///
/// let prices = Registry::new();
/// let gateway = gateway!(channel(
///     "/prices",
///     registry = prices.clone(),
///     sends = [Sent::of::<Json<Tick>>("tick").docs("A price has changed.")],
///     async || "subscribed",
/// ));
/// prices.broadcast(Json(Tick { price: 3 }));
///
/// let document = gateway.asyncapi().to_value();
/// assert_eq!(document["operations"]["prices.tick"]["action"], "send");
/// ```
#[derive(Debug, Clone)]
pub struct Sent {
    pub(crate) name: String,
    pub(crate) docs: String,
    pub(crate) output: Output,
    pub(crate) schema: Option<SchemaFn>,
}

impl Sent {
    /// A message of this type, such as [`Json<T>`](crate::Json) or [`Text`](crate::Text), under a name of your own.
    pub fn of<T: IntoReply + HasSchema>(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            docs: String::new(),
            output: T::output(None).0,
            schema: T::SCHEMA,
        }
    }

    /// When it is sent, and what it means. The first line becomes the summary.
    #[must_use]
    pub fn docs(mut self, docs: impl Into<String>) -> Self {
        self.docs = docs.into();
        self
    }
}

impl<S, B, P, C, D> Channel<S, B, P, C, D> {
    /// `sends`: what clients get without having asked for it, for the description of the gateway; nothing by default. Two
    /// messages of one name are a mistake. What members of kept groups get that are enveloped or announced is there already,
    /// by the names `published`, `gap` and `presence`. Requires the cargo feature `schema`.
    #[must_use]
    pub fn sends(mut self, messages: impl IntoIterator<Item = Sent>) -> Self {
        self.declared.sends.extend(messages);
        let mut names = BTreeSet::new();
        let mut sends = self.declared.sends.iter();
        if let Some(again) = sends.find(|sent| !names.insert(&sent.name)) {
            let mistake = format!("`sends` has two messages with the name `{}`", again.name);
            self.declared.mistakes.push(mistake);
        }
        self
    }
}
