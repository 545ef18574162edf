//! A connection's task by itself, step by step: bytes come in as they like, the client takes what it likes, requests end
//! in every way, messages come from elsewhere, time goes by, and the server closes.
//!
//! What the client said is read a second time by a model. Each message has one outcome, what the server sends is a
//! WebSocket, it holds no more than it may, and it does what can be done without being woken for another reason.
#![no_main]

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::Stream;
use libfuzzer_sys::fuzz_target;
use wasabi::{
    Close, CloseCode, Envelope, Error, Message, Parser, Reply, Request, RequestId, Result,
    fuzzing::{Session, Stage},
};
use wasabi_fuzz::{
    client::run,
    frames::{self, CLOSE, PING, PONG, Sent, TEXT},
    model::{End, Model},
    wire::Wire,
};

/// The steps, until they end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }

    fn index(&mut self, count: usize) -> Option<usize> {
        (count > 0).then(|| usize::from(self.byte()) % count)
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

/// One message that was read, in the order of reading.
#[derive(Default)]
struct Exchange {
    payload: (bool, Vec<u8>),
    /// Whether it became a request, or came too late for that.
    is_called: bool,
    /// How the request is to end, and what is to be sent for it.
    outcome: Option<Outcome>,
    expected: Vec<String>,
    /// An error may have any message.
    code: Option<&'static str>,
    is_done: bool,
    seen: Vec<String>,
    stream: Arc<Mutex<Items>>,
    waker: Option<Waker>,
}

enum Outcome {
    Reply(Vec<String>),
    Error,
    Panic,
    Stream,
}

/// Of a streaming reply.
#[derive(Default)]
struct Items {
    waiting: Vec<Option<Result<Message>>>,
    waker: Option<Waker>,
    /// The last of the reply was taken: the request is not given up after that.
    is_taken: bool,
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

struct Handle<T>(Arc<Mutex<T>>);

/// The future of a request.
struct Answer {
    log: Log,
    id: usize,
}

type Log = Arc<Mutex<Vec<Exchange>>>;

impl Future for Answer {
    type Output = Result<Reply>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Reply>> {
        let mut log = self.log.lock().expect("whole");
        let exchange = &mut log[self.id];
        exchange.waker = Some(cx.waker().clone());
        let outcome = exchange.outcome.take();
        let stream = Arc::clone(&exchange.stream);
        stream.lock().expect("whole").is_taken =
            !matches!(outcome, None | Some(Outcome::Stream));
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

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// No timeout has run out before.
const EARLY: Duration = Duration::from_secs(9);

const MAX_REPLY: usize = 3 * 5000;

struct World<'a> {
    stage: &'a Stage,
    session: Session<'a, Wire, Answer>,
    limits: Limits,
    log: Log,
    wire: Wire,
    model: Model,
    flag: Arc<Flag>,
    /// The client has sent this, and it is still on its way.
    sent: Vec<u8>,
    /// Everything may be written.
    is_wide: bool,
    is_open: bool,
    time: Duration,
    pushes: Vec<String>,
    pushes_seen: usize,
    /// What the server has written of a frame that is not complete.
    rest: Vec<u8>,
    pongs: Vec<Vec<u8>>,
    close: Option<Option<u16>>,
    /// The server wants to close with one of these codes.
    closing: Vec<u16>,
    /// Something has happened after which not everything arrives.
    is_cut: bool,
    ended: Option<Close>,
}

#[derive(Clone, Copy)]
struct Limits {
    concurrency: usize,
    max_message_size: usize,
    send_queue: usize,
    send_buffer: usize,
}

impl World<'_> {
    fn frame(&mut self, is_last: bool, opcode: u8, payload: &[u8]) {
        let mask = [0x12, 0x34, 0x56, payload.len() as u8];
        self.sent
            .extend(frames::client(is_last, opcode, payload, mask));
    }

    fn deliver(&mut self, count: usize) {
        let bytes: Vec<u8> = self.sent.drain(..count.min(self.sent.len())).collect();
        self.model.read(&bytes);
        self.wire.deliver(&bytes);
    }

    /// The requests that are not done: their ids.
    fn open_requests(&self) -> Vec<usize> {
        let log = self.log.lock().expect("whole");
        let open = log
            .iter()
            .enumerate()
            .filter(|(_, one)| one.is_called && !one.is_done);
        open.map(|(id, _)| id).collect()
    }

    /// Ends a request in one of several ways, or goes on with its streaming reply.
    fn complete(&mut self, id: usize, how: u8) {
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

    fn go_on(&mut self, id: usize, how: u8) {
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

    fn push(&mut self, padding: usize) {
        let text = format!("p{}{}", self.pushes.len(), "x".repeat(padding));
        if self.stage.connection().try_send(text.clone()).is_ok() {
            self.pushes.push(text);
        }
    }

    fn server_closes(&mut self, code: u16) {
        self.stage.connection().close(CloseCode::new(code));
        self.closing.push(code);
    }

    /// Polls the task for as long as it is woken, and looks at what it has done.
    fn settle(&mut self) {
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

    fn look(&mut self) {
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

    fn see(&mut self, text: String) {
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

    /// Memory does not grow with what comes in.
    fn check_bounds(&self) {
        let held = self.session.held();
        let Limits {
            concurrency,
            max_message_size,
            send_queue,
            send_buffer,
        } = self.limits;
        // A message that fits begins while there is room.
        assert!(
            held.unsent <= send_buffer + 2 * MAX_REPLY + 16 * 1024,
            "{held:?}"
        );
        assert!(held.in_flight <= concurrency, "{held:?}");
        assert!(
            held.ahead <= 16 && held.ahead_bytes < 2 * max_message_size.max(1),
            "{held:?}"
        );
        let waiting = self.pushes.len() - self.pushes_seen;
        assert!(
            waiting <= send_queue + (held.unsent + self.rest.len()) / 3 + 1,
            "{waiting} {held:?}"
        );
    }

    /// Everything that can be done is done: nobody has to wake it once more.
    fn check_nothing_waits(&self) {
        assert_eq!(self.session.held().unsent, 0, "the client takes everything");
        assert!(self.rest.is_empty());
        let log = self.log.lock().expect("whole");
        let open = log
            .iter()
            .filter(|one| one.is_called && !one.is_done)
            .count();
        match self.model.end {
            // What is wrong is seen when what came before it is.
            Some(end) if open < self.limits.concurrency => {
                panic!("the client has ended with {end:?}, and nothing came of it")
            }
            Some(_) => return,
            None if self.close.is_some() => {
                let is_early = self.model.is_within_a_frame() || self.is_flooded();
                assert!(
                    !self.closing.is_empty() || is_early,
                    "a close without a reason"
                );
                return;
            }
            None => {}
        }
        assert_eq!(self.pushes_seen, self.pushes.len());
        if open < self.limits.concurrency {
            let mut read: Vec<_> = log.iter().map(|one| &one.payload).collect();
            let mut said: Vec<_> = self.model.messages.iter().collect();
            if !self.closing.is_empty() {
                // What comes late is refused before what waits for a slot is looked at.
                read.sort();
                said.sort();
            }
            assert_eq!(read, said, "every message is read, as it is");
            let last = self.model.pings.last();
            assert_eq!(self.pongs.last(), last, "the last ping is answered");
        }
        for (id, exchange) in log.iter().enumerate() {
            exchange.check(id, true);
        }
        if !self.closing.is_empty() {
            assert!(open > 0, "nothing is in flight, and it does not close");
        }
    }

    fn is_flooded(&self) -> bool {
        self.model.controls > 100
    }

    /// How it has ended must follow from what has happened.
    fn check_end(&self) {
        let log = self.log.lock().expect("whole");
        let is_wrong =
            self.model.end.is_some() || self.model.is_within_a_frame() || self.is_flooded();
        for (id, exchange) in log.iter().enumerate() {
            if !is_wrong {
                let payload = &exchange.payload;
                assert!(
                    self.model.messages.contains(payload),
                    "nobody has sent {payload:?}"
                );
            }
            let is_graceful = !self.is_cut && !is_wrong && self.time < EARLY;
            exchange.check(id, is_graceful);
        }
        if let Some(Some(code)) = self.close {
            let by_client = match self.model.end {
                Some(End::Close(close)) => close == Some(code),
                Some(End::Wrong(rule)) => rule == code,
                None => false,
            };
            let by_rule = self.model.is_within_a_frame() && matches!(code, 1002 | 1007 | 1009);
            let by_flood = self.is_flooded() && code == 1008;
            let by_server = self.closing.contains(&code) || self.is_cut && code == 1012;
            let by_time = self.time >= EARLY && matches!(code, 1008 | 1011);
            assert!(
                by_client || by_rule || by_flood || by_server || by_time,
                "a close with {code} after {:?} and {:?}",
                self.model.end,
                self.closing
            );
        }
    }
}

impl Exchange {
    /// What was sent for it is what is due, or in the order of that.
    fn check(&self, id: usize, is_complete: bool) {
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
            assert!(
                is_due || may_be_given_up && text.starts_with(&refusal),
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
struct Numbers(Log);

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

async fn play(input: &[u8]) {
    let mut input = Input(input);
    let first = input.byte();
    let second = input.byte();
    let limits = Limits {
        concurrency: 1 + usize::from(first % 4),
        max_message_size: [8000, 300, 125, 1][usize::from(first >> 2) % 4],
        send_queue: [256, 4, 1, 16][usize::from(first >> 4) % 4],
        send_buffer: [1 << 20, 4096, 64, 1][usize::from(first >> 6)],
    };
    let stage = Stage::new(
        limits.concurrency,
        limits.max_message_size,
        limits.send_queue,
        limits.send_buffer,
        second % 2 == 1,
    );
    let log = Log::default();
    let (wire, parsed, called): (_, Log, Log) = (Wire::default(), log.clone(), log.clone());
    let call = move |req: Request| {
        let id: usize = req
            .id()
            .and_then(|id| id.as_str().parse().ok())
            .expect("an id");
        let mut log = called.lock().expect("whole");
        log[id].is_called = true;
        // Some are answered at once.
        if req
            .message()
            .as_bytes()
            .first()
            .is_some_and(|byte| byte % 2 == 0)
        {
            let text = format!("r{id}.0");
            log[id].outcome = Some(Outcome::Reply(vec![text.clone()]));
            log[id].expected = vec![text];
            log[id].is_done = true;
        }
        Answer {
            log: Arc::clone(&called),
            id,
        }
    };
    let flag = Arc::new(Flag::default());
    flag.0.store(true, Ordering::SeqCst);
    let mut world = World {
        session: stage.session(wire.clone(), Numbers(parsed), call),
        stage: &stage,
        limits,
        log,
        wire,
        model: Model::new(limits.max_message_size),
        flag,
        sent: Vec::new(),
        is_wide: true,
        is_open: second & 2 == 0,
        time: Duration::ZERO,
        pushes: Vec::new(),
        pushes_seen: 0,
        rest: Vec::new(),
        pongs: Vec::new(),
        close: None,
        closing: Vec::new(),
        is_cut: false,
        ended: None,
    };
    if world.is_open {
        world.session.opened(Ok(()));
    }
    world.wire.make_room(usize::MAX);
    world.settle();
    while let Some(step) = input.next() {
        step_of(&mut world, &mut input, step).await;
        // Steps may come while the task has had no turn yet.
        if step < 0xc0 {
            world.settle();
        }
        if world.ended.is_some() {
            break;
        }
    }
    finish(&mut world).await;
}

async fn step_of(world: &mut World<'_>, input: &mut Input<'_>, step: u8) {
    match step % 24 {
        0 | 1 => {
            let length = usize::from(input.byte()) % 64;
            let payload = input.bytes(length).escape_ascii().to_string();
            world.frame(true, TEXT, payload.as_bytes());
            world.deliver(usize::MAX);
        }
        2 => {
            let length = usize::from(input.byte());
            let payload = input.bytes(length);
            world.frame(true, 2, payload);
        }
        3 => {
            let [first, length] = [input.byte(), input.byte()];
            let payload = input.bytes(usize::from(length) % 32);
            world.frame(
                first & 1 == 1,
                [0, TEXT, 2, 0][usize::from(first >> 1) % 4],
                payload,
            );
        }
        4 => {
            let length = usize::from(input.byte()) % 16;
            let payload = input.bytes(length);
            world.frame(true, PING, payload);
            world.deliver(usize::MAX);
        }
        5 => world.frame(true, PONG, b"unasked"),
        6 => {
            let [first, second] = [input.byte(), input.byte()];
            let length = [0, 0, 1, 2, 8][usize::from(first) % 5];
            let bytes = input.bytes(length);
            world.sent.extend([first, second]);
            world.sent.extend(bytes);
        }
        7 => {
            let length = usize::from(input.byte()) % 32;
            let bytes = input.bytes(length);
            world.sent.extend(bytes);
        }
        8 => {
            let code = u16::from_be_bytes([input.byte() % 20, input.byte()]);
            let payload = [&code.to_be_bytes()[..], b"bye"].concat();
            world.frame(true, CLOSE, &payload);
        }
        9 => {
            // As many as they like of what is small.
            let count = usize::from(input.byte());
            for number in 0..count {
                world.frame(true, TEXT, if number % 2 == 0 { b"odd" } else { b"pair" });
            }
        }
        10 | 11 => {
            let count = usize::from(input.byte());
            world.deliver(count);
        }
        12 => world.deliver(usize::MAX),
        13 => {
            world.wire.block();
            world.is_wide = false;
        }
        14 | 15 => {
            let count = usize::from(input.byte());
            world.wire.make_room(count);
        }
        16 => {
            world.wire.make_room(usize::MAX);
            world.is_wide = true;
        }
        17 | 18 => {
            let open = world.open_requests();
            if let Some(index) = input.index(open.len()) {
                world.complete(open[index], input.byte());
            }
        }
        19 => {
            let padding = usize::from(input.byte()) * 16;
            world.push(padding);
        }
        20 => {
            let unit = [1, 10, 100, 1000][usize::from(input.byte()) % 4];
            let time = Duration::from_millis(u64::from(input.byte()) * unit);
            if world.time < Duration::from_secs(100) {
                tokio::time::advance(time).await;
                world.time += time;
            }
        }
        21 => world.server_closes([1000, 1012, 4000, 1001][usize::from(input.byte()) % 4]),
        22 if !world.is_open => {
            world.is_open = true;
            world.session.opened(match input.byte() % 4 {
                0 => {
                    world.closing.push(4403);
                    Err(CloseCode::new(4403).into())
                }
                _ => Ok(()),
            });
            world.flag.0.store(true, Ordering::SeqCst);
        }
        23 => {
            world.is_cut = true;
            match input.byte() % 3 {
                0 => world.wire.end(),
                1 => world.wire.break_off(),
                _ => world.stage.stop(),
            }
        }
        _ => {}
    }
}

/// Lets everything come to its end.
async fn finish(world: &mut World<'_>) {
    world.settle();
    if !world.is_open && world.ended.is_none() {
        world.is_open = true;
        world.session.opened(Ok(()));
        world.flag.0.store(true, Ordering::SeqCst);
    }
    world.deliver(usize::MAX);
    world.wire.make_room(usize::MAX);
    world.is_wide = true;
    world.settle();
    loop {
        let open = world.open_requests();
        if open.is_empty() || world.ended.is_some() {
            break;
        }
        // Its first part, or no more of it.
        open.into_iter().for_each(|id| world.complete(id, 0));
        world.settle();
    }
    world.server_closes(4000);
    world.settle();
    if world.ended.is_none() && !world.is_cut && world.time < EARLY {
        assert!(world.close.is_some(), "it does not close");
        if world.model.is_within_a_frame() {
            world.wire.end();
        } else {
            world.frame(true, CLOSE, &[]);
            world.deliver(usize::MAX);
        }
        world.settle();
        assert!(world.ended.is_some(), "it does not end");
    }
    for _ in 0..4 {
        tokio::time::advance(Duration::from_secs(31)).await;
        world.settle();
    }
    assert!(world.ended.is_some(), "it hangs");
    world.check_end();
}

fuzz_target!(|input: &[u8]| {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            if info.payload_as_str() != Some("on purpose") {
                eprintln!("{info}");
                std::process::abort();
            }
        }));
    });
    run(play(input));
});
