//! How much a connection does before others have their turn.
//!
//! Messages say little about that: one may be parsed in a tenth of a microsecond or in two milliseconds. So what is done
//! is counted in bytes, wherever it is done, and the clock is looked at now and then: the more seldom, the faster it goes.

use std::{
    cell::Cell,
    pin::pin,
    task::{Context, Waker},
    time::{Duration, Instant},
};

/// What is done for each message beside its bytes, in bytes that cost about as much.
pub(crate) const EACH: usize = 512;

/// A turn ends after so many bytes: of 64 of them, about 150 messages.
const MOST: usize = 256 * 1024;

/// A turn ends after so long. A message that is being looked at then comes to its end.
const LONG: Duration = Duration::from_millis(1);

/// Between two looks at the clock, until it is known how fast it goes: four small messages.
const FIRST: usize = 4 * 3 * EACH;

/// Between two looks at the clock, when it goes fast.
const CHUNK: usize = 32 * 1024;

thread_local! {
    /// Until the next look at the clock; less than nothing when more was done at once.
    static LEFT: Cell<isize> = const { Cell::new(FIRST as isize) };
    static TURN: Cell<Turn> = const { Cell::new(Turn::BEGIN) };
}

#[derive(Clone, Copy)]
struct Turn {
    /// Bytes up to the next look.
    until: usize,
    /// When the clock was looked at first.
    since: Option<Instant>,
    is_over: bool,
}

impl Turn {
    const BEGIN: Self = Self {
        until: FIRST,
        since: None,
        is_over: false,
    };
}

/// The turn of a connection begins on this thread.
pub(crate) fn begin() {
    LEFT.set(FIRST as isize);
    TURN.set(Turn::BEGIN);
}

/// So much has been done.
#[inline(always)]
pub(crate) fn spend(bytes: usize) {
    LEFT.set(LEFT.get().wrapping_sub_unsigned(bytes));
}

/// Whether it is the turn of others, from now on. Whoever asks has done something before, and goes on with it in the
/// next turn.
#[inline(always)]
pub(crate) fn is_over() -> bool {
    LEFT.get() <= 0 && look()
}

#[cold]
#[inline(never)]
fn look() -> bool {
    let mut turn = TURN.get();
    if turn.is_over {
        return true;
    }
    let spent = turn.until.saturating_add(LEFT.get().unsigned_abs());
    let now = Instant::now();
    let took = now - *turn.since.get_or_insert(now);
    turn.is_over = spent >= MOST || took >= LONG;
    let chunk = if took.is_zero() || took >= LONG / 4 {
        FIRST
    } else if took >= LONG / 16 {
        4 * FIRST
    } else {
        CHUNK
    };
    turn.until = spent + chunk;
    TURN.set(turn);
    LEFT.set(if turn.is_over { 0 } else { chunk as isize });
    turn.is_over
}

/// Has a task woken when the runtime has looked at its sockets and timers. A task that wakes itself comes back before
/// that, and a few of them keep a runtime from it for as long as 61 of their turns take.
pub(crate) fn come_back(task: &Waker) {
    if cfg!(fuzzing) {
        // There it is polled by hand, within one turn of the runtime.
        return task.wake_by_ref();
    }
    let _ = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(task));
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn a_turn_ends_after_so_many_bytes_however_fast() {
        begin();
        let mut turn = 0;
        while !is_over() && turn < 1000 {
            spend(2 * EACH + 100);
            turn += 1;
        }
        assert!((100..300).contains(&turn), "{turn} messages");
        assert!(is_over());
        begin();
        assert!(!is_over());
    }

    #[test]
    fn a_turn_of_messages_that_take_long_ends_after_a_few() {
        begin();
        let mut turn = 0;
        while !is_over() && turn < 1000 {
            sleep(LONG);
            spend(2 * EACH);
            turn += 1;
        }
        assert!(turn <= 12, "{turn} messages");
    }

    #[test]
    fn a_turn_that_is_over_stays_so() {
        begin();
        spend(MOST);
        assert!(is_over());
        assert!(is_over());
        spend(1);
        assert!(is_over());
    }

    #[test]
    fn one_large_message_more_is_looked_at_when_the_first_took_long() {
        begin();
        spend(CHUNK);
        assert!(!is_over());
        sleep(LONG);
        spend(CHUNK);
        assert!(is_over());
    }
}
