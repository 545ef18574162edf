//! A timer with a moving deadline.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Sleep, sleep_until};

use crate::time::Moment;

/// Enters tokio's timer wheel only when first needed.
#[derive(Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once this deadline has passed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Moment) -> Poll<()> {
        let deadline = deadline.instant();
        let timer = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // A timer that fires early costs one wake-up; moving it for each message would cost more.
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

    /// Whether the timer will wake its last poller by this deadline.
    pub(crate) fn wakes_by(&self, deadline: Moment) -> bool {
        let deadline = deadline.instant();
        let timer = self.0.as_ref();
        timer.is_some_and(|timer| timer.deadline() <= deadline && !timer.is_elapsed())
    }
}
