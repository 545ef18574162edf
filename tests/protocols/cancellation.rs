//! Cancellation of requests in flight by their id.

mod functions;
mod states;
mod streams;
mod upstreams;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::{Stream, StreamExt, stream};
use wasabi::{Error, prelude::*};
use wasabi_tests::Gate;

/// What the client gets for a request that was cancelled.
fn cancelled(id: &str) -> String {
    format!("{id} cancelled: the request was cancelled")
}

/// `+7 key text` is a request, `-7` cancels it.
fn signed(message: &Message) -> Result<Option<Envelope<'_>>> {
    let text = message.as_text().unwrap_or_default();
    if let Some(id) = text.strip_prefix('-') {
        return Ok(Some(Envelope::cancel(RequestId::new(id.to_owned()))));
    }
    let mut words = text.strip_prefix('+').unwrap_or_default().splitn(3, ' ');
    match (words.next(), words.next()) {
        (Some(id), Some(key)) => Ok(Some(Envelope::new(key).id(RequestId::new(id.to_owned())))),
        _ => Err(Error::bad_request("expected `+id key`")),
    }
}

/// Counts the values that exist.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

struct Life(Alive);

impl Alive {
    fn one(&self) -> Life {
        self.0.fetch_add(1, Ordering::SeqCst);
        Life(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A stream that says `id 0`, `id 1`, .. each time the gate lets it.
fn ticks(id: RequestId, gate: Gate, alive: &Alive) -> impl Stream<Item = String> + use<> {
    let life = alive.one();
    stream::iter(0..).then(move |n| {
        let (_alive, gate, id) = (&life, gate.clone(), id.clone());
        async move {
            if n > 0 {
                gate.pass().await;
            }
            format!("{id} {n}")
        }
    })
}
