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
    /// The slot to take next: the one that became free last. Without a free slot, it is the one after all others.
    next: u32,
    taken: u32,
    capacity: usize,
    ready: Option<Arc<ReadySet>>,
}

struct Slot<F, T> {
    future: Pin<Box<Option<F>>>,
    tag: T,
    waker: Waker,
    is_taken: bool,
    /// The slot to take after this one, while it is free.
    then: u32,
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
            next: 0,
            taken: 0,
            capacity: capacity.min(u32::MAX as usize),
            ready: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.taken as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    pub(crate) fn has_room(&self) -> bool {
        self.len() < self.capacity
    }

    /// Takes a free slot for a future that is made later, and returns its tag to fill in. There must be room.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, task: &Waker) -> (usize, &mut T) {
        debug_assert!(self.has_room());
        let index = self.next as usize;
        if index == self.slots.len() {
            self.grow(task);
        }
        let slot = &mut self.slots[index];
        slot.is_taken = true;
        self.next = slot.then;
        self.taken += 1;
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
        let slot = &mut self.slots[index];
        slot.is_taken = false;
        slot.then = self.next;
        self.next = index as u32;
        self.taken -= 1;
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
            ready.word(word).fetch_or(slots, Ordering::AcqRel);
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

    #[cold]
    fn grow(&mut self, task: &Waker) {
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
        let ready = Arc::clone(ready);
        let waker = match index {
            0 => Waker::from(ready),
            _ => Waker::from(Arc::new(SlotWaker { ready, index })),
        };
        self.slots.push(Slot {
            future: Box::pin(None),
            tag: T::default(),
            waker,
            is_taken: false,
            then: index as u32 + 1,
        });
    }
}

/// One bit per slot: set by the slot's waker, taken by the connection's task.
struct ReadySet {
    /// Those of the first 64 slots: few channels have a greater `concurrency`.
    first: AtomicU64,
    others: Box<[AtomicU64]>,
    task: AtomicWaker,
}

impl ReadySet {
    fn new(capacity: usize) -> Self {
        Self {
            first: AtomicU64::new(0),
            others: (1..capacity.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
            task: AtomicWaker::new(),
        }
    }

    #[inline]
    fn word(&self, word: usize) -> &AtomicU64 {
        match word {
            0 => &self.first,
            _ => &self.others[word - 1],
        }
    }

    fn set(&self, index: usize) {
        let (word, bit) = (self.word(index / 64), 1 << (index % 64));
        if word.fetch_or(bit, Ordering::AcqRel) & bit == 0 {
            self.task.wake();
        }
    }

    fn take(&self, word: usize) -> u64 {
        let bits = self.word(word);
        // Usually no bit is set, and a load is cheaper than a swap.
        match bits.load(Ordering::Acquire) {
            0 => 0,
            _ => bits.swap(0, Ordering::AcqRel),
        }
    }
}

/// Most connections have one slot: it is woken by the set itself.
impl Wake for ReadySet {
    fn wake(self: Arc<Self>) {
        self.set(0);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set(0);
    }
}

/// Wakes one of the other slots.
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
