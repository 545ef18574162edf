//! Replies that come before other messages of the connection.

use super::{Body, IntoReply, Reply, Result};
use crate::connection::registry::{Gate, Joined};

/// A reply, and what waits until it is written.
pub(crate) struct Gated {
    body: Body,
    gates: Vec<Gate>,
}

impl Gated {
    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    /// The reply, and what is dropped once it is written.
    pub(crate) fn into_parts(self) -> (Body, Vec<Gate>) {
        (self.body, self.gates)
    }

    /// The reply for which nothing waits any more.
    pub(crate) fn opened(self) -> Body {
        self.body
    }

    pub(super) fn map(self, change: impl FnOnce(Reply) -> Reply) -> Reply {
        change(Reply::of(self.body)).before(self.gates)
    }

    pub(crate) fn try_map(self, change: impl FnOnce(Reply) -> Result<Reply>) -> Result<Reply> {
        Ok(change(Reply::of(self.body))?.before(self.gates))
    }
}

impl Reply {
    /// Drops the gates when the reply has been written. For a stream nothing waits.
    pub(crate) fn before(self, mut gates: Vec<Gate>) -> Self {
        let Self { body, is_json } = self;
        let body = match body {
            body if gates.is_empty() => body,
            Body::Stream(stream) => Body::Stream(stream),
            Body::Gated(gated) => {
                let (body, more) = gated.into_parts();
                gates.extend(more);
                Body::Gated(Box::new(Gated { body, gates }))
            }
            body => Body::Gated(Box::new(Gated { body, gates })),
        };
        Self { body, is_json }
    }

    /// Whether something waits for it.
    #[inline]
    pub(crate) fn is_gated(&self) -> bool {
        matches!(self.body, Body::Gated(_))
    }

    /// The reply alone, and what waits for it.
    pub(crate) fn split(self) -> (Self, Vec<Gate>) {
        let Self { body, is_json } = self;
        let (body, gates) = match body {
            Body::Gated(gated) => gated.into_parts(),
            body => (body, Vec::new()),
        };
        (Self { body, is_json }, gates)
    }
}

impl Joined {
    /// Answers the request that has joined with a value of yours. The messages of the group follow the reply.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Welcome {
    ///     since: String,
    ///     complete: bool,
    /// }
    ///
    /// async fn join(State(registry): State<Registry>, room: Text, connection: Connection) -> Result<Reply> {
    ///     let joined = registry.join_from(&*room, &connection, None).await?;
    ///     joined.reply(|joined| {
    ///         Json(Welcome { since: joined.position.to_string(), complete: joined.recovered })
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The error that the value becomes. The connection is a member even so.
    pub fn reply<R: IntoReply>(self, reply: impl FnOnce(&Self) -> R) -> Result<Reply> {
        let reply = reply(&self).into_reply()?;
        Ok(reply.before(self.into_gates()))
    }
}

/// JSON: `{"recovered":true,"position":"1764460800000-0","missed":3}`. The messages of the group follow it.
#[diagnostic::do_not_recommend]
impl IntoReply for Joined {
    fn into_reply(self) -> Result<Reply> {
        let json = serde_json::to_string(&self)?;
        Ok(Reply::json(json.into()).before(self.into_gates()))
    }

    #[cfg(feature = "schema")]
    fn output(
        _failing: Option<&crate::schema::Codes>,
    ) -> (crate::schema::Output, crate::schema::Codes) {
        use crate::schema::{Codes, Form, Output};
        (Output::new::<Self>(Form::Json), Codes::default())
    }
}
