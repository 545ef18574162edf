//! Responses that become replies message by message, while they arrive.

use futures_util::stream;
use http::{Response, StatusCode, header};

use super::{
    body::Body,
    framing::{Frames, Framing},
    hosts::Permit,
    reply::{charset_of, encoding_of},
};
use crate::{
    Connection, Error, Message, Reply, Result,
    connection::{held::Reading, work},
    reply::stirred,
};

/// A response that is still arriving.
struct Answer {
    response: Response<Body>,
    frames: Frames,
    connection: Connection,
    /// Accounts for the bytes of an incomplete message as held for its client.
    reading: Option<Reading>,
    held: usize,
    has_ended: bool,
    /// Its place among the requests to the host.
    _permit: Permit,
}

/// Makes a streaming reply of a response, with messages of at most `limit` bytes.
pub(super) fn reply(
    response: Response<Body>,
    framing: &Framing,
    limit: usize,
    connection: Connection,
    permit: Permit,
) -> Result<Reply> {
    if response.status() == StatusCode::NO_CONTENT {
        return Ok(Reply::none());
    }
    check(&response, framing)?;
    let answer = Answer {
        frames: framing.start(limit),
        response,
        connection,
        reading: None,
        held: 0,
        has_ended: false,
        _permit: permit,
    };
    Ok(Reply::stream(stream::try_unfold(answer, Answer::next)))
}

/// Checks whether this framing can read the body.
fn check(response: &Response<Body>, framing: &Framing) -> Result<()> {
    let unfit = |why: String| Err(Error::UpstreamUnfit(why.into()));
    if let Some(encoding) = encoding_of(response.headers()) {
        return unfit(format!("a body in the unsupported encoding {encoding:?}"));
    }
    let content_type = response.headers().get(header::CONTENT_TYPE);
    if let Some(expected) = framing.media_type() {
        let found = content_type.map(|found| String::from_utf8_lossy(found.as_bytes()));
        let found = found.unwrap_or_default();
        let media_type = found.split(';').next().unwrap_or_default().trim();
        return match media_type.eq_ignore_ascii_case(expected) {
            true => Ok(()),
            false => unfit(format!(
                "a body of the type {found:?} instead of `{expected}`"
            )),
        };
    }
    match content_type.and_then(charset_of) {
        Some(charset) if charset != "us-ascii" => {
            unfit(format!("text in the unsupported charset {charset:?}"))
        }
        _ => Ok(()),
    }
}

impl Answer {
    async fn next(mut self) -> Result<Option<(Message, Self)>> {
        loop {
            if let Some(message) = self.frames.next()? {
                self.hold(0).await?;
                return Ok(Some((message, self)));
            }
            if self.has_ended {
                return Ok(None);
            }
            self.hold(self.frames.held()).await?;
            if work::is_over() {
                tokio::task::yield_now().await;
            }
            let Some(chunk) = self.response.body_mut().chunk().await? else {
                self.has_ended = true;
                let last = self.frames.end()?;
                return Ok(last.map(|message| (message, self)));
            };
            // A service that sends only comments is not silent.
            stirred();
            work::spend(chunk.len());
            self.frames.feed(chunk);
        }
    }

    async fn hold(&mut self, bytes: usize) -> Result<()> {
        if bytes < self.held {
            self.reading = None;
        }
        self.held = bytes;
        if bytes == 0 {
            return Ok(());
        }
        let connection = &self.connection;
        let reading = self
            .reading
            .get_or_insert_with(|| Reading::new(connection.clone()));
        reading.has(bytes).await
    }
}
