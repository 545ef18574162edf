//! The requests in flight on one connection.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock, atomic::Ordering},
    task::{Context, Poll, Wake, Waker},
};

use crate::{panics::caught, sync::AtomicU64};

/// Concurrent futures in reusable slots, each with its own waker, so that a wake-up polls one slot.
///
/// A slot is allocated when it is first needed. From then on, a message costs no allocation.
pub(crate) struct InFlight<F, T, W> {
    slots: Vec<Slot<F, T>>,
    /// The slot to take next: the one that became free last. Without a free slot, it is the one after all others.
    next: u32,
    taken: u32,
    capacity: u32,
    shared: Arc<W>,
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

/// What a task shares with the wakers of its slots.
pub(crate) trait Shared: Wake + Send + Sync + 'static {
    fn woken(&self) -> &Woken;

    fn wake_task(&self);
}

impl<F: Future, T: Tag, W: Shared> InFlight<F, T, W> {
    pub(crate) fn new(capacity: usize, shared: Arc<W>) -> Self {
        Self {
            slots: Vec::new(),
            next: 0,
            taken: 0,
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            shared,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.taken as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    pub(crate) fn has_room(&self) -> bool {
        self.taken < self.capacity
    }

    /// Takes a free slot for a future that is made later, and returns its tag to fill in. There must be room.
    #[inline(always)]
    pub(crate) fn reserve(&mut self) -> (usize, &mut T) {
        debug_assert!(self.has_room());
        let index = self.next as usize;
        if index == self.slots.len() {
            self.grow();
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
        let slot = self.slots.get_mut(index)?;
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

    pub(crate) fn shared(&self) -> &W {
        &self.shared
    }

    /// The number of words, of 64 slots each, to check.
    pub(crate) fn words(&self) -> usize {
        self.slots.len().div_ceil(64)
    }

    /// The slots of one word that were woken since their last poll, as bits. A waker that is still around after its future
    /// has ended may set any bit, even that of a slot that does not exist any more. So whoever starts a future takes the
    /// bits once more before the task waits: a bit that is set already would swallow the wake-up.
    #[inline]
    pub(crate) fn take_woken(&self, word: usize) -> u64 {
        self.shared.woken().take(word)
    }

    /// Marks slots of one word for the next turn. Does not wake the task, which knows that there is more to do.
    pub(crate) fn put_back(&self, word: usize, slots: u64) {
        if slots != 0 {
            self.shared.woken().set(word, slots);
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

    /// Frees the slots, if nothing is in flight.
    pub(crate) fn give_back(&mut self) {
        if self.is_empty() {
            self.slots = Vec::new();
            self.next = 0;
        }
    }

    /// The number of slots, taken and free.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    #[cold]
    fn grow(&mut self) {
        let index = self.slots.len();
        if index == 64 {
            self.shared.woken().make_others(self.capacity as usize);
        }
        // Most connections have one request at a time: do not reserve room for four.
        if index == self.slots.capacity() {
            self.slots.reserve_exact(index.max(1));
        }
        let shared = Arc::clone(&self.shared);
        let waker = match index {
            // Most connections have one slot: it is woken by what they share with it.
            0 => Waker::from(shared),
            _ => Waker::from(Arc::new(SlotWaker { shared, index })),
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
#[derive(Default)]
pub(crate) struct Woken {
    /// Those of the first 64 slots: few channels have a greater `concurrency`.
    first: AtomicU64,
    /// Made for the 65th slot.
    others: OnceLock<Box<[AtomicU64]>>,
}

impl Woken {
    fn make_others(&self, capacity: usize) {
        let words = 1..capacity.div_ceil(64);
        let others = || words.map(|_| AtomicU64::new(0)).collect();
        let _ = self.others.get_or_init(others);
    }

    #[inline]
    fn word(&self, word: usize) -> Option<&AtomicU64> {
        match word {
            0 => Some(&self.first),
            _ => self.others.get()?.get(word - 1),
        }
    }

    /// Sets bits of a word. Returns whether all were clear.
    fn set(&self, word: usize, bits: u64) -> bool {
        let word = self.word(word);
        word.is_some_and(|word| word.fetch_or(bits, Ordering::AcqRel) & bits == 0)
    }

    #[inline]
    fn take(&self, word: usize) -> u64 {
        // Usually no bit is set, and a load is cheaper than a swap.
        match self.word(word) {
            Some(bits) if bits.load(Ordering::Acquire) != 0 => bits.swap(0, Ordering::AcqRel),
            _ => 0,
        }
    }
}

/// Wakes a slot.
pub(crate) fn wake(shared: &impl Shared, index: usize) {
    if shared.woken().set(index / 64, 1 << (index % 64)) {
        shared.wake_task();
    }
}

/// Wakes one of the slots but the first.
struct SlotWaker<W> {
    shared: Arc<W>,
    index: usize,
}

impl<W: Shared> Wake for SlotWaker<W> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        wake(&*self.shared, self.index);
    }
}
