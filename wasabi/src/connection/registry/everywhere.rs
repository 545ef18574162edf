//! What concerns all nodes at once: the connections of a user, groups, and the nodes themselves.

use std::collections::BTreeMap;

use super::{
    Registry, User,
    address::NodeId,
    asked::{Answer, Answers, Question},
    elsewhere::not_all,
    info::{GroupSize, NodeInfo},
    listing::MAX_PAGE,
};
use crate::{Close, Error};

/// What was done on all nodes.
#[derive(Debug)]
#[must_use = "`elsewhere` says whether all nodes have answered"]
#[non_exhaustive]
pub struct Everywhere {
    /// The number of connections that it was done to.
    pub connections: usize,
    /// The nodes that have not answered in time, and may have done it.
    pub silent: Vec<NodeId>,
    /// An error if it may not be done on other nodes; the errors are those of
    /// [`Presence::elsewhere`](super::Presence::elsewhere).
    pub elsewhere: Result<(), Error>,
}

/// The nodes of a cluster.
#[derive(Debug)]
#[must_use = "`elsewhere` says whether all nodes have answered"]
#[non_exhaustive]
pub struct NodeList {
    /// The nodes, this one among them.
    pub nodes: Vec<NodeInfo>,
    /// The nodes that have not answered in time.
    pub silent: Vec<NodeId>,
    /// An error if other nodes may be missing; the errors are those of
    /// [`Presence::elsewhere`](super::Presence::elsewhere).
    pub elsewhere: Result<(), Error>,
}

/// A page of groups.
pub(crate) struct GroupList {
    pub(crate) groups: Vec<GroupSize>,
    /// The group that the next page comes after.
    pub(crate) next: Option<String>,
    pub(crate) silent: Vec<NodeId>,
    pub(crate) elsewhere: Result<(), Error>,
}

impl User {
    /// Puts the connections that the user has now, on all nodes, into a group. Counts those that are members now, whether
    /// or not they were before; a connection that has reached its limit on groups is none of them.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// async fn invited(registry: &Registry, user: &str, room: &str) -> Result<()> {
    ///     registry.user(user).join(room).await.elsewhere
    /// }
    /// # drop(invited);
    /// ```
    pub async fn join(&self, group: impl Into<String>) -> Everywhere {
        let (user, group) = (self.name.to_string(), group.into());
        self.change(Question::Join { user, group }).await
    }

    /// Takes the connections of the user, on all nodes, out of a group. Counts those that were members.
    pub async fn leave(&self, group: impl Into<String>) -> Everywhere {
        let (user, group) = (self.name.to_string(), group.into());
        self.change(Question::Leave { user, group }).await
    }

    /// Closes the connections of the user on all nodes, and counts them.
    pub(crate) async fn close_and_count(&self, close: Close) -> Everywhere {
        let question = Question::CloseUser {
            user: self.name.to_string(),
            code: close.code.as_u16(),
            reason: close.reason.to_string(),
        };
        self.change(question).await
    }

    async fn change(&self, question: Question) -> Everywhere {
        let mut answers = self.registry.ask_all(question).await;
        let mut connections = 0;
        take_each(&mut answers, |answer| match answer {
            Answer::Done(count) => {
                connections += count;
                Some(())
            }
            _ => None,
        });
        Everywhere {
            connections,
            silent: answers.silent,
            elsewhere: answers.elsewhere,
        }
    }
}

impl Registry {
    /// Asks all nodes of the gateway's [`Cluster`](crate::Cluster) what they have of this registry. Without a `cluster`
    /// there is one node.
    pub async fn nodes(&self) -> NodeList {
        let mut answers = self.ask_all(Question::Node).await;
        let mut nodes = Vec::new();
        take_each(&mut answers, |answer| match answer {
            Answer::Node(info) => {
                nodes.push(info);
                Some(())
            }
            _ => None,
        });
        NodeList {
            nodes,
            silent: answers.silent,
            elsewhere: answers.elsewhere,
        }
    }

    /// The groups on all nodes whose names begin like this, in the order of their names.
    pub(crate) async fn groups_everywhere(
        &self,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> GroupList {
        let limit = limit.clamp(1, MAX_PAGE);
        let question = Question::Groups {
            prefix,
            after,
            limit,
        };
        let mut answers = self.ask_all(question).await;
        let mut parts = Vec::new();
        take_each(&mut answers, |answer| match answer {
            Answer::Groups { groups, more } => {
                parts.push((groups, more));
                Some(())
            }
            _ => None,
        });
        let (groups, next) = merged(parts, limit);
        GroupList {
            groups,
            next,
            silent: answers.silent,
            elsewhere: answers.elsewhere,
        }
    }
}

/// Takes the answers; a node whose answer is none counts as silent.
fn take_each(answers: &mut Answers, mut take: impl FnMut(Answer) -> Option<()>) {
    for (node, answer) in std::mem::take(&mut answers.answers) {
        if take(answer).is_none() {
            answers.silent.push(node);
            answers.elsewhere = Err(not_all());
        }
    }
}

/// Puts the groups of nodes together; a node may have more than it lists.
fn merged(parts: Vec<(Vec<GroupSize>, bool)>, limit: usize) -> (Vec<GroupSize>, Option<String>) {
    // Beyond this name a node has groups that it has not listed.
    let known = parts.iter().filter(|(_, more)| *more);
    let known = known.filter_map(|(groups, _)| groups.last().map(|last| last.name.clone()));
    let known = known.min();
    let mut sizes = BTreeMap::<String, usize>::new();
    for group in parts.into_iter().flat_map(|(groups, _)| groups) {
        *sizes.entry(group.name).or_default() += group.members;
    }
    let mut groups = Vec::new();
    for (name, members) in sizes {
        if groups.len() == limit || known.as_ref().is_some_and(|known| name > *known) {
            let last = groups.last().map(|last: &GroupSize| last.name.clone());
            return (groups, last);
        }
        groups.push(GroupSize { name, members });
    }
    (groups, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_groups_have_each_group_once_with_all_its_members() {
        let nodes = [
            &["a", "c", "e"][..],
            &["a", "b"],
            &[],
            &["c", "d", "f", "g"],
        ];
        for limit in 1..9 {
            for most in 1..=limit {
                let (mut seen, mut after) = (Vec::new(), None);
                loop {
                    let part = |names: &&[&str]| {
                        let names = names.iter().filter(|name| Some(**name) > after.as_deref());
                        let group = |name: &&str| GroupSize {
                            name: (*name).to_owned(),
                            members: 2,
                        };
                        let groups: Vec<_> = names.clone().take(most).map(group).collect();
                        let more = names.count() > groups.len();
                        (groups, more)
                    };
                    let (groups, next) = merged(nodes.iter().map(part).collect(), limit);
                    assert!(groups.len() <= limit);
                    seen.extend(groups.into_iter().map(|group| (group.name, group.members)));
                    after = match next {
                        Some(next) => Some(next),
                        None => break,
                    };
                }
                let all = [
                    ("a", 4),
                    ("b", 2),
                    ("c", 4),
                    ("d", 2),
                    ("e", 2),
                    ("f", 2),
                    ("g", 2),
                ];
                assert_eq!(seen, all.map(|(name, members)| (name.to_owned(), members)));
            }
        }
    }
}
