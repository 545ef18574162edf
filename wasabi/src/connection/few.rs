//! Queues that are empty in most connections.

use std::collections::VecDeque;

/// A queue that takes one word until it is first used. It keeps its memory until [`give_back`](Self::give_back).
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "a word instead of four")]
pub(crate) struct Few<T>(Option<Box<VecDeque<T>>>);

impl<T> Few<T> {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|queue| queue.iter())
    }

    /// The queue itself, made if there is none.
    pub(crate) fn made(&mut self) -> &mut VecDeque<T> {
        self.0.get_or_insert_default()
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        self.0.as_mut()?.pop_front()
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.0.iter_mut().flat_map(|queue| queue.drain(..))
    }

    /// Frees the memory that is not used.
    pub(crate) fn give_back(&mut self) {
        match &mut self.0 {
            Some(queue) if queue.is_empty() => self.0 = None,
            Some(queue) => queue.shrink_to_fit(),
            None => {}
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_takes_one_word_until_it_is_used_and_after_its_memory_was_given_back() {
        assert_eq!(size_of::<Few<String>>(), size_of::<usize>());
        let mut few = Few::new();
        assert!(few.is_empty() && few.pop_front().is_none() && few.drain().next().is_none());
        few.give_back();
        few.made().extend([1, 2, 3]);
        few.give_back();
        assert_eq!((few.len(), few.pop_front()), (3, Some(1)));
        assert!(few.iter().eq(&[2, 3]) && few.drain().eq([2, 3]));
        few.give_back();
        assert!(few.0.is_none());
    }
}
