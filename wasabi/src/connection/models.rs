//! Loom models of a connection's task and the tasks that talk to it, in every order.

mod slots;

use std::{
    future::poll_fn,
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
    task::Poll,
};

use loom::{future::block_on, thread};

use super::{
    Registry,
    few::Few,
    outbox::{Outbox, Requested},
};
use crate::{
    Close, CloseCode, Message,
    sync::{AtomicBool, AtomicUsize},
    testing,
};

/// The part of a connection's task that empties its outbox, until `look` has seen enough.
fn take(outbox: &Outbox, mut look: impl FnMut(Requested, &[Message]) -> ControlFlow<()>) {
    let mut batch = Few::new();
    block_on(poll_fn(|cx| {
        outbox.register(cx.waker());
        loop {
            let requested = outbox.take(&mut batch);
            let messages: Vec<_> = batch.drain().collect();
            outbox.release(messages.len(), messages.iter().map(Message::len).sum());
            if look(requested, &messages).is_break() {
                return Poll::Ready(());
            }
            if messages.is_empty() {
                return Poll::Pending;
            }
        }
    }));
}

fn enough(is_enough: bool) -> ControlFlow<()> {
    match is_enough {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

#[test]
fn a_message_that_is_queued_while_others_are_taken_is_seen() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(16, 1024));
        let senders = ["a", "b"].map(|text| {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || outbox.try_send(text.into()).expect("room"))
        });
        let mut seen = 0;
        take(&outbox, |_, messages| {
            seen += messages.len();
            enough(seen == 2)
        });
        let _ = senders.map(|sender| sender.join().expect("no panic"));
    });
}

#[test]
fn a_close_is_told_once_and_after_what_was_queued_before_it() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(16, 1024));
        let closes = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || {
                outbox.try_send("last".into()).expect("room");
                outbox.close(CloseCode::NORMAL.into());
                assert!(outbox.try_send("too late".into()).is_err());
            })
        };
        let mut seen = 0;
        take(&outbox, |requested, messages| {
            seen += messages.len();
            enough(requested == Requested::Close)
        });
        assert_eq!(seen, 1);
        closes.join().expect("no panic");
        assert_eq!(outbox.take(&mut Few::new()), Requested::Nothing);
    });
}

#[test]
fn a_stop_gets_past_a_close_and_the_first_of_them_decides_the_code() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(16, 1024));
        let closes = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || outbox.close(CloseCode::NORMAL.into()))
        };
        let stops = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || outbox.stop(CloseCode::SERVICE_RESTART.into()))
        };
        let mut first = None;
        take(&outbox, |requested, _| {
            let close: Option<Close> = outbox.requested_close();
            if first.is_some() {
                assert_eq!(first, close);
            }
            first = close;
            enough(requested == Requested::Stop)
        });
        assert!(first.is_some() && outbox.wants_stop());
        closes.join().expect("no panic");
        stops.join().expect("no panic");
    });
}

#[test]
fn a_sender_that_waits_for_room_gets_it() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(1, 1024));
        let sender = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || {
                for text in ["a", "b"] {
                    block_on(outbox.send(text.into())).expect("open");
                }
            })
        };
        let mut seen = 0;
        take(&outbox, |_, messages| {
            seen += messages.len();
            enough(seen == 2)
        });
        sender.join().expect("no panic");
    });
}

#[test]
fn a_sender_that_waits_for_room_learns_of_the_end() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(1, 1024));
        outbox.try_send("a".into()).expect("room");
        let sender = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || block_on(outbox.send("b".into())).is_err())
        };
        outbox.end(CloseCode::NORMAL.into());
        assert!(sender.join().expect("no panic"));
    });
}

#[test]
fn a_limit_of_one_connection_admits_one_at_a_time() {
    loom::model(|| {
        let registry = Registry::new();
        let inside = Arc::new(AtomicUsize::new(0));
        let clients = [(); 2].map(|()| {
            let (registry, inside) = (registry.clone(), Arc::clone(&inside));
            thread::spawn(move || {
                let Some(permit) = registry.admit(Some(1)) else {
                    return false;
                };
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                inside.fetch_sub(1, Ordering::Relaxed);
                drop(permit);
                true
            })
        });
        let admitted = clients.map(|client| client.join().expect("no panic"));
        assert!(admitted.contains(&true));
        assert!(registry.admit(Some(1)).is_some(), "the place is free again");
    });
}

#[test]
fn a_connection_that_ends_while_it_joins_a_group_is_no_member() {
    loom::model(|| {
        let registry = Registry::new();
        let connection = testing::connection(1, "/");
        let permit = registry.admit(None).expect("no limit");
        let entry = registry.enter(&connection, permit);
        let ends = thread::spawn(move || drop(entry));
        registry.join("room", &connection);
        ends.join().expect("no panic");
        assert!(registry.is_empty() && registry.groups().is_empty());
    });
}

#[test]
fn what_a_group_shares_is_not_released_under_a_connection_that_joins_meanwhile() {
    loom::model(|| {
        let is_shared = Arc::new(AtomicBool::new(false));
        let released = Arc::clone(&is_shared);
        let registry =
            Registry::new().on_empty_group(move |_group| released.store(false, Ordering::SeqCst));
        let [(old, old_entry), (new, _new_entry)] = [1, 2].map(|id| {
            let connection = testing::connection(id, "/");
            let permit = registry.admit(None).expect("no limit");
            let entry = registry.enter(&connection, permit);
            (connection, entry)
        });
        registry.join("room", &old);
        is_shared.store(true, Ordering::SeqCst);
        let ends = thread::spawn(move || drop(old_entry));
        registry.join("room", &new);
        is_shared.store(true, Ordering::SeqCst);
        ends.join().expect("no panic");
        assert!(registry.group("room").contains(&new));
        assert!(is_shared.load(Ordering::SeqCst), "released under a member");
    });
}
