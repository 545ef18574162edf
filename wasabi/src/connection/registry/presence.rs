//! Who is in a group, and which connections a user has, on all nodes.

use super::{
    Group, User,
    address::{ConnectionAddress, NodeId},
    asked::{Answer, Answers, Question},
    elsewhere::not_all,
    info::Member,
    listing::{MAX_PAGE, Of},
};
use crate::Error;

/// A part of a long list: so many entries, after this one.
///
/// ```
/// use wasabi::Page;
///
/// let page = Page::of(20);
/// assert_eq!(Page::default(), Page::of(100));
/// # drop(page);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    after: Option<ConnectionAddress>,
    limit: usize,
}

impl Page {
    /// The first entries, at most this many: from 1 to 1000. Other numbers count as the nearest of these.
    pub fn of(limit: usize) -> Self {
        Self {
            after: None,
            limit: limit.clamp(1, MAX_PAGE),
        }
    }

    /// The entries after this one. It need not be there any more.
    #[must_use]
    pub fn after(self, address: ConnectionAddress) -> Self {
        Self {
            after: Some(address),
            ..self
        }
    }

    /// The entry that it begins after.
    pub(crate) fn begins_after(&self) -> Option<ConnectionAddress> {
        self.after
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::of(100)
    }
}

/// Who is there, on all nodes: a page of the members of a group, or of the connections of a user.
#[derive(Debug)]
#[must_use = "`elsewhere` says whether all nodes have answered"]
#[non_exhaustive]
pub struct Presence {
    /// The members, in the order of their addresses.
    pub members: Vec<Member>,
    /// How many there are on the nodes that have answered.
    pub total: usize,
    /// The next page, if there are more. A page may have fewer entries than it was asked for, and still a next one.
    pub next: Option<Page>,
    /// The nodes that have not answered in time. Their members are missing.
    pub silent: Vec<NodeId>,
    /// An error if members on other nodes may be missing:
    /// * `upstream_lost`: the [`silent`](Self::silent) nodes have not answered within a second.
    /// * `upstream_unreachable`: for a second there was no connection to the engine.
    /// * `overloaded`: too many questions to other nodes are open.
    pub elsewhere: Result<(), Error>,
}

impl Group {
    /// Asks all nodes who is in the group, and returns a page of the members.
    ///
    /// Each node answers for its own connections at the moment when it is asked. Nothing is stored at the engine: members
    /// cost nothing while nobody asks, and those of a node that has died are in no answer. A node that does not answer
    /// within a second is named in [`Presence::silent`], and is not waited for again until it is heard of. A node that was
    /// not heard of for 10 s is gone.
    ///
    /// ```
    /// use wasabi::{Page, prelude::*};
    ///
    /// /// The names of all who are in a room, however many.
    /// async fn names(registry: &Registry, room: &str) -> Result<Vec<String>> {
    ///     let (mut names, mut next) = (Vec::new(), Some(Page::of(1000)));
    ///     while let Some(page) = next {
    ///         let present = registry.group(room).presence(page).await;
    ///         present.elsewhere?;
    ///         names.extend(present.members.into_iter().filter_map(|member| member.user));
    ///         next = present.next;
    ///     }
    ///     Ok(names)
    /// }
    /// # drop(names);
    /// ```
    pub async fn presence(&self, page: Page) -> Presence {
        let question = asks(Of::Group(self.name.to_string()), &page);
        merged(self.registry.ask_all(question).await, page.limit)
    }
}

impl User {
    /// Asks all nodes for the connections of the user, as [`Group::presence`] does for a group.
    pub async fn presence(&self, page: Page) -> Presence {
        let question = asks(Of::User(self.name.to_string()), &page);
        merged(self.registry.ask_all(question).await, page.limit)
    }
}

fn asks(of: Of, page: &Page) -> Question {
    Question::Members {
        of,
        after: page.after,
        limit: page.limit,
    }
}

/// Puts the answers of nodes, in their order, together.
fn merged(answers: Answers, limit: usize) -> Presence {
    let mut all = Presence {
        members: Vec::new(),
        total: 0,
        next: None,
        silent: answers.silent,
        elsewhere: answers.elsewhere,
    };
    let next = |after| Some(Page::of(limit).after(after));
    for (node, answer) in answers.answers {
        let Answer::Members {
            total,
            members,
            more_after,
        } = answer
        else {
            all.silent.push(node);
            all.elsewhere = Err(not_all());
            continue;
        };
        all.total += total;
        for member in members {
            if all.next.is_some() {
                break;
            }
            match all.members.last() {
                Some(last) if all.members.len() == limit => all.next = next(last.address),
                _ => all.members.push(member),
            }
        }
        // What comes after that is for another page, and so are all nodes behind.
        if all.next.is_none() {
            all.next = more_after.and_then(next);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConnectionId;

    /// Nodes with the connections 0.. of these numbers.
    fn nodes(sizes: &[u64]) -> Vec<(NodeId, Vec<ConnectionAddress>)> {
        let node = |(at, size): (usize, &u64)| {
            let node = NodeId::from_bytes([at as u8; 16]);
            let ids = 0..*size;
            let addresses = ids.map(|id| ConnectionAddress::new(node, ConnectionId(id)));
            (node, addresses.collect())
        };
        sizes.iter().enumerate().map(node).collect()
    }

    /// What they answer, each with no more than `most` members at once.
    fn answers(nodes: &[(NodeId, Vec<ConnectionAddress>)], page: &Page, most: usize) -> Answers {
        let of = |addresses: &Vec<ConnectionAddress>| {
            let after = addresses.iter().filter(|at| Some(**at) > page.after);
            let listed: Vec<_> = after.clone().take(page.limit.min(most)).copied().collect();
            Answer::Members {
                total: addresses.len(),
                more_after: (after.count() > listed.len()).then(|| listed[listed.len() - 1]),
                members: (listed.iter().map(|at| Member::new(*at, None, None))).collect(),
            }
        };
        Answers {
            answers: nodes.iter().map(|(node, all)| (*node, of(all))).collect(),
            silent: Vec::new(),
            elsewhere: Ok(()),
        }
    }

    #[test]
    fn pages_have_every_member_once_and_in_order() {
        for sizes in [&[][..], &[0], &[3], &[5, 0, 7], &[1, 1, 1, 1], &[4, 4]] {
            let nodes = nodes(sizes);
            let all: Vec<_> = nodes.iter().flat_map(|(_, all)| all).copied().collect();
            for limit in 1..=all.len() + 1 {
                for most in 1..=limit {
                    let (mut seen, mut next) = (Vec::new(), Some(Page::of(limit)));
                    while let Some(page) = next {
                        let present = merged(answers(&nodes, &page, most), limit);
                        assert_eq!(present.total, all.len());
                        assert!(present.members.len() <= limit);
                        seen.extend(present.members.iter().map(|member| member.address));
                        next = present.next;
                    }
                    assert_eq!(seen, all, "{sizes:?}, pages of {limit}, {most} at once");
                }
            }
        }
    }
}
