//! What a channel says of its messages and its handshake.

use std::cell::RefCell;

use super::Codes;

/// Where a parser finds key and id, and the errors of messages that it cannot read.
#[derive(Debug, Clone)]
#[doc(hidden)]
pub struct Places {
    /// What the messages are.
    pub language: Language,
    /// The JSON pointer of the key.
    pub key: Option<String>,
    /// The key of messages that have none there.
    pub or: Option<&'static str>,
    /// The key of messages that are not JSON, if they have one.
    pub not_json: Option<&'static str>,
    /// The JSON pointer of the id.
    pub id: Option<String>,
    /// The errors of unreadable messages.
    pub codes: Codes,
    /// The codes with which it closes connections, and why.
    pub closes: Vec<Closing>,
}

/// A close code, and a sentence that says why.
pub(crate) type Closing = (u16, &'static str);

/// What the messages of a channel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(hidden)]
pub enum Language {
    /// Anything; the key is the kind of the message.
    Raw,
    /// JSON, with the key inside.
    Json,
    /// What the application's parser reads.
    Own,
    /// Calls of JSON-RPC 2.0.
    JsonRpc {
        /// The method of the messages of subscriptions.
        notification: &'static str,
        /// How many calls a batch may have.
        max_batch: usize,
    },
    /// Operations of `graphql-transport-ws`.
    GraphqlWs,
    /// What a function decodes before it is read.
    Decoded,
    /// What a protocol reads and writes that does not say.
    Unknown,
}

impl Places {
    /// What does not say.
    pub fn unknown(language: Language) -> Self {
        Self {
            language,
            key: None,
            or: None,
            not_json: None,
            id: None,
            codes: Codes::unknown(),
            closes: Vec::new(),
        }
    }
}

/// A part of the client's handshake that a backend passes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PassedOn {
    pub(crate) part: HandshakePart,
    pub(crate) name: String,
    /// Whether a handshake without it is refused.
    pub(crate) is_required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakePart {
    Query,
    Header,
}

/// How clients log in at an HTTP middleware: in one of these ways.
#[derive(Debug, Clone)]
#[doc(hidden)]
pub struct Login {
    /// The ways.
    pub any_of: Vec<Security>,
    /// Whether it admits clients that do not.
    pub is_optional: bool,
    /// Whether it closes refused WebSockets, and does not answer a status.
    pub refuses_by_close: bool,
}

/// A way to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(hidden)]
pub enum Security {
    /// By a token in `Authorization`.
    Bearer,
    /// By a password in `Authorization`.
    Basic,
    /// By this parameter of the query.
    Query(String),
    /// By this cookie.
    Cookie(String),
    /// By a subprotocol.
    Subprotocol,
}

thread_local! {
    static TOLD: RefCell<Option<Vec<Login>>> = const { RefCell::new(None) };
}

/// Says how clients log in at a `tower::Layer`, which has no method to ask: the layer calls this when it is applied.
pub(crate) fn tell(login: impl FnOnce() -> Login) {
    TOLD.with_borrow_mut(|told| {
        if let Some(told) = told {
            told.push(login());
        }
    });
}

/// Collects what layers [say](tell()) while `work` applies them.
pub(crate) fn logins(work: impl FnOnce()) -> Vec<Login> {
    let outer = TOLD.replace(Some(Vec::new()));
    work();
    TOLD.replace(outer).unwrap_or_default()
}
