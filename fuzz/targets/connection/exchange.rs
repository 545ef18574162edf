//! What is known of each request, and what may be seen of it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use futures_util::Stream;
use wasabi::{Envelope, Error, Message, Parser, Reply, RequestId, Result};

/// One message that was read, in the order of reading.
#[derive(Default)]
pub(crate) struct Exchange {
    pub(crate) payload: (bool, Vec<u8>),
    /// Whether it became a request, or came too late for that.
    pub(crate) is_called: bool,
    /// How the request is to end, and what is to be sent for it.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) expected: Vec<String>,
    /// An error may have any message.
    pub(crate) code: Option<&'static str>,
    pub(crate) is_done: bool,
    pub(crate) seen: Vec<String>,
    pub(crate) stream: Arc<Mutex<Items>>,
    pub(crate) waker: Option<Waker>,
}

pub(crate) enum Outcome {
    Reply(Vec<String>),
    Error,
    Panic,
    Stream,
}

/// Of a streaming reply.
#[derive(Default)]
pub(crate) struct Items {
    pub(crate) waiting: Vec<Option<Result<Message>>>,
    pub(crate) waker: Option<Waker>,
    /// The last of the reply was taken: the request is not given up after that.
    pub(crate) is_taken: bool,
}

impl Stream for Handle<Items> {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        let mut items = self.0.lock().expect("whole");
        if items.waiting.is_empty() {
            items.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let item = items.waiting.remove(0);
        items.is_taken = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

pub(crate) struct Handle<T>(pub(crate) Arc<Mutex<T>>);

/// The future of a request.
pub(crate) struct Answer {
    pub(crate) log: Log,
    pub(crate) id: usize,
}

pub(crate) type Log = Arc<Mutex<Vec<Exchange>>>;

impl Future for Answer {
    type Output = Result<Reply>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Reply>> {
        let mut log = self.log.lock().expect("whole");
        let exchange = &mut log[self.id];
        exchange.waker = Some(cx.waker().clone());
        let outcome = exchange.outcome.take();
        let stream = Arc::clone(&exchange.stream);
        stream.lock().expect("whole").is_taken = !matches!(outcome, None | Some(Outcome::Stream));
        drop(log);
        Poll::Ready(match outcome {
            None => return Poll::Pending,
            Some(Outcome::Reply(texts)) => Ok(Reply::messages(
                texts.into_iter().map(Message::from).collect(),
            )),
            Some(Outcome::Error) => Err(Error::bad_request("no")),
            Some(Outcome::Panic) => panic!("on purpose"),
            Some(Outcome::Stream) => Ok(Reply::stream(Handle(stream))),
        })
    }
}

impl Exchange {
    /// What was sent for it is what is due, or in the order of that.
    pub(crate) fn check(&self, id: usize, is_complete: bool) {
        let Self {
            expected,
            seen,
            code,
            is_called,
            is_done,
            stream,
            ..
        } = self;
        let refusal = format!("{id} closing: ");
        if !is_called {
            assert!(
                seen.len() <= 1 && seen.iter().all(|text| text.starts_with(&refusal)),
                "{seen:?}"
            );
            assert!(!is_complete || seen.len() == 1, "{id} is not refused");
            return;
        }
        let errors = usize::from(code.is_some());
        let is_taken = stream.lock().expect("whole").is_taken;
        let common = seen.len().min(expected.len());
        for (index, text) in seen.iter().enumerate() {
            let is_due = match (expected.get(index), code) {
                (Some(due), _) => due == text,
                (None, Some(code)) if index == expected.len() => {
                    text.starts_with(&format!("{id} {code}: "))
                }
                _ => false,
            };
            let may_be_given_up = !is_complete
                && index + 1 == seen.len()
                && (index < expected.len() + errors || !is_taken);
            // A stream whose source is silent for too long ends, too.
            let is_given_up = ["interrupted", "timed_out"]
                .iter()
                .any(|code| text.starts_with(&format!("{id} {code}: ")));
            assert!(
                is_due || may_be_given_up && is_given_up,
                "{id} has one outcome: {text}"
            );
        }
        if is_complete {
            assert_eq!(common, expected.len(), "{id} has no outcome: {expected:?}");
            assert!(
                !is_done || seen.len() == expected.len() + errors,
                "{id} has no error"
            );
        }
    }
}

/// Every message is a request, and its number is its id.
pub(crate) struct Numbers(pub(crate) Log);

impl Parser for Numbers {
    fn parse<'m>(&self, message: &'m Message) -> Result<Option<Envelope<'m>>> {
        let mut log = self.0.lock().expect("whole");
        let id = log.len();
        log.push(Exchange {
            payload: (message.is_text(), message.as_bytes().to_vec()),
            ..Exchange::default()
        });
        Ok(Some(Envelope::new("").id(RequestId::new(id.to_string()))))
    }
}
