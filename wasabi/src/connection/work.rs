//! How much a connection does before others have their turn.
//!
//! The number of messages says little about that: parsing one takes between a tenth of a microsecond and two
//! milliseconds. So all work is counted in bytes, wherever it is done, and the clock is read now and then: the faster
//! the work, the less often.

use std::{
    cell::Cell,
    pin::pin,
    task::{Context, Waker},
    time::{Duration, Instant},
};

/// The cost of a message beyond its bytes, as a number of bytes that cost about as much.
pub(crate) const EACH: usize = 512;

/// The cost of looking at a slot.
pub(crate) const SLOT: usize = 8;

/// A turn ends after this many bytes: about 150 messages of 64 bytes.
const MOST: usize = 256 * 1024;

/// A turn ends after this time. A message in progress is still completed.
const LONG: Duration = Duration::from_millis(1);

/// Bytes until the first reading of the clock, and between readings while work is slow: four small messages.
const FIRST: usize = 4 * 3 * EACH;

/// Bytes between readings of the clock while work is fast.
const CHUNK: usize = 32 * 1024;

thread_local! {
    /// Bytes until the next reading of the clock; negative after a larger piece of work.
    static LEFT: Cell<isize> = const { Cell::new(FIRST as isize) };
    static TURN: Cell<Turn> = const { Cell::new(Turn::BEGIN) };
}

#[derive(Clone, Copy)]
struct Turn {
    /// Bytes of the turn at the next reading of the clock.
    until: usize,
    /// The first reading of the clock.
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

/// Begins a connection's turn on this thread.
pub(crate) fn begin() {
    LEFT.set(FIRST as isize);
    TURN.set(Turn::BEGIN);
}

/// Counts work that has been done.
#[inline(always)]
pub(crate) fn spend(bytes: usize) {
    LEFT.set(LEFT.get().wrapping_sub_unsigned(bytes));
}

/// Whether the turn is over from now on. The caller has done some work before it asks, and continues in its next turn.
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

/// Wakes a task after the runtime has polled its sockets and timers. A task that wakes itself runs before that poll; a
/// few such tasks would delay the poll by 61 of their turns.
pub(crate) fn come_back(task: &Waker) {
    if cfg!(fuzzing) {
        // Polled by hand there, within one turn of the runtime.
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
