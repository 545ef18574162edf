//! The requests in flight on one connection.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Wake, Waker},
};

use crate::{
    panics::caught,
    sync::{AtomicU64, AtomicWaker},
};

/// Concurrent futures in reusable slots, each with its own waker, so that a wake-up polls one slot.
///
/// A slot is allocated when it is first needed. From then on, a message costs no allocation.
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

/// The data of a future. It is filled in and cleared in place, and never moved.
pub(crate) trait Tag: Default {
    /// Releases the data when the slot becomes free.
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

    /// Takes a free slot for a future that is made later, and returns its tag to fill in. There must be room.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, task: &Waker) -> (usize, &mut T) {
        debug_assert!(self.has_room());
        let index = self.free.pop().unwrap_or_else(|| self.grow(task));
        let slot = &mut self.slots[index];
        slot.is_taken = true;
        (index, &mut slot.tag)
    }

    /// Makes a future in a reserved slot. The slot is emptied first, so nothing has to happen between making the future
    /// and storing it.
    #[inline(always)]
    pub(crate) fn start(&mut self, index: usize, future: impl FnOnce() -> F) {
        let slot = &mut self.slots[index].future;
        slot.set(None);
        slot.set(Some(future()));
    }

    /// Polls one slot. Drops a future that has ended or panicked; the slot stays taken until
    /// [`release`](Self::release). Returns `false` if the future panicked without an output.
    #[inline(always)]
    pub(crate) fn poll(&mut self, index: usize, polled: &mut Poll<F::Output>) -> bool {
        let Slot { future, waker, .. } = &mut self.slots[index];
        let ended = caught(|| {
            let mut cx = Context::from_waker(waker);
            if let Some(running) = future.as_mut().as_pin_mut() {
                *polled = running.poll(&mut cx);
                if polled.is_ready() {
                    // A user's destructor may panic; the slot is empty and the output is kept even so.
                    future.set(None);
                }
            }
        });
        match ended {
            Ok(()) => true,
            Err(_) if polled.is_ready() => true,
            Err(_) => {
                self.finish(index);
                false
            }
        }
    }

    pub(crate) fn waker(&self, index: usize) -> &Waker {
        &self.slots[index].waker
    }

    pub(crate) fn tag_mut(&mut self, index: usize) -> Option<&mut T> {
        let slot = &mut self.slots[index];
        slot.is_taken.then_some(&mut slot.tag)
    }

    /// The first taken slot, from this one on, whose tag and waker are these.
    pub(crate) fn find(&self, from: usize, is_it: impl Fn(&T, &Waker) -> bool) -> Option<usize> {
        let slots = self.slots.iter().enumerate().skip(from);
        let mut found = slots.filter(|(_, slot)| slot.is_taken && is_it(&slot.tag, &slot.waker));
        found.next().map(|(index, _)| index)
    }

    /// Drops the future but keeps the slot.
    pub(crate) fn finish(&mut self, index: usize) {
        let future = self.slots[index].future.as_mut();
        // A user's destructor may panic here too; the slot is empty even so.
        let _ = caught(move || {
            let mut future = future;
            future.set(None);
        });
    }

    /// Frees a slot.
    #[inline(always)]
    pub(crate) fn release(&mut self, index: usize) {
        self.free.push(index);
        let slot = &mut self.slots[index];
        slot.is_taken = false;
        slot.tag.clear();
    }

    /// Sets the task to wake when a slot is woken.
    pub(crate) fn register(&self, task: &Waker) {
        if let Some(ready) = &self.ready {
            ready.task.register(task);
        }
    }

    /// The number of words, of 64 slots each, to check.
    pub(crate) fn words(&self) -> usize {
        self.slots.len().div_ceil(64)
    }

    /// The slots of one word that were woken since their last poll, as bits.
    pub(crate) fn take_woken(&self, word: usize) -> u64 {
        self.ready.as_ref().map_or(0, |ready| ready.take(word))
    }

    /// Marks slots of one word for the next turn. Does not wake the task, which knows that there is more to do.
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

    /// Frees the slots, if nothing is in flight. Wakers that are still around wake nothing any more.
    pub(crate) fn give_back(&mut self) {
        if self.is_empty() {
            *self = Self::new(self.capacity);
        }
    }

    /// The number of slots, taken and free.
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
        // Most connections have one request at a time: do not reserve room for four.
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
        // Usually no bit is set, and a load is cheaper than a swap.
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
