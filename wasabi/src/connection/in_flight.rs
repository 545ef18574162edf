//! The requests of one connection that are being answered.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Wake, Waker},
};

use crate::{
    panics::caught,
    sync::{AtomicU64, AtomicWaker},
};

/// Futures that run side by side in slots that are reused, each with a waker of its own: a wake-up polls one slot.
///
/// A slot is allocated when it is first needed. After that a message costs no allocation.
pub(crate) struct InFlight<F, T> {
    slots: Vec<Slot<F, T>>,
    free: Vec<usize>,
    capacity: usize,
    ready: Option<Arc<ReadySet>>,
}

struct Slot<F, T> {
    future: Pin<Box<Option<F>>>,
    is_taken: bool,
    tag: T,
    waker: Waker,
}

/// What belongs to a future. It is filled in and cleared in its place, and never moved.
pub(crate) trait Tag: Default {
    /// Lets go of what it has, when the slot is free again.
    fn clear(&mut self);
}

impl<F: Future, T: Tag> InFlight<F, T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            capacity,
            ready: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn has_room(&self) -> bool {
        self.len() < self.capacity
    }

    /// Takes a free slot for a future that is still to be made, and returns its tag to be filled in. There must be room.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, task: &Waker) -> (usize, &mut T) {
        debug_assert!(self.has_room());
        let index = self.free.pop().unwrap_or_else(|| self.grow(task));
        let slot = &mut self.slots[index];
        slot.is_taken = true;
        (index, &mut slot.tag)
    }

    /// Puts a future into a slot that has been reserved. It is made there: when the slot is known to be empty, nothing
    /// stands between making it and storing it.
    #[inline(always)]
    pub(crate) fn start(&mut self, index: usize, future: impl FnOnce() -> F) {
        let slot = &mut self.slots[index].future;
        slot.set(None);
        slot.set(Some(future()));
    }

    /// Polls one slot. A future that has ended, by a panic too, is dropped; the slot stays taken until
    /// [`release`](Self::release). `false` when it has panicked and there is no output.
    #[inline(always)]
    pub(crate) fn poll(&mut self, index: usize, polled: &mut Poll<F::Output>) -> bool {
        let Slot { future, waker, .. } = &mut self.slots[index];
        let ended = caught(|| {
            let mut cx = Context::from_waker(waker);
            if let Some(running) = future.as_mut().as_pin_mut() {
                *polled = running.poll(&mut cx);
                if polled.is_ready() {
                    // A destructor of the user's may panic; the slot is empty and there is a reply all the same.
                    future.set(None);
                }
            }
        });
        if ended.is_err() && polled.is_pending() {
            self.finish(index);
            return false;
        }
        true
    }

    pub(crate) fn waker(&self, index: usize) -> &Waker {
        &self.slots[index].waker
    }

    pub(crate) fn tag_mut(&mut self, index: usize) -> Option<&mut T> {
        let slot = &mut self.slots[index];
        slot.is_taken.then_some(&mut slot.tag)
    }

    /// Drops a future, but keeps the slot taken.
    pub(crate) fn finish(&mut self, index: usize) {
        let future = self.slots[index].future.as_mut();
        // A destructor of the user's may panic too; the slot is empty all the same.
        let _ = caught(move || {
            let mut future = future;
            future.set(None);
        });
    }

    /// Frees a slot.
    pub(crate) fn release(&mut self, index: usize) {
        self.free.push(index);
        let slot = &mut self.slots[index];
        slot.is_taken = false;
        slot.tag.clear();
    }

    /// Names the task that is woken when a slot is.
    pub(crate) fn register(&self, task: &Waker) {
        if let Some(ready) = &self.ready {
            ready.task.register(task);
        }
    }

    /// How many words of 64 slots there are to look through.
    pub(crate) fn words(&self) -> usize {
        self.slots.len().div_ceil(64)
    }

    /// The slots of one word that have been woken since they were polled, as bits.
    pub(crate) fn take_woken(&self, word: usize) -> u64 {
        self.ready.as_ref().map_or(0, |ready| ready.take(word))
    }

    /// Has slots of one word looked at in the next turn. Their task knows that there is more to do, and is not woken.
    pub(crate) fn put_back(&self, word: usize, slots: u64) {
        if slots != 0
            && let Some(ready) = &self.ready
        {
            ready.bits[word].fetch_or(slots, Ordering::AcqRel);
        }
    }

    /// Drops everything that is in flight.
    pub(crate) fn clear(&mut self) {
        for index in 0..self.slots.len() {
            if self.slots[index].is_taken {
                self.finish(index);
                self.release(index);
            }
        }
    }

    /// How many slots there are, taken or free.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    fn grow(&mut self, task: &Waker) -> usize {
        let capacity = self.capacity;
        let ready = self.ready.get_or_insert_with(|| {
            let ready = ReadySet::new(capacity);
            ready.task.register(task);
            Arc::new(ready)
        });
        let index = self.slots.len();
        // Most connections have one request at a time: no room for four.
        if index == self.slots.capacity() {
            self.slots.reserve_exact(index.max(1));
        }
        self.slots.push(Slot {
            future: Box::pin(None),
            is_taken: false,
            tag: T::default(),
            waker: Waker::from(Arc::new(SlotWaker {
                ready: Arc::clone(ready),
                index,
            })),
        });
        // Releasing a slot must not allocate.
        self.free.reserve_exact(self.slots.capacity());
        index
    }
}

/// One bit per slot: set by the slot's waker, taken by the connection's task.
struct ReadySet {
    bits: Box<[AtomicU64]>,
    task: AtomicWaker,
}

impl ReadySet {
    fn new(capacity: usize) -> Self {
        Self {
            bits: (0..capacity.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
            task: AtomicWaker::new(),
        }
    }

    fn set(&self, index: usize) {
        let (word, bit) = (&self.bits[index / 64], 1 << (index % 64));
        if word.fetch_or(bit, Ordering::AcqRel) & bit == 0 {
            self.task.wake();
        }
    }

    fn take(&self, word: usize) -> u64 {
        let bits = &self.bits[word];
        // Mostly nothing is set, and a load is cheaper than a swap.
        match bits.load(Ordering::Acquire) {
            0 => 0,
            _ => bits.swap(0, Ordering::AcqRel),
        }
    }
}

struct SlotWaker {
    ready: Arc<ReadySet>,
    index: usize,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.set(self.index);
    }
}
