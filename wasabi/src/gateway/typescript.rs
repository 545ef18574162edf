//! A gateway as a client in TypeScript.

mod channel;
mod events;
mod path;
mod posts;
mod route;
mod text;
mod types;

use std::collections::BTreeSet;

use self::{channel::Names, types::Types};
use super::{
    Gateway,
    clients::{
        TITLE,
        kind::{Kind, Style},
        parts::ChannelParts,
    },
};

/// What every file contains: the clients' code. Lines between `FOLLOW` and `END` are only for clients that follow groups.
const RUNTIME: &str = include_str!("typescript/runtime.ts");
const FOLLOW: &str = "// Follow:";
const END: &str = "// End.";

/// Names that a file cannot use for its own: those of JavaScript, and of what the runtime uses.
const RESERVED: &str = "await break case catch class const continue debugger default delete do else enum export extends \
    false finally for function if implements import in instanceof interface let new null package private protected public \
    return static super switch this throw true try typeof var void while with yield eval arguments base path options \
    AbortSignal Array ArrayBuffer AsyncGenerator Error JSON Map Math Object Omit Promise Record ReturnType Set String \
    TypeError Uint8Array URLSearchParams WebSocket clearTimeout globalThis setTimeout undefined";

impl Gateway {
    /// The gateway's clients as one TypeScript file without dependencies: a function for each channel, which connects to it
    /// and returns a client. Keys, parameters, replies and error codes have types, from the types of the functions.
    ///
    /// A request has an id, at the place where the channel's parser reads it, and its reply is the message with that id. A
    /// route whose replies have no id, and a channel without ids, has no `request`: functions that run at the same time may
    /// answer in any order. `send` sends such messages, and `on` gets what comes back. Channels of [`JsonRpc`](crate::JsonRpc)
    /// have clients; for those of [`GraphqlWs`](crate::GraphqlWs) and of protocols of your own, the file has a comment
    /// instead.
    ///
    /// A client connects again when the connection is lost. What it has sent it does not send again, unless the caller says
    /// that it may be carried out twice. Where clients follow groups by [`Subscriptions`](crate::Subscriptions), `follow` is an
    /// async iterable of what a group says, which goes on from its position on the next connection. The file runs in browsers,
    /// Deno, and Node (before version 22 with a `WebSocket` from npm). It is the same, to the byte, for the same declaration:
    /// keep it in the repository, and compare the two in a test.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// let gateway = gateway!(channel("/echo/{room}", async |text: Text| text));
    /// let client = gateway.typescript();
    /// assert!(client.contains(r#"export function echoRoom(base: string, path: EchoRoomChannel["path"]"#));
    /// ```
    pub fn typescript(&self) -> String {
        let (channels, known) = ChannelParts::all(self.told.channels());
        let mut all = channels.iter();
        let code = runtime(all.any(|parts| Style::has(parts, Kind::Follows, &known)));
        let mut taken = reserved(&code);
        let named = channels
            .iter()
            .map(|parts| (parts, Names::of(parts, &mut taken)));
        let named: Vec<_> = named.collect();
        let types = Types::new(&known.definitions, &mut taken);
        let mut file = format!("{TITLE}/* eslint-disable */\n");
        for (parts, names) in &named {
            file += &channel::write(parts, names, &known, &types);
        }
        file += &types.declarations(&known.definitions);
        file.push('\n');
        file + &code
    }
}

/// The clients' code, and what follows groups if it is wanted.
fn runtime(follows: bool) -> String {
    let mut code = String::new();
    let mut is_kept = true;
    for line in RUNTIME.lines() {
        match line.trim() {
            FOLLOW => is_kept = follows,
            END => is_kept = true,
            _ if is_kept => {
                code += line;
                code.push('\n');
            }
            _ => {}
        }
    }
    code
}

/// The names that the clients' code and the language take.
fn reserved(code: &str) -> BTreeSet<String> {
    let declared = code.lines().filter_map(|line| {
        let line = line.trim_start_matches("export ");
        let (kind, rest) = line.split_once(' ')?;
        let is_declared = matches!(kind, "type" | "interface" | "class" | "const");
        let is_end = |c: char| !c.is_ascii_alphanumeric();
        rest.split(is_end).next().filter(|_| is_declared)
    });
    let words = RESERVED.split_whitespace();
    declared.chain(words).map(str::to_owned).collect()
}
