//! Matches answers of the upstream with requests.

use std::{
    collections::{HashMap, VecDeque},
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

use super::unreachable::Unreachable;
use crate::{
    Message, RequestId,
    digest::{ByDigest, Digest, Secret},
    parser::IdAt,
};

/// Represents an id, which may be as long as a message: a digest of its canonical spelling.
pub(super) type Id = Digest;

/// The id at a pointer in a message, if it is a string or a number.
pub(super) fn id_of(message: &Message, at: &IdAt) -> Option<Id> {
    static SECRET: LazyLock<Secret> = LazyLock::new(Secret::new);
    Some(SECRET.digest(canonical(at.find(message)?).as_str()))
}

fn canonical(id: RequestId) -> RequestId {
    if id.as_str().contains('\\')
        && let Ok(unescaped) = serde_json::from_str::<String>(id.as_str())
        && let Ok(canonical) = serde_json::to_string(&unescaped)
    {
        return RequestId::new(canonical);
    }
    id
}

/// The requests of one client that wait for an answer of the upstream.
#[derive(Default)]
pub(super) struct Exchanges {
    open: HashMap<Id, Exchange, ByDigest>,
    /// Requests that were given up after they had been sent. Their late answers are not for the client, which has
    /// already been told another outcome.
    given_up: VecDeque<Id>,
    /// The bytes of the answers that their requests have not picked up.
    bytes: usize,
}

struct Exchange {
    state: ExchangeState,
    request: Waker,
}

enum ExchangeState {
    /// Not sent yet.
    Queued,
    Sent,
    Answered(Result<Message, Unreachable>),
}

/// How many given-up requests are remembered for each client.
const REMEMBERED: usize = 256;

impl Exchanges {
    /// Opens an exchange; `false` if one with the same id is open.
    pub(super) fn open(&mut self, id: &Id) -> bool {
        if self.open.contains_key(id) {
            return false;
        }
        let exchange = Exchange {
            state: ExchangeState::Queued,
            request: Waker::noop().clone(),
        };
        self.open.insert(*id, exchange);
        true
    }

    /// Marks the request as sent.
    pub(super) fn sent(&mut self, id: &Id) {
        if let Some(exchange) = self.open.get_mut(id)
            && let ExchangeState::Queued = exchange.state
        {
            exchange.state = ExchangeState::Sent;
        }
    }

    /// Takes a message of the upstream that has an id; returns it if it answers no request.
    pub(super) fn answer(&mut self, id: &Id, message: Message) -> Option<Message> {
        if let Some(exchange) = self.open.get_mut(id)
            && let ExchangeState::Sent = exchange.state
        {
            self.bytes += message.len();
            exchange.state = ExchangeState::Answered(Ok(message));
            exchange.request.wake_by_ref();
            return None;
        }
        if let Some(index) = self.given_up.iter().position(|other| other == id) {
            self.given_up.remove(index);
            tracing::debug!("dropped the answer to a request that had ended already");
            return None;
        }
        Some(message)
    }

    pub(super) fn poll(&mut self, id: &Id, cx: &Context<'_>) -> Poll<Result<Message, Unreachable>> {
        let Some(exchange) = self.open.get_mut(id) else {
            return Poll::Ready(Err(Unreachable::Cut));
        };
        match &exchange.state {
            ExchangeState::Answered(answer) => Poll::Ready(answer.clone()),
            ExchangeState::Queued | ExchangeState::Sent => {
                exchange.request.clone_from(cx.waker());
                Poll::Pending
            }
        }
    }

    /// Whether the upstream owes an answer.
    pub(super) fn any_sent(&self) -> bool {
        let mut open = self.open.values();
        open.any(|exchange| matches!(exchange.state, ExchangeState::Sent))
    }

    /// The bytes of the answers that have not been picked up.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Closes an exchange: its request is done, or was given up.
    pub(super) fn close(&mut self, id: &Id) {
        let Some(exchange) = self.open.remove(id) else {
            return;
        };
        match exchange.state {
            ExchangeState::Sent => {
                if self.given_up.len() == REMEMBERED {
                    self.given_up.pop_front();
                }
                self.given_up.push_back(*id);
            }
            ExchangeState::Answered(Ok(answer)) => self.bytes -= answer.len(),
            ExchangeState::Queued | ExchangeState::Answered(Err(_)) => {}
        }
    }

    /// Fails the sent requests: the upstream connection is gone, so no answer will come.
    pub(super) fn lose(&mut self, why: &Unreachable) {
        self.given_up.clear();
        for exchange in self.open.values_mut() {
            if let ExchangeState::Sent = exchange.state {
                exchange.state = ExchangeState::Answered(Err(why.clone()));
                exchange.request.wake_by_ref();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_string_are_one_id_and_numbers_differ_from_strings() {
        let at = IdAt::new("/id").expect("a pointer");
        let id = |text: &'static str| id_of(&Message::text(text), &at);
        assert_eq!(id(r#"{"id":"a/b"}"#), id(r#"{"id":"a\/\u0062"}"#));
        assert_ne!(id(r#"{"id":"7"}"#), id(r#"{"id":7}"#));
        assert!(id(r#"{"id":7}"#).is_some());
        for none in [r#"{"id":null}"#, r#"{"id":[7]}"#, "{}", "7", "no JSON"] {
            assert_eq!(id(none), None, "{none}");
        }
    }

    #[test]
    fn ids_of_any_size_are_remembered_by_their_digest() {
        let at = IdAt::new("/id").expect("a pointer");
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(30_000));
        let (one, other) = (Message::text(long.clone()), Message::text(long));
        let id = id_of(&one, &at).expect("an id");
        assert_eq!(Some(id), id_of(&other, &at));
        let payload = one.into_bytes();
        let mut exchanges = Exchanges::default();
        assert!(exchanges.open(&id));
        assert!(payload.is_unique(), "the message is not kept");
    }

    #[test]
    fn the_number_of_remembered_abandoned_requests_is_bounded() {
        let mut exchanges = Exchanges::default();
        for n in 0..REMEMBERED * 2 {
            let id = Secret::new().digest(&n);
            assert!(exchanges.open(&id));
            exchanges.sent(&id);
            exchanges.close(&id);
        }
        assert!(exchanges.open.is_empty());
        assert_eq!(exchanges.given_up.len(), REMEMBERED);
    }
}
