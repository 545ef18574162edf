//! A connection's task by itself, step by step: bytes come in as they like, the client takes what it likes, requests end
//! in every way, messages come from elsewhere, time goes by, and the server closes.
//!
//! What the client said is read a second time by a model. Each message has one outcome, what the server sends is a
//! WebSocket, it holds no more than it may, and it does what can be done without being woken for another reason.
#![no_main]

#[path = "connection/check.rs"]
mod check;
#[path = "connection/exchange.rs"]
mod exchange;
#[path = "connection/world.rs"]
mod world;

use std::{
    sync::{Arc, Once, atomic::Ordering},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use wasabi::{CloseCode, Request, fuzzing::Stage};
use wasabi_fuzz::{
    client::run,
    frames::{CLOSE, PING, PONG, TEXT},
    model::Model,
    wire::Wire,
};

use crate::{
    exchange::{Answer, Log, Numbers, Outcome},
    world::{EARLY, Flag, Limits, World},
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

// Long: the loop over the input, with what is checked after each step.
async fn play(input: &[u8]) {
    let mut input = Input(input);
    let first = input.byte();
    let second = input.byte();
    let limits = Limits {
        concurrency: 1 + usize::from(first % 4),
        max_message_size: [8000, 300, 125, 1][usize::from(first >> 2) % 4],
        max_waiting_messages: [256, 4, 1, 16][usize::from(first >> 4) % 4],
        max_waiting_bytes: [1 << 20, 4096, 64, 1][usize::from(first >> 6)],
    };
    let stage = Stage::new(
        limits.concurrency,
        limits.max_message_size,
        limits.max_waiting_messages,
        limits.max_waiting_bytes,
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

// Long: one arm for each step.
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
                    Err(CloseCode::new::<4403>().into())
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
