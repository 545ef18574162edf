//! What nodes ask each other about a registry, and what each answers for itself.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{
    Registry, User,
    address::{ConnectionAddress, NodeId},
    change::Change,
    elsewhere::{Asked, Whom, gone, not_all},
    info::{ConnectionInfo, GroupSize, Member, NodeInfo},
    listing::{self, Of},
};
use crate::{Close, CloseCode, Connection, ConnectionId, Error, Message, Text, TrySendError};

/// What a node is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Question {
    /// The members of a group, or the connections of a user, in the order of their addresses.
    Members {
        of: Of,
        after: Option<ConnectionAddress>,
        limit: usize,
    },
    /// The groups whose names begin like this, in the order of their names.
    Groups {
        prefix: String,
        after: Option<String>,
        limit: usize,
    },
    Node,
    /// The connection with this id.
    Connection(u64),
    /// Sends the payload.
    Send {
        to: u64,
        is_text: bool,
    },
    Close {
        connection: u64,
        code: u16,
        reason: String,
    },
    CloseUser {
        user: String,
        code: u16,
        reason: String,
    },
    Join {
        user: String,
        group: String,
    },
    Leave {
        user: String,
        group: String,
    },
    /// Tells the members of groups who has come and gone.
    Changed(Vec<Change>),
    /// Tells the members of all groups to ask.
    Unsure,
}

/// What a node answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Members {
        total: usize,
        members: Vec<Member>,
        /// There are more, after this one.
        more_after: Option<ConnectionAddress>,
    },
    Groups {
        groups: Vec<GroupSize>,
        more: bool,
    },
    Node(NodeInfo),
    Connection(ConnectionInfo),
    /// Done to so many connections.
    Done(usize),
    /// There is no such connection.
    Gone,
    /// The connection's queue is full.
    Full,
    /// The question makes no sense to the node.
    Senseless,
}

/// What was asked, as it travels: the length of the question, the question as JSON, and the payload.
pub(super) fn packed(question: &Question, payload: &[u8]) -> Result<Bytes, Error> {
    let json = serde_json::to_vec(question)?;
    let mut bytes = BytesMut::with_capacity(4 + json.len() + payload.len());
    bytes.put_u32(u32::try_from(json.len()).map_err(Error::internal)?);
    bytes.put_slice(&json);
    bytes.put_slice(payload);
    Ok(bytes.freeze())
}

fn unpacked(mut bytes: Bytes) -> Option<(Question, Bytes)> {
    let length = bytes.try_get_u32().ok()? as usize;
    if length > bytes.len() {
        return None;
    }
    let payload = bytes.split_off(length);
    Some((serde_json::from_slice(&bytes).ok()?, payload))
}

/// The answers of all nodes.
pub(super) struct Answers {
    pub(super) answers: Vec<(NodeId, Answer)>,
    pub(super) silent: Vec<NodeId>,
    pub(super) elsewhere: Result<(), Error>,
}

impl Registry {
    /// The node that the connections of this registry are on.
    pub(super) fn node(&self) -> NodeId {
        match self.elsewhere() {
            Some(elsewhere) => elsewhere.node(),
            None => NodeId::of_this_process(),
        }
    }

    /// Answers what another node has asked; `None` if it cannot be read.
    pub(crate) fn answer(&self, question: Bytes) -> Option<Vec<u8>> {
        let (question, payload) = unpacked(question)?;
        serde_json::to_vec(&self.answer_to(question, payload)).ok()
    }

    /// Asks this node and all others.
    pub(super) async fn ask_all(&self, question: Question) -> Answers {
        let asked = match (self.elsewhere(), packed(&question, &[])) {
            (None, _) => None,
            (Some(elsewhere), Ok(packed)) => Some(elsewhere.ask(Whom::All, packed)),
            (Some(_), Err(error)) => {
                let nobody = async { Asked::nobody(Err(error)) };
                Some(Box::pin(nobody) as _)
            }
        };
        let here = (self.node(), self.answer_to(question, Bytes::new()));
        let mut all = Answers {
            answers: vec![here],
            silent: Vec::new(),
            elsewhere: Ok(()),
        };
        let Some(asked) = asked else { return all };
        let Asked {
            answers,
            silent,
            elsewhere,
        } = asked.await;
        (all.silent, all.elsewhere) = (silent, elsewhere);
        for (node, answer) in answers {
            match serde_json::from_slice(&answer) {
                Ok(answer) => all.answers.push((node, answer)),
                // A node of another version.
                Err(_) => all.silent.push(node),
            }
        }
        if !all.silent.is_empty() && all.elsewhere.is_ok() {
            all.elsewhere = Err(not_all());
        }
        all.answers.sort_by_key(|(node, _)| *node);
        all
    }

    /// Asks the node of this address.
    pub(super) async fn ask_at(
        &self,
        address: ConnectionAddress,
        question: Question,
        payload: Bytes,
    ) -> Result<Answer, Error> {
        if address.node() == self.node() {
            return Ok(self.answer_to(question, payload));
        }
        let Some(elsewhere) = self.elsewhere() else {
            return Err(gone());
        };
        let packed = packed(&question, &payload)?;
        let asked = elsewhere.ask(Whom::Node(address.node()), packed).await;
        asked.elsewhere?;
        // The node has said good-bye instead, or has no such registry.
        let (_, answer) = asked.answers.first().ok_or_else(gone)?;
        Ok(serde_json::from_slice(answer)?)
    }

    fn answer_to(&self, question: Question, payload: Bytes) -> Answer {
        match question {
            Question::Members { of, after, limit } => self.members(&of, after, limit),
            Question::Groups {
                prefix,
                after,
                limit,
            } => {
                let (groups, more) = listing::groups(self, &prefix, after.as_deref(), limit);
                Answer::Groups { groups, more }
            }
            Question::Node => Answer::Node(listing::node(self)),
            Question::Connection(id) => match self.lookup(ConnectionId(id)) {
                Some(connection) => Answer::Connection(listing::connection(self, &connection)),
                None => Answer::Gone,
            },
            Question::Send { to, is_text } => self.send_here(to, payload, is_text),
            Question::Close {
                connection,
                code,
                reason,
            } => match (self.lookup(ConnectionId(connection)), close(code, reason)) {
                (_, None) => Answer::Senseless,
                (Some(connection), Some(close)) if !connection.is_closed() => {
                    connection.close(close);
                    Answer::Done(1)
                }
                _ => Answer::Gone,
            },
            Question::CloseUser { user, code, reason } => match close(code, reason) {
                Some(close) => self.each_of(user, |connection| {
                    connection.close(close.clone());
                    true
                }),
                None => Answer::Senseless,
            },
            Question::Join { user, group } => self.each_of(user, |connection| {
                self.join(&group, connection) || self.group(&*group).contains(connection)
            }),
            Question::Leave { user, group } => {
                self.each_of(user, |connection| self.leave(&group, connection))
            }
            Question::Changed(changes) => {
                let told = changes.iter().map(|change| self.tell_members(change));
                Answer::Done(told.sum())
            }
            Question::Unsure => {
                self.becomes_unsure();
                Answer::Done(0)
            }
        }
    }

    fn members(&self, of: &Of, after: Option<ConnectionAddress>, limit: usize) -> Answer {
        let node = self.node();
        // Addresses are in the order of their nodes.
        let after = match after {
            Some(after) if after.node() > node => Some(ConnectionId(u64::MAX)),
            Some(after) if after.node() == node => Some(after.id()),
            _ => None,
        };
        let (total, members, more_after) = listing::members(self, of, after, limit);
        Answer::Members {
            total,
            members,
            more_after,
        }
    }

    fn send_here(&self, to: u64, payload: Bytes, is_text: bool) -> Answer {
        let Some(message) = message(payload, is_text) else {
            return Answer::Senseless;
        };
        match self.lookup(ConnectionId(to)) {
            None => Answer::Gone,
            Some(connection) => match connection.try_send(message) {
                Ok(()) => Answer::Done(1),
                Err(TrySendError::Full(_)) => Answer::Full,
                Err(_) => Answer::Gone,
            },
        }
    }

    /// Counts the connections of a user that this is so for.
    fn each_of(&self, user: String, mut change: impl FnMut(&Connection) -> bool) -> Answer {
        let connections = User::new(self.clone(), user.into()).connections();
        let changed = connections.iter().filter(|connection| change(connection));
        Answer::Done(changed.count())
    }
}

fn message(payload: Bytes, is_text: bool) -> Option<Message> {
    match is_text {
        true => Some(Message::Text(Text::try_from(payload).ok()?)),
        false => Some(Message::Binary(payload)),
    }
}

fn close(code: u16, reason: String) -> Option<Close> {
    let code = match code {
        1005 => CloseCode::NO_STATUS,
        1006 => CloseCode::ABNORMAL,
        code => CloseCode::try_from(code).ok()?,
    };
    Some(Close::new(code, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_that_cannot_be_read_are_not_answered() {
        let registry = Registry::new();
        let good = packed(&Question::Node, b"").expect("JSON");
        assert!(registry.answer(good.clone()).is_some());
        for cut in 0..good.len() {
            assert!(registry.answer(good.slice(..cut)).is_none(), "{cut}");
        }
        for bad in [&b"\xff\xff\xff\xff{}"[..], b"\0\0\0\x02{}", b"\0\0\0\0"] {
            assert!(registry.answer(Bytes::copy_from_slice(bad)).is_none());
        }
        let nonsense = Question::Close {
            connection: 1,
            code: 7,
            reason: String::new(),
        };
        assert!(matches!(
            registry.answer_to(nonsense, Bytes::new()),
            Answer::Senseless
        ));
    }
}
