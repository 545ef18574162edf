//! The queue of logins that wait for a thread to verify their password.
//!
//! It differs from `crate::turns`, where the connections of clients take turns: these clients are not authenticated and
//! known only by their address, and in a full queue the address with the most logins loses one.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::oneshot;

use crate::sync::Unpoisoned;

/// A number of threads, and a bounded queue in which every client has its own line. The lines are served in turn, so a
/// client waits for one login of each other client and never for all of them.
#[derive(Clone)]
pub(super) struct LoginQueue(Arc<Mutex<LoginLines>>);

/// The unit of fairness; all clients without an address are one.
type Client = Option<IpAddr>;

struct LoginLines {
    places: usize,
    taken: usize,
    max_waiting: usize,
    waiting: usize,
    lines: HashMap<Client, VecDeque<oneshot::Sender<LoginPlace>>>,
    /// Each client with a line, once.
    order: VecDeque<Client>,
}

/// A place; dropping it passes it to the next client.
pub(super) struct LoginPlace(Option<LoginQueue>);

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl LoginQueue {
    pub(super) fn new(places: usize, max_waiting: usize) -> Self {
        Self(Arc::new(Mutex::new(LoginLines {
            places,
            taken: 0,
            max_waiting,
            waiting: 0,
            lines: HashMap::new(),
            order: VecDeque::new(),
        })))
    }

    /// The number of places, and the maximum number of waiting logins.
    pub(super) fn limits(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.places, inner.max_waiting)
    }

    pub(super) fn set_places(&self, places: usize) {
        self.lock().places = places;
    }

    pub(super) fn set_max_waiting(&self, waiting: usize) {
        self.lock().max_waiting = waiting;
    }

    /// Waits for a place. When the queue is full, the client with the longest line loses its last place in it: the one
    /// that asks, unless another has more.
    pub(super) async fn take(&self, client: Client) -> Result<LoginPlace, Full> {
        let turn = {
            let mut inner = self.lock();
            if inner.taken < inner.places && inner.waiting == 0 {
                inner.taken += 1;
                return Ok(LoginPlace(Some(self.clone())));
            }
            inner.enqueue(client)?
        };
        turn.await.map_err(|_| Full)
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// No code that holds this lock panics halfway.
    fn lock(&self) -> MutexGuard<'_, LoginLines> {
        self.0.lock().unpoisoned()
    }
}

impl LoginLines {
    fn enqueue(&mut self, client: Client) -> Result<oneshot::Receiver<LoginPlace>, Full> {
        if self.waiting >= self.max_waiting {
            self.forget_those_who_left();
        }
        if self.waiting >= self.max_waiting {
            let own = self.lines.get(&client).map_or(0, VecDeque::len);
            let longest = self
                .lines
                .iter()
                .max_by_key(|(_, line)| line.len())
                .filter(|(_, line)| line.len() > own + 1)
                .map(|(client, _)| *client);
            // Dropping the sender tells the last one in that line that there is no place.
            let last = longest.and_then(|client| self.lines.get_mut(&client)?.pop_back());
            match last {
                Some(_) => self.waiting -= 1,
                None => return Err(Full),
            }
        }
        let (tell, turn) = oneshot::channel();
        let line = self.lines.entry(client).or_default();
        if line.is_empty() {
            self.order.push_back(client);
        }
        line.push_back(tell);
        self.waiting += 1;
        Ok(turn)
    }

    /// Takes the next waiting login of the client whose turn it is.
    fn next(&mut self) -> Option<oneshot::Sender<LoginPlace>> {
        while let Some(client) = self.order.pop_front() {
            let Some(line) = self.lines.get_mut(&client) else {
                continue;
            };
            let next = line.pop_front();
            match line.is_empty() {
                true => drop(self.lines.remove(&client)),
                false => self.order.push_back(client),
            }
            if let Some(next) = next {
                self.waiting -= 1;
                return Some(next);
            }
        }
        None
    }

    fn forget_those_who_left(&mut self) {
        for line in self.lines.values_mut() {
            line.retain(|tell| !tell.is_closed());
        }
        self.lines.retain(|_, line| !line.is_empty());
        let lines = &self.lines;
        self.order.retain(|client| lines.contains_key(client));
        self.waiting = self.lines.values().map(VecDeque::len).sum();
    }
}

impl Drop for LoginPlace {
    fn drop(&mut self) {
        let Some(queue) = self.0.take() else { return };
        loop {
            let next = {
                let mut inner = queue.lock();
                let next = match inner.taken <= inner.places {
                    true => inner.next(),
                    false => None, // the number of places was reduced
                };
                if next.is_none() {
                    inner.taken -= 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(LoginPlace(Some(queue.clone()))) {
                Ok(()) => return,
                // The receiver has left: this call still has to pass the place on.
                Err(mut unused) => unused.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::join_all};

    use super::*;

    fn client(last: u8) -> Client {
        Some([192, 0, 2, last].into())
    }

    #[tokio::test]
    async fn clients_take_turns_however_many_logins_each_has() {
        let queue = LoginQueue::new(1, 100);
        let first = queue.take(client(1)).await.expect("free");
        let order = Mutex::new(Vec::new());
        let many = [1, 1, 1, 1, 2, 1, 3, 2].map(|last| {
            let (queue, order) = (&queue, &order);
            async move {
                let place = queue.take(client(last)).await.expect("a turn");
                order.lock().expect("no panic").push(last);
                tokio::task::yield_now().await;
                drop(place);
            }
        });
        let all = join_all(many);
        let release = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        tokio::join!(all, release);
        assert_eq!(
            order.into_inner().expect("no panic"),
            [1, 2, 3, 1, 2, 1, 1, 1]
        );
    }

    #[tokio::test]
    async fn a_full_queue_refuses_the_client_that_has_most_in_it() {
        let queue = LoginQueue::new(1, 4);
        let place = queue.take(client(1)).await.expect("free");
        let mut many: Vec<_> = (0..4).map(|_| Box::pin(queue.take(client(1)))).collect();
        for turn in &mut many {
            assert!(turn.as_mut().now_or_never().is_none());
        }
        assert_eq!(queue.take(client(1)).await.err(), Some(Full));
        let mut other = Box::pin(queue.take(client(2)));
        assert!(other.as_mut().now_or_never().is_none());
        assert_eq!(
            many[3].as_mut().now_or_never().map(|turn| turn.err()),
            Some(Some(Full))
        );
        assert_eq!(queue.waiting(), 4);
        drop(place);
        let place = many[0].as_mut().now_or_never().expect("its turn");
        drop(place);
        assert!(other.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn places_of_clients_that_leave_go_to_others() {
        let queue = LoginQueue::new(1, 2);
        let place = queue.take(client(1)).await.expect("free");
        for _ in 0..10 {
            let mut leaves = Box::pin(queue.take(client(2)));
            assert!(leaves.as_mut().now_or_never().is_none());
        }
        let mut given = Box::pin(queue.take(client(2)));
        let mut last = Box::pin(queue.take(client(3)));
        assert!(given.as_mut().now_or_never().is_none());
        assert!(last.as_mut().now_or_never().is_none());
        drop(place);
        // It gets its turn, and leaves before it notices.
        drop(given);
        assert!(
            last.as_mut()
                .now_or_never()
                .is_some_and(|turn| turn.is_ok())
        );
        assert!(
            queue
                .take(client(1))
                .now_or_never()
                .is_some_and(|turn| turn.is_ok())
        );
        assert_eq!(queue.waiting(), 0);
    }
}
