//! Requests and companions in their slots, and what wakes them.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use loom::{future::block_on, thread};

use super::super::{Connection, ConnectionState, companions::Companions, in_flight::InFlight};
use crate::{
    sync::{AtomicBool, AtomicWaker},
    testing,
};

/// A call that another thread answers: ready once `is_ready` is set, whatever woke it before.
struct Call(Arc<CallState>);

struct CallState {
    is_ready: AtomicBool,
    waker: AtomicWaker,
    answered: AtomicBool,
}

impl Call {
    fn new() -> (Self, Arc<CallState>) {
        let shared = Arc::new(CallState {
            is_ready: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            answered: AtomicBool::new(false),
        });
        (Self(Arc::clone(&shared)), shared)
    }
}

impl CallState {
    fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    fn answer(&self) {
        self.is_ready.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Future for Call {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = &self.0;
        assert!(!shared.is_answered(), "polled after its end");
        shared.waker.register(cx.waker());
        if !shared.is_ready.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        shared.answered.store(true, Ordering::Relaxed);
        Poll::Ready(())
    }
}

/// The part of a connection's task that runs its companions. They live in slots, as requests do.
fn run(connection: &Connection, companions: &mut Companions, mut is_done: impl FnMut() -> bool) {
    block_on(poll_fn(|cx| {
        companions.register(cx.waker());
        connection.outbox().register(cx.waker());
        while companions.poll(connection, cx) {}
        match is_done() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }));
}

#[test]
fn no_wake_up_of_futures_side_by_side_is_lost() {
    loom::model(|| {
        let connection = testing::connection(0, "/");
        let mut companions = Companions::new();
        let calls = [(); 2].map(|()| {
            let (call, shared) = Call::new();
            assert!(connection.accompany(Box::pin(call)));
            shared
        });
        let answers = calls
            .clone()
            .map(|call| thread::spawn(move || call.answer()));
        run(&connection, &mut companions, || {
            calls.iter().all(|call| call.is_answered())
        });
        let _ = answers.map(|answers| answers.join().expect("no panic"));
    });
}

/// The part of a connection's task that runs its requests, until all have ended. Their wake-ups go to the connection itself.
fn finish(connection: &Connection, requests: &mut InFlight<Call, (), ConnectionState>) {
    block_on(poll_fn(|cx| {
        connection.outbox().register(cx.waker());
        loop {
            let woken = requests.take_woken(0);
            if woken == 0 {
                break;
            }
            for index in (0..2).filter(|index| woken & 1 << index != 0) {
                let mut polled = Poll::Pending;
                if requests.tag_mut(index).is_some() {
                    requests.poll(index, &mut polled);
                }
                if polled.is_ready() {
                    requests.release(index);
                }
            }
        }
        match requests.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }));
}

#[test]
fn no_wake_up_of_requests_is_lost() {
    loom::model(|| {
        let connection = testing::connection(0, "/");
        let mut requests = InFlight::new(2, connection.shared());
        let answers = [(); 2].map(|()| {
            let (call, shared) = Call::new();
            let (index, ()) = requests.reserve();
            requests.start(index, || call);
            requests.waker(index).wake_by_ref();
            thread::spawn(move || shared.answer())
        });
        finish(&connection, &mut requests);
        let _ = answers.map(|answers| answers.join().expect("no panic"));
    });
}

/// The slots are freed and made anew in between.
#[test]
fn a_late_wake_up_for_an_earlier_request_swallows_none_of_a_later_one() {
    loom::model(|| {
        let connection = testing::connection(0, "/");
        let mut requests = InFlight::new(2, connection.shared());
        let ((first, one), (second, two)) = (Call::new(), Call::new());
        let (index, ()) = requests.reserve();
        requests.start(index, || first);
        let late = requests.waker(index).clone();
        late.wake_by_ref();
        let answers = thread::spawn(move || {
            one.answer();
            late.wake();
            two.answer();
        });
        finish(&connection, &mut requests);
        requests.give_back();
        let (index, ()) = requests.reserve();
        requests.start(index, || second);
        requests.waker(index).wake_by_ref();
        finish(&connection, &mut requests);
        answers.join().expect("no panic");
    });
}

#[test]
fn a_late_wake_up_for_an_earlier_future_does_no_harm_to_the_next_one_in_its_slot() {
    loom::model(|| {
        let connection = testing::connection(0, "/");
        let mut companions = Companions::new();
        let ((first, one), (second, two)) = (Call::new(), Call::new());
        // The answering thread keeps the waker of the first future and uses it late.
        let late = Arc::new(loom::sync::Mutex::new(None::<Waker>));
        let (kept, mut first) = (Arc::clone(&late), Box::pin(first));
        assert!(connection.accompany(Box::pin(poll_fn(move |cx| {
            *kept.lock().expect("no panic") = Some(cx.waker().clone());
            first.as_mut().poll(cx)
        }))));
        let answers = {
            let (one, two) = (Arc::clone(&one), Arc::clone(&two));
            thread::spawn(move || {
                one.answer();
                if let Some(waker) = &*late.lock().expect("no panic") {
                    waker.wake_by_ref();
                }
                two.answer();
            })
        };
        run(&connection, &mut companions, || one.is_answered());
        assert!(connection.accompany(Box::pin(second)));
        run(&connection, &mut companions, || two.is_answered());
        answers.join().expect("no panic");
    });
}

#[test]
fn a_companion_that_is_added_is_run() {
    loom::model(|| {
        let connection = testing::connection(0, "/");
        let adds = [(); 2].map(|()| {
            let connection = connection.clone();
            thread::spawn(move || assert!(connection.accompany(Box::pin(async {}))))
        });
        let mut taken = 0;
        block_on(poll_fn(|cx| {
            connection.outbox().register(cx.waker());
            taken += connection.take_companions().len();
            match taken {
                2 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        }));
        let _ = adds.map(|adds| adds.join().expect("no panic"));
    });
}
