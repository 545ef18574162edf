//! A timer whose deadline moves.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// One that was never needed has no place in tokio's wheel.
#[derive(Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready when this deadline has come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // A timer that fires too early costs one wake-up; moving it for every message would cost more.
        if timer.deadline() > deadline || timer.is_elapsed() {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Whether it wakes who polled it last, before this deadline or then.
    pub(crate) fn wakes_by(&self, deadline: Instant) -> bool {
        let timer = self.0.as_ref();
        timer.is_some_and(|timer| timer.deadline() <= deadline && !timer.is_elapsed())
    }
}
