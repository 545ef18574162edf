//! The history of all kept groups, as far as this gateway holds it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{KeptMessage, Message, Position};

/// The bytes of all messages.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// What a message counts for beside its bytes.
const OVERHEAD: usize = 128;
/// The groups without messages that are remembered, so that whoever has their last message has missed nothing.
const MAX_IDLE: usize = 10_000;
/// How many messages a member is given at once.
const PAGE: usize = 64;

/// The messages of a feed, numbered as they came.
pub(super) struct Log {
    entries: VecDeque<Logged>,
    /// The number of the first entry.
    first: u64,
    bytes: usize,
    groups: HashMap<Arc<str>, Group>,
    idle: VecDeque<Arc<str>>,
    /// Of groups that are not remembered, messages up to this number may be missing.
    floor: u64,
    last: Option<Position>,
    /// The engine has lost messages before the entry with this number; 0 if it has lost none.
    hole: u64,
    /// The position of that entry, once it is there.
    hole_at: Option<Position>,
    /// Whether it is complete up to what the engine had.
    is_ready: bool,
    /// How long messages of any group are kept.
    age: Duration,
}

struct Logged {
    position: Position,
    group: Arc<str>,
    /// `None` once the group has more or newer messages than it keeps.
    message: Option<Message>,
    at: Instant,
}

impl Logged {
    fn bytes(&self) -> usize {
        OVERHEAD + self.message.as_ref().map_or(0, Message::len)
    }
}

struct Group {
    /// Of its messages, in order.
    numbers: VecDeque<u64>,
    last: Position,
    /// The number of the last one that is gone; 0 if none is.
    gone: u64,
    /// And its position, if it is remembered.
    gone_at: Option<Position>,
}

impl Group {
    /// Its first message is gone. Returns whether it was the last one.
    fn lose_first(&mut self, position: Position) -> bool {
        if let Some(number) = self.numbers.pop_front() {
            (self.gone, self.gone_at) = (number, Some(position));
        }
        self.numbers.is_empty()
    }
}

/// The limits of one group.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) size: usize,
    pub(super) ttl: Duration,
}

/// What a client has missed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// So many messages, after the one with this number.
    Since { number: u64, count: usize },
    /// Messages after the one with this number that the engine has lost; others after it are there.
    Lost { number: u64 },
    /// Nobody knows.
    Unknown,
    /// The gateway has not seen this position yet, or the engine has lost it.
    Ahead,
}

/// Messages of a group, with their numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Messages {
    /// In order; none if there are no more.
    Next(Vec<(u64, Message)>),
    /// The next ones are gone.
    Gone,
}

impl Log {
    pub(super) fn new(age: Duration) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 1,
            bytes: 0,
            groups: HashMap::new(),
            idle: VecDeque::new(),
            floor: 0,
            last: None,
            hole: 0,
            hole_at: None,
            is_ready: false,
            age,
        }
    }

    /// Sets how long messages of any group are kept.
    pub(super) fn keep_for(&mut self, age: Duration) {
        self.age = age;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub(super) fn set_ready(&mut self) {
        self.is_ready = true;
    }

    /// The position of the last entry.
    pub(super) fn last(&self) -> Option<Position> {
        self.last
    }

    /// The number of the last entry.
    pub(super) fn newest(&self) -> u64 {
        self.next() - 1
    }

    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Where somebody is who has everything of a group.
    pub(super) fn position_of(&self, group: &str) -> Option<Position> {
        let last = self.groups.get(group).map(|group| group.last);
        last.or(self.last).max(self.hole_at)
    }

    /// The engine has lost messages before the next entry.
    pub(super) fn lose_before_next(&mut self) {
        (self.hole, self.hole_at) = (self.next(), None);
    }

    /// The engine has lost messages before the last entry.
    pub(super) fn lose_before_last(&mut self) {
        (self.hole, self.hole_at) = (self.newest(), self.last);
    }

    /// Appends an entry that was stored at this time, and returns its number. One without a message only has a position.
    pub(super) fn append(
        &mut self,
        group: &Arc<str>,
        position: Position,
        message: Option<(Message, Limits)>,
        at: Instant,
    ) -> u64 {
        let number = self.next();
        let (message, limits) = message.unzip();
        let logged = Logged {
            position,
            group: Arc::clone(group),
            message,
            at,
        };
        self.bytes += logged.bytes();
        self.entries.push_back(logged);
        self.last = Some(position);
        if number == self.hole {
            self.hole_at = Some(position);
        }
        if let Some(limits) = limits {
            let floor = self.floor;
            let own = self.groups.entry(Arc::clone(group));
            let own = own.or_insert_with(|| Group {
                numbers: VecDeque::new(),
                last: position,
                gone: floor,
                gone_at: None,
            });
            own.numbers.push_back(number);
            own.last = position;
            self.trim_group(group, limits);
        }
        self.trim();
        number
    }

    /// Removes what a group keeps no longer.
    pub(super) fn trim_group(&mut self, group: &str, limits: Limits) {
        let now = Instant::now();
        let Some(own) = self.groups.get_mut(group) else {
            return;
        };
        while let Some(&number) = own.numbers.front() {
            let logged = &mut self.entries[(number - self.first) as usize];
            let is_old = now.duration_since(logged.at) > limits.ttl;
            if own.numbers.len() <= limits.size && !is_old {
                return;
            }
            self.bytes -= logged.bytes();
            logged.message = None;
            self.bytes += logged.bytes();
            if own.lose_first(logged.position) {
                self.idle.push_back(Arc::clone(&logged.group));
            }
        }
    }

    /// Removes entries that are too old or too many.
    pub(super) fn trim(&mut self) {
        let now = Instant::now();
        while let Some(oldest) = self.entries.front()
            && (self.bytes > MAX_BYTES || now.duration_since(oldest.at) > self.age)
        {
            self.remove_oldest();
        }
        while self.idle.len() > MAX_IDLE {
            self.forget_idle();
        }
    }

    fn remove_oldest(&mut self) {
        let Some(oldest) = self.entries.pop_front() else {
            return;
        };
        let number = self.first;
        self.first += 1;
        self.bytes -= oldest.bytes();
        if let Some(own) = self.groups.get_mut(&oldest.group)
            && own.numbers.front() == Some(&number)
            && own.lose_first(oldest.position)
        {
            self.idle.push_back(oldest.group);
        }
        if self.entries.is_empty() {
            // Frees the memory of a burst.
            self.entries = VecDeque::new();
        }
    }

    fn forget_idle(&mut self) {
        let Some(name) = self.idle.pop_front() else {
            return;
        };
        if let Some(group) = self.groups.get(&name)
            && group.numbers.is_empty()
        {
            self.floor = self.floor.max(group.gone);
            self.groups.remove(&name);
        }
    }

    /// Forgets everything: the engine has lost messages. Numbers go on.
    pub(super) fn reset(&mut self) {
        let newest = self.newest();
        *self = Self {
            first: newest + 1,
            floor: newest,
            ..Self::new(self.age)
        };
    }

    fn gone(&self, group: &str) -> u64 {
        let own = self.groups.get(group);
        own.map_or(self.floor, |own| own.gone)
    }

    /// What somebody has missed of a group since a position.
    pub(super) fn missed(&self, group: &str, since: Position) -> Missed {
        if self.last.is_none_or(|last| since > last) {
            return Missed::Ahead;
        }
        let own = self.groups.get(group);
        let found = self
            .entries
            .binary_search_by_key(&since, |logged| logged.position);
        let number = match found {
            Ok(at) => self.first + at as u64,
            // Whoever has the last entry, or the last message that is gone, needs none before it.
            Err(_) if self.last == Some(since) => self.newest(),
            Err(_) if self.hole_at == Some(since) => self.hole,
            Err(_) => match own {
                Some(own) if own.gone_at == Some(since) => own.gone,
                _ => return Missed::Unknown,
            },
        };
        if self.gone(group) > number {
            return Missed::Unknown;
        }
        if number < self.hole {
            return Missed::Lost { number };
        }
        let count = own.map_or(0, |own| {
            own.numbers.len() - own.numbers.partition_point(|own| *own <= number)
        });
        Missed::Since { number, count }
    }

    /// Some messages of a group after the one with this number.
    pub(super) fn after(&self, group: &str, number: u64) -> Messages {
        if self.gone(group) > number {
            return Messages::Gone;
        }
        let Some(own) = self.groups.get(group) else {
            return Messages::Next(Vec::new());
        };
        let from = own.numbers.partition_point(|own| *own <= number);
        let next = own
            .numbers
            .range(from..)
            .take(PAGE)
            .filter_map(|number| Some((*number, self.logged(*number)?.message.clone()?)));
        Messages::Next(next.collect())
    }

    /// The position of the first message of a group.
    pub(super) fn first_of(&self, group: &str) -> Option<Position> {
        let number = self.groups.get(group)?.numbers.front()?;
        Some(self.logged(*number)?.position)
    }

    /// The messages of a group after the one with this number: so many, but not of more bytes than this, unless the first
    /// one has; and whether there are more.
    pub(super) fn page(
        &self,
        group: &str,
        number: u64,
        limit: usize,
        bytes: usize,
    ) -> (Vec<KeptMessage>, bool) {
        let Some(own) = self.groups.get(group) else {
            return (Vec::new(), false);
        };
        let from = own.numbers.partition_point(|own| *own <= number);
        let (mut page, mut size) = (Vec::new(), 0);
        for number in own.numbers.range(from..) {
            let Some(logged) = self.logged(*number) else {
                continue;
            };
            let Some(message) = &logged.message else {
                continue;
            };
            size += message.len();
            if page.len() == limit || (size > bytes && !page.is_empty()) {
                return (page, true);
            }
            page.push(KeptMessage::new(logged.position, message.clone()));
        }
        (page, false)
    }

    fn logged(&self, number: u64) -> Option<&Logged> {
        self.entries.get(number.checked_sub(self.first)? as usize)
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.bytes, self.groups.len(), self.idle.len())
    }
}
