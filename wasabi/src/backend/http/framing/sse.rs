//! Server-Sent Events, as defined by the HTML standard (section 9.2.6).

use crate::{Error, Result};

/// A Server-Sent Event, for [`Sse::tell`](super::Sse::tell).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseEvent<'a> {
    /// The field `event`; `message` if the event has none.
    pub name: &'a str,
    /// The last `id` so far, from this event or an earlier one; empty if there was none.
    pub id: &'a str,
    /// The lines of `data`, joined by line feeds.
    pub data: &'a str,
}

/// Assembles events from lines.
pub(in crate::backend::http) struct Events {
    limit: usize,
    is_first_line: bool,
    /// Whether the last event has been returned; the next line clears its name and data.
    is_told: bool,
    has_data: bool,
    name: String,
    id: String,
    data: String,
}

impl Events {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            is_first_line: true,
            is_told: false,
            has_data: false,
            name: String::new(),
            id: String::new(),
            data: String::new(),
        }
    }

    pub(super) fn held(&self) -> usize {
        if self.is_told { 0 } else { self.data.len() }
    }

    /// The event that this line completes, if any.
    pub(super) fn line(&mut self, mut line: &[u8]) -> Result<Option<SseEvent<'_>>> {
        if std::mem::take(&mut self.is_first_line) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if std::mem::take(&mut self.is_told) {
            self.clear();
        }
        if line.is_empty() {
            if !self.has_data {
                self.clear();
                return Ok(None);
            }
            self.is_told = true;
            return Ok(Some(SseEvent {
                name: if self.name.is_empty() {
                    "message"
                } else {
                    &self.name
                },
                id: &self.id,
                data: &self.data,
            }));
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                let length = self.data.len() + usize::from(self.has_data) + value.len();
                if length > self.limit {
                    let error = format!("an event of more than {} bytes", self.limit);
                    return Err(Error::UpstreamUnfit(error.into()));
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.name),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            _ => {}
        }
        Ok(None)
    }

    fn clear(&mut self) {
        self.has_data = false;
        self.name.clear();
        // Frees the memory of a large event, so that the small ones after it do not keep it.
        self.data = String::new();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::backend::http::framing::lines::Cutter;

    /// Name, id and data of each event in a body that arrives in pieces of this length.
    fn events(body: &[u8], piece: usize) -> Vec<(String, String, String)> {
        let (mut cutter, mut events) = (Cutter::new(1000, true), Events::new(1000));
        let mut found = Vec::new();
        for chunk in body.chunks(piece) {
            cutter.feed(Bytes::copy_from_slice(chunk));
            while let Some(line) = cutter.line().expect("short") {
                if let Some(event) = events.line(&line).expect("short") {
                    found.push((event.name.into(), event.id.into(), event.data.into()));
                }
            }
        }
        found
    }

    fn data(body: &str) -> Vec<String> {
        let whole = events(body.as_bytes(), usize::MAX);
        assert_eq!(events(body.as_bytes(), 1), whole, "{body:?}");
        whole.into_iter().map(|(.., data)| data).collect()
    }

    #[test]
    fn the_examples_of_the_standard_are_read_as_specified() {
        assert_eq!(data("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
        let body = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event";
        assert_eq!(
            events(format!("{body}\n\n").as_bytes(), 3),
            [
                ("message", "1", "first event"),
                ("message", "", "second event"),
                ("message", "", " third event")
            ]
            .map(|(name, id, data)| (name.into(), id.into(), data.into()))
        );
        assert_eq!(data(body).len(), 2, "the third one is cut off");
        assert_eq!(data("data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
        assert_eq!(data("data:test\n\ndata: test\n\n"), ["test", "test"]);
        let named = "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\ndata: 113411\n\n";
        let names: Vec<_> = events(named.as_bytes(), 5)
            .into_iter()
            .map(|event| event.0)
            .collect();
        assert_eq!(names, ["add", "remove", "message"]);
    }

    #[test]
    fn every_line_ending_works_and_a_byte_order_mark_is_dropped() {
        for end in ["\n", "\r", "\r\n"] {
            let body = "\u{feff}data: 1|data: 2||:c|data: 3||".replace('|', end);
            assert_eq!(data(&body), ["1\n2", "3"], "{end:?}");
        }
        assert_eq!(data("data: \u{feff}\n\n"), ["\u{feff}"]);
        assert_eq!(data("\u{feff}\u{feff}data: x\n\n"), [""; 0]);
    }

    #[test]
    fn fields_without_an_event_are_ignored() {
        assert_eq!(
            data("event: x\n\nid: 7\n\n: data: x\n\nDATA: x\n\nretry: 5\n\n\n"),
            [""; 0]
        );
        // The name of an event without data does not carry over to the next one.
        let names = events(b"event: x\n\ndata: y\n\n", 2);
        assert_eq!(names[0].0, "message");
        let ids = events(b"id: 1\ndata: x\n\nid: a\0b\ndata: y\n\n", 2);
        assert_eq!(ids[1].1, "1");
        assert_eq!(events(b"data: n\xe9\n\n", 4)[0].2, "n\u{fffd}");
    }

    #[test]
    fn an_event_over_the_limit_is_an_error_before_it_has_ended() {
        let mut events = Events::new(10);
        assert!(events.line(b"data: 12345").is_ok());
        assert!(events.line(b"data: 12345").is_err());
    }

    /// A second implementation, written from the standard, that parses the whole body at once.
    fn expected(body: &str) -> Vec<(String, String, String)> {
        let body = body.strip_prefix('\u{feff}').unwrap_or(body);
        let body = body.replace("\r\n", "\n").replace('\r', "\n");
        let (mut found, mut id) = (Vec::new(), String::new());
        let whole = body.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let (mut name, mut data) = (String::new(), String::new());
        for line in whole.split('\n') {
            if line.is_empty() {
                if let Some(data) = data.strip_suffix('\n') {
                    let name = if name.is_empty() { "message" } else { &name };
                    found.push((name.into(), id.clone(), data.to_owned()));
                }
                (name, data) = (String::new(), String::new());
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => data += &format!("{value}\n"),
                "event" => name = value.into(),
                "id" if !value.contains('\0') => id = value.into(),
                _ => {}
            }
        }
        found
    }

    proptest! {
        #[test]
        fn any_body_has_the_events_that_the_standard_finds_in_it(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "data", "event", "id", "retry", ":", ": ", "\n", "\r", "\r\n", "\n\n", "x", " ", "\0", "é", "\u{feff}",
                ]),
                0..40,
            ),
            piece in 1_usize..9,
        ) {
            let body = parts.concat();
            prop_assert_eq!(events(body.as_bytes(), piece), expected(&body));
        }
    }
}
