//! A connection with all that is around it, and what can be done to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use wasabi::{
    Close, CloseCode, Error, Message,
    fuzzing::{Session, Stage},
};
use wasabi_fuzz::{
    frames::{self, Sent},
    model::Model,
    wire::Wire,
};

use crate::exchange::{Answer, Log, Outcome};

#[derive(Default)]
pub(crate) struct Flag(pub(crate) AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// No timeout has run out before.
pub(crate) const EARLY: Duration = Duration::from_secs(9);

pub(crate) const MAX_REPLY: usize = 3 * 5000;

pub(crate) struct World<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) session: Session<'a, Wire, Answer>,
    pub(crate) limits: Limits,
    pub(crate) log: Log,
    pub(crate) wire: Wire,
    pub(crate) model: Model,
    pub(crate) flag: Arc<Flag>,
    /// The client has sent this, and it is still on its way.
    pub(crate) sent: Vec<u8>,
    /// Everything may be written.
    pub(crate) is_wide: bool,
    pub(crate) is_open: bool,
    pub(crate) time: Duration,
    pub(crate) pushes: Vec<String>,
    pub(crate) pushes_seen: usize,
    /// What the server has written of a frame that is not complete.
    pub(crate) rest: Vec<u8>,
    pub(crate) pongs: Vec<Vec<u8>>,
    pub(crate) close: Option<Option<u16>>,
    /// The server wants to close with one of these codes.
    pub(crate) closing: Vec<u16>,
    /// Something has happened after which not everything arrives.
    pub(crate) is_cut: bool,
    pub(crate) ended: Option<Close>,
}

#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) concurrency: usize,
    pub(crate) max_message_size: usize,
    pub(crate) max_waiting_messages: usize,
    pub(crate) max_waiting_bytes: usize,
}

impl World<'_> {
    pub(crate) fn frame(&mut self, is_last: bool, opcode: u8, payload: &[u8]) {
        let mask = [0x12, 0x34, 0x56, payload.len() as u8];
        self.sent
            .extend(frames::client(is_last, opcode, payload, mask));
    }

    pub(crate) fn deliver(&mut self, count: usize) {
        let bytes: Vec<u8> = self.sent.drain(..count.min(self.sent.len())).collect();
        self.model.read(&bytes);
        self.wire.deliver(&bytes);
    }

    /// The requests that are not done: their ids.
    pub(crate) fn open_requests(&self) -> Vec<usize> {
        let log = self.log.lock().expect("whole");
        let open = log
            .iter()
            .enumerate()
            .filter(|(_, one)| one.is_called && !one.is_done);
        open.map(|(id, _)| id).collect()
    }

    /// Ends a request in one of several ways, or goes on with its streaming reply.
    pub(crate) fn complete(&mut self, id: usize, how: u8) {
        let mut log = self.log.lock().expect("whole");
        let exchange = &mut log[id];
        let number = exchange.expected.len();
        if matches!(exchange.outcome, Some(Outcome::Stream))
            || number > 0
            || exchange.waker.is_none()
        {
            drop(log);
            return self.go_on(id, how);
        }
        let text = |part: usize| format!("r{id}.{part}");
        let mut texts = Vec::new();
        exchange.is_done = true;
        exchange.outcome = Some(match how % 8 {
            0 | 1 => {
                texts.push(text(0));
                Outcome::Reply(texts.clone())
            }
            2 => Outcome::Reply(Vec::new()),
            3 => {
                texts.extend((0..3).map(text));
                Outcome::Reply(texts.clone())
            }
            4 => {
                exchange.code = Some("bad_request");
                Outcome::Error
            }
            5 => {
                exchange.code = Some("internal");
                Outcome::Panic
            }
            6 => {
                texts.push(format!("{}{}", text(0), "x".repeat(5000 - 10)));
                Outcome::Reply(texts.clone())
            }
            _ => {
                texts.push(text(0));
                exchange.is_done = false;
                let item = Some(Ok(Message::from(text(0))));
                exchange.stream.lock().expect("whole").waiting.push(item);
                Outcome::Stream
            }
        });
        exchange.expected = texts;
        if let Some(waker) = exchange.waker.take() {
            drop(log);
            waker.wake();
        }
    }

    pub(crate) fn go_on(&mut self, id: usize, how: u8) {
        let mut log = self.log.lock().expect("whole");
        let exchange = &mut log[id];
        let item = match how % 4 {
            0 => None,
            1 => {
                exchange.code = Some("bad_request");
                Some(Err(Error::bad_request("no")))
            }
            _ => {
                let text = format!("r{id}.{}", exchange.expected.len());
                exchange.expected.push(text.clone());
                Some(Ok(Message::from(text)))
            }
        };
        exchange.is_done = !matches!(item, Some(Ok(_)));
        let mut items = exchange.stream.lock().expect("whole");
        items.waiting.push(item);
        if let Some(waker) = items.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn push(&mut self, padding: usize) {
        let text = format!("p{}{}", self.pushes.len(), "x".repeat(padding));
        if self.stage.connection().try_send(text.clone()).is_ok() {
            self.pushes.push(text);
        }
    }

    pub(crate) fn server_closes(&mut self, code: u16) {
        self.stage.connection().close(CloseCode::try_from(code).expect("a code that may be sent"));
        self.closing.push(code);
    }

    /// Polls the task for as long as it is woken, and looks at what it has done.
    pub(crate) fn settle(&mut self) {
        let waker = Waker::from(Arc::clone(&self.flag));
        let mut polls = 0;
        while self.ended.is_none() && self.flag.0.swap(false, Ordering::SeqCst) {
            polls += 1;
            assert!(polls < 10_000, "it spins");
            if let Poll::Ready(close) = self.session.poll(&mut Context::from_waker(&waker)) {
                self.ended = Some(close);
            }
        }
        self.look();
        self.check_bounds();
        if self.ended.is_none() && self.is_wide && self.is_open && !self.is_cut && self.time < EARLY
        {
            self.check_nothing_waits();
        }
    }

    pub(crate) fn look(&mut self) {
        self.rest.extend(self.wire.written());
        let mut start = 0;
        while let Some((sent, size)) = frames::server(&self.rest[start..]) {
            start += size;
            assert!(self.close.is_none(), "nothing follows a close: {sent:?}");
            match sent {
                Sent::Text(text) => self.see(text),
                Sent::Binary(data) => panic!("nobody has sent {data:?}"),
                Sent::Pong(payload) => self.pongs.push(payload),
                Sent::Ping => {}
                Sent::Close(code) => self.close = Some(code),
            }
        }
        self.rest.drain(..start);
        assert!(
            self.close.is_none() || self.rest.is_empty(),
            "nothing follows a close"
        );
    }

    pub(crate) fn see(&mut self, text: String) {
        if text.starts_with('p') {
            assert_eq!(
                self.pushes.get(self.pushes_seen),
                Some(&text),
                "in order, and once"
            );
            self.pushes_seen += 1;
            return;
        }
        let id = text.trim_start_matches('r').split(['.', ' ']).next();
        let id: usize = id.and_then(|id| id.parse().ok()).expect("an id");
        let mut log = self.log.lock().expect("whole");
        log[id].seen.push(text);
    }
}
