//! Several requests in one message, answered by one reply.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll};

use bytes::Bytes;
use futures_util::{Stream, future::OptionFuture, stream::FuturesUnordered};

use super::{Call, Protocol, enveloped::enveloped};
use crate::{
    Backend, Connection, Error, Message, Reply, Request, RequestId, Result,
    connection::{registry::Gate, work},
    error_format::{About, log},
    panics::{caught, caught_future, discard},
    pieces::SMALL,
    reply::Body,
    request::RequestParts,
    sync::{Mutex, Unpoisoned},
};

/// How many calls of a batch run at the same time.
const AT_ONCE: usize = 16;

/// The calls of a batch, as the value of the request that stands for all of them in the connection's slot.
#[derive(Debug)]
pub(crate) struct Batch(Mutex<Vec<Part>>);

/// One element of a batch.
#[derive(Debug)]
pub(crate) enum Part {
    /// A request, which may be invalid.
    Request(Request),
    /// The protocol's own answer.
    Answer(Message),
}

impl Batch {
    /// Visits the requests.
    pub(crate) fn visit(&self, mut visit: impl FnMut(&mut Request)) {
        for part in &mut *self.0.lock().unpoisoned() {
            if let Part::Request(request) = part {
                visit(request);
            }
        }
    }

    fn take(&self) -> Vec<Part> {
        std::mem::take(&mut *self.0.lock().unpoisoned())
    }
}

/// The request that stands for the calls of a batch. An error of it is an error of each call.
pub(super) fn request(parts: Vec<Part>, connection: &Connection) -> Request {
    let envelope = RequestParts {
        id: ids(&parts),
        wants_reply: parts.iter().any(|part| match part {
            Part::Request(request) => request.wants_reply(),
            Part::Answer(_) => true,
        }),
        value: Some(Arc::new(Batch(Mutex::new(parts)))),
        ..RequestParts::default()
    };
    Request::new(Message::binary(Bytes::new()), envelope, connection)
}

/// The ids of the requests that want replies, as a JSON array.
fn ids(parts: &[Part]) -> Option<RequestId> {
    let ids = parts.iter().filter_map(|part| match part {
        Part::Request(req) if req.wants_reply() => req.id(),
        _ => None,
    });
    let ids: Vec<_> = ids.map(RequestId::as_str).collect();
    (!ids.is_empty()).then(|| RequestId::new(format!("[{}]", ids.join(","))))
}

/// Runs the calls of a batch, each through the chain, and joins their replies in the order of the calls.
pub(super) async fn run<P: Protocol, S: Sync, B: Backend<S>>(
    protocol: &P,
    batch: Request,
    connection: &Connection,
    chain: &B,
    state: &S,
) -> Result<Reply> {
    let parts = batch.value::<Batch>().map(Batch::take).unwrap_or_default();
    drop(batch);
    let most = connection.held().limit();
    let mut parts = parts.into_iter().enumerate();
    let call = async |index, part| {
        let reply = answer(protocol, part, connection, chain, state).await;
        (index, reply)
    };
    let mut waiting = FuturesUnordered::new();
    // A call that is answered at once leaves its memory to the next one.
    let mut spare = None;
    let mut answers = Answers::with_capacity(parts.len());
    poll_fn(|cx| {
        loop {
            while waiting.len() < AT_ONCE
                && let Some((index, part)) = parts.next()
            {
                let part = match part {
                    // Its replies would take too much memory.
                    Part::Request(req) if answers.bytes >= most => {
                        answers.add(Some((index, overloaded(protocol, &req))));
                        continue;
                    }
                    part => part,
                };
                let mut slot: Pin<Box<OptionFuture<_>>> =
                    spare.take().unwrap_or_else(|| Box::pin(None.into()));
                slot.set(Some(call(index, part)).into());
                match slot.as_mut().poll(cx) {
                    Poll::Ready(answered) => {
                        answers.add(answered);
                        slot.set(None.into());
                        spare = Some(slot);
                    }
                    Poll::Pending => waiting.push(slot),
                }
                work::spend(work::EACH);
                if work::is_over() {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            match Pin::new(&mut waiting).poll_next(cx) {
                Poll::Ready(Some(answered)) => answers.add_late(answered),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
    let gates = std::mem::take(&mut answers.gates);
    Ok(protocol.batch(answers.in_order()).before(gates))
}

/// The answers so far, with the positions of their calls.
struct Answers {
    messages: Vec<(usize, Message)>,
    bytes: usize,
    /// What waits for one of them.
    gates: Vec<Gate>,
}

impl Answers {
    fn with_capacity(calls: usize) -> Self {
        Self {
            messages: Vec::with_capacity(calls),
            bytes: 0,
            gates: Vec::new(),
        }
    }

    fn add(&mut self, answered: Option<(usize, Reply)>) {
        let Some((index, reply)) = answered else {
            return;
        };
        let (reply, gates) = reply.split();
        self.gates.extend(gates);
        let body = reply.into_body();
        self.bytes += body.bytes();
        match body {
            Body::One(message) => self.messages.push((index, message)),
            Body::Many(messages) => {
                let messages = messages.map(|message| (index, message));
                self.messages.extend(messages);
            }
            Body::None | Body::Stream(_) | Body::Gated(_) => {}
        }
    }

    /// Adds the answer to a call that others may have to wait for. What it shares memory with is not counted.
    fn add_late(&mut self, answered: Option<(usize, Reply)>) {
        let first = self.messages.len();
        self.add(answered);
        for (_, message) in &mut self.messages[first..] {
            if message.len() <= SMALL {
                *message = message.copied();
            }
        }
    }

    fn in_order(mut self) -> Vec<Message> {
        self.messages.sort_by_key(|(index, _)| *index);
        self.messages
            .into_iter()
            .map(|(_, message)| message)
            .collect()
    }
}

/// The answer to one call: its reply or its error, or nothing to one that wants neither.
async fn answer<P: Protocol, S: Sync, B: Backend<S>>(
    protocol: &P,
    part: Part,
    connection: &Connection,
    chain: &B,
    state: &S,
) -> Reply {
    let req = match part {
        Part::Answer(message) => return Reply::message(message),
        Part::Request(req) => req,
    };
    let (id, route, owes) = (req.id().cloned(), req.route(), req.owes());
    let call = async {
        let reply = chain.call(req, state).await?;
        if owes.is_silence() {
            discard(reply);
            return Ok(Reply::none());
        }
        if reply.is_stream() {
            discard(reply);
            return Err(Error::bad_request("a batch cannot subscribe"));
        }
        let id = id.as_ref();
        enveloped(protocol, &Call { id, connection }, reply)
    };
    let outcome = caught_future(call)
        .await
        .unwrap_or_else(|_| Err(Error::internal("the backend or a middleware panicked")));
    match outcome {
        Ok(reply) => reply,
        Err(error) => {
            let id = id.as_ref();
            log(
                &error,
                &About {
                    connection,
                    route,
                    id,
                    owes,
                },
            );
            match owes.is_silence() {
                true => Reply::none(),
                false => written(protocol, &error, id),
            }
        }
    }
}

fn overloaded<P: Protocol>(protocol: &P, req: &Request) -> Reply {
    match req.wants_reply() {
        true => written(protocol, &Error::Overloaded, req.id()),
        false => Reply::none(),
    }
}

fn written<P: Protocol>(protocol: &P, error: &Error, id: Option<&RequestId>) -> Reply {
    caught(|| protocol.error(error, id)).unwrap_or_else(|_| Reply::none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_pins_no_memory_of_others() {
        let piece = Bytes::from(vec![0; 100]);
        let mut answers = Answers::with_capacity(1);
        let message = Message::binary(piece.slice(..10));
        answers.add_late(Some((0, Reply::message(message))));
        assert!(piece.is_unique());
        assert_eq!(answers.bytes, 10);
    }
}
