//! The log lines of a failed request are in its span, which does not stay open for them.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer, Registry as Spans,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};
use wasabi::{Error, prelude::*};
use wasabi_tests::{serve, subscribed::Subscribed, until};

/// Records spans that open and close, and the span of each line about a failed request.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Notes {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, spans: Context<'_, S>) {
        if spans.span(id).is_some_and(|span| span.name() == "request") {
            self.note(format!("open {}", id.into_u64()));
        }
    }

    fn on_close(&self, id: Id, spans: Context<'_, S>) {
        if spans.span(&id).is_some_and(|span| span.name() == "request") {
            self.note(format!("close {}", id.into_u64()));
        }
    }

    fn on_event(&self, event: &Event<'_>, spans: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        if message.0 == "request failed" {
            let span = spans.event_span(event);
            let id = span.map(|span| span.id().into_u64());
            self.note(format!("failed {id:?}"));
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Notes {
    fn subscribe(&self) -> Subscribed {
        Subscribed::new(Spans::default().with(self.clone()))
    }

    fn note(&self, what: String) {
        self.0.lock().expect("not poisoned").push(what);
    }

    /// Returns everything, with span ids numbered from 1 in the order in which the spans open.
    fn all(&self) -> Vec<String> {
        let notes = self.0.lock().expect("not poisoned");
        let mut ids = Vec::new();
        let number = |note: &String| {
            let digits = |char: char| char.is_ascii_digit();
            let Some(id) = note
                .split(|char| !digits(char))
                .find(|part| !part.is_empty())
            else {
                return note.clone();
            };
            let is_new = note.starts_with("open");
            if is_new {
                ids.push(id.to_owned());
            }
            let at = ids.iter().rposition(|known| known == id);
            note.replace(id, &at.map_or("?".to_owned(), |at| (at + 1).to_string()))
        };
        notes.iter().map(number).collect()
    }

    async fn are(&self, expected: &[&str]) {
        until(&format!("{expected:?}"), || {
            self.all().len() >= expected.len()
        })
        .await;
        assert_eq!(self.all(), expected);
    }
}

#[tokio::test]
async fn log_lines_of_a_failed_request_are_in_its_span_which_then_closes() {
    let notes = Notes::default();
    let _subscribed = notes.subscribe();
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        middleware = [Trace::new()],
        match key {
            "later" => async || {
                tokio::task::yield_now().await;
                Err::<(), _>(Error::internal("the cause"))
            },
            "panic" => async || -> String { panic!("on purpose") },
            "fine" => async || "fine",
            _ => NoRoute,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    let mut expected = Vec::new();
    for (nth, what) in ["later", "panic", "nothing", "fine"].iter().enumerate() {
        client
            .ask(&format!(r#"{{"do":"{what}","id":{nth}}}"#))
            .await;
        let nth = nth + 1;
        expected.push(format!("open {nth}"));
        if *what != "fine" {
            expected.push(format!("failed Some({nth})"));
        }
        expected.push(format!("close {nth}"));
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        notes.are(&expected).await;
    }
    client.ask("{").await;
    let rest = ["open 5", "failed Some(5)", "close 5"];
    let all = expected.iter().map(String::as_str).chain(rest);
    notes.are(&all.collect::<Vec<_>>()).await;
}

/// Turns some errors into replies, and fails some requests itself.
#[middleware]
async fn outside(req: Request, next: impl Next) -> Result<Reply> {
    if req.key() == "outside" {
        return Err(Error::internal("outside"));
    }
    match next.run(req).await {
        Err(Error::NoRoute) => Ok(Reply::message("no such thing")),
        outcome => outcome,
    }
}

#[tokio::test]
async fn the_span_of_a_failure_that_is_not_logged_closes_and_stays_empty() {
    let notes = Notes::default();
    let _subscribed = notes.subscribe();
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        middleware = [outside, Trace::new()],
        NoRoute,
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask(r#"{"do":"a","id":1}"#).await, "no such thing");
    notes.are(&["open 1", "close 1"]).await;
    // In a single turn.
    let frames = [r#"{"do":"b","id":2}"#, r#"{"do":"outside","id":3}"#];
    futures_util::SinkExt::send_all(
        &mut client.socket,
        &mut futures_util::stream::iter(frames.map(|frame| Ok(frame.into()))),
    )
    .await
    .expect("sent");
    assert_eq!(client.text().await, "no such thing");
    client.text().await;
    until("the end", || notes.all().len() >= 5).await;
    let all = notes.all();
    assert!(all.contains(&"failed None".to_owned()), "{all:?}");
    assert!(all.contains(&"close 2".to_owned()), "{all:?}");
}
