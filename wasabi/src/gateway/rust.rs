//! A gateway as a client in Rust.

mod channel;
mod events;
mod forms;
mod routes;
mod schemas;
mod text;
mod types;

use std::collections::BTreeSet;

use self::types::Types;
use super::{
    Gateway,
    clients::{TITLE, parts::ChannelParts},
};

/// Names that a file cannot use for its own types: those that it uses itself.
const RESERVED: &str = "BTreeMap Box Bytes Client Clone Debug Deserialize Duration Err Events Following Into InvalidUrl Message \
    Messages None NotSent Ok Option Options PartialEq RequestError Result Self Serialize Sized Some String Unasked Url Value \
    Vec Wire";

/// What begins every file, after the line that says what it is.
const HEAD: &str = "#![allow(clippy::all, dead_code, missing_docs, unreachable_pub, unused_imports)]

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use wasabi::{
    Bytes, Message,
    client::{
        Client, Events, Following, InvalidUrl, Messages, NotSent, Options, RequestError, Unasked, Url, Value, Wire,
    },
};
";

impl Gateway {
    /// The gateway's clients as one Rust file, for a program that has `serde` and this crate with the feature `client`:
    /// a type for each channel, with a method for each route. Parameters, replies and error codes have types, which are
    /// made of the schemas of the functions' types. The file does not need those types.
    ///
    /// A method belongs to a route as in [`typescript`](Self::typescript): a route whose replies have no id, and a channel
    /// without ids, has no method that waits for a reply. Its replies are events, as is what the gateway sends unasked.
    /// The file is the same, to the byte, for the same declaration: keep it in the repository, and compare the two in a
    /// test.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// let gateway = gateway!(channel("/echo/{room}", async |text: Text| text));
    /// let client = gateway.rust();
    /// assert!(client.contains("pub fn connect(base: &str, room: &str, options: Options)"));
    /// ```
    pub fn rust(&self) -> String {
        let (channels, known) = ChannelParts::all(self.told.channels());
        let taken: BTreeSet<_> = RESERVED.split_whitespace().map(str::to_owned).collect();
        let mut types = Types::new(&known, taken);
        let named: Vec<_> = channels
            .iter()
            .map(|parts| (parts, channel::name(parts, &mut types)))
            .collect();
        let mut file = format!("{TITLE}{HEAD}");
        for (parts, name) in named {
            file += &channel::write(parts, &name, &mut types);
        }
        file + &types.declarations()
    }
}
