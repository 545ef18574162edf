//! A ready-made route by which clients follow groups.

#[cfg(feature = "schema")]
mod described;

use std::fmt;

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
pub(crate) use self::described::member;
use super::{Backend, Lifecycle};
use crate::{
    Connection, ConnectionAddress, Error, FromRequest, Json, Member, Page, Position, Registry,
    Reply, Request, Result, mistakes::Mistakes, reply::IntoReply,
};

/// A ready-made route by which clients follow [kept groups](crate::Kept) of their choice: they subscribe, recover what they
/// have missed, are told of gaps, and unsubscribe. An application that wants other messages writes its own functions with
/// [`Registry::join_from`](crate::Registry::join_from).
///
/// ```
/// use wasabi::{Error, Kept, Subscriptions, prelude::*};
///
/// /// Everybody may follow public rooms.
/// async fn may(_client: Connection, room: String) -> Result<()> {
///     match room.starts_with("room:public:") {
///         true => Ok(()),
///         false => Err(Error::new("forbidden", "the room is not public")),
///     }
/// }
///
/// let registry = Registry::new();
/// let gateway = gateway!(channel(
///     "/rooms",
///     registry = registry.clone(),
///     groups = [Kept::prefix("room:").enveloped().announced()],
///     parser = JsonKey::at("/do").id("/id"),
///     match key {
///         "follow" => Subscriptions::new(registry, may).max_groups(20),
///         _ => NoRoute,
///     },
/// ));
/// assert!(gateway.check().is_ok());
/// ```
///
/// # Messages
///
/// | the client sends | and gets |
/// |---|---|
/// | `{"do":"follow","group":"room:public:1"}` | `{"group":..,"recovered":false,"position":"..","missed":0}`, then what is published from now on |
/// | `{"do":"follow","group":"room:public:1","since":".."}` | the same; if `recovered` is true, everything since that position follows, once and in order |
/// | `{"do":"follow","group":"room:public:1","follow":false}` | `{"group":..,"unfollowed":true}`, or false if it did not follow the group |
///
/// What is published comes as `{"group":..,"position":"..","data":..}` if the groups are
/// [`enveloped`](crate::Kept::enveloped): JSON as it is, other text as a string, and a binary message as `base64` in place
/// of `data`. `{"group":..,"gap":true}` says that messages are lost: the client fetches the state from the application.
/// `since` is the position of the last message, or that of the reply if none has come.
///
/// # Who is there
///
/// | the client sends | and gets |
/// |---|---|
/// | `{"do":"follow","group":"room:public:1","who":true}` | `{"group":..,"members":[..],"total":2,"complete":true}`: 100 members, as [`Group::presence`](crate::Group::presence) lists them |
/// | the same with `"after":".."` | the next ones, if the answer had `next`, which is what comes here |
///
/// `complete` is false if a node has not answered: its members are missing. If the groups are
/// [`announced`](crate::Kept::announced), members are told of changes by messages with at least one of these:
///
/// | message | what has happened |
/// |---|---|
/// | `{"group":..,"joined":[..]}` | these are members, or still are: what `members` has of them |
/// | `{"group":..,"left":[..]}` | these are no members: the `connection` of each |
/// | `{"group":..,"gone":".."}` | a node has ended, or was not heard of for 10 s: all are gone whose `connection` begins with this |
/// | `{"group":..,"unsure":true}` | there was too much to tell, a node was cut off for a while, or the client was slow: ask who is there |
///
/// A client that wants to know who is there follows the group, asks, and keeps the members by their `connection`. The
/// changes that come while it waits for an answer it applies to the answer once more. It is itself among those who join.
/// Before it asks because of `unsure`, it waits for a random moment of up to some seconds: all members may be told at once,
/// and only 256 questions of a node to others wait at a time.
///
/// # Typed clients
///
/// With the cargo feature `schema`, the clients of [`Gateway::typescript`](crate::Gateway) and `Gateway::rust` follow groups by
/// themselves, if all kept groups of the channel are [`enveloped`](crate::Kept::enveloped), its parser reads ids, and its errors
/// are JSON: they remember
/// positions, subscribe again after a lost connection, tell gaps, and say `unsure` whenever they have subscribed again.
///
/// # Errors
///
/// That of the function; `not_kept` for a group that is not kept, whatever is asked; `not_followed` for who asks about a
/// group of others; `too_many_groups`; and those of [`Registry::join_from`](crate::Registry::join_from).
#[must_use = "it does nothing until it is the target of a route"]
pub struct Subscriptions<F> {
    registry: Registry,
    may: F,
    max_groups: usize,
    mistakes: Mistakes,
}

/// What a client asks.
#[derive(Deserialize)]
struct Ask {
    group: String,
    since: Option<String>,
    follow: Option<bool>,
    #[serde(default)]
    who: bool,
    after: Option<ConnectionAddress>,
}

#[derive(Serialize)]
struct Followed<'a> {
    group: &'a str,
    recovered: bool,
    position: Position,
    missed: usize,
}

#[derive(Serialize)]
struct Who<'a> {
    group: &'a str,
    members: Vec<Member>,
    total: usize,
    /// Whether all nodes have answered.
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<ConnectionAddress>,
}

#[derive(Serialize)]
struct Unfollowed<'a> {
    group: &'a str,
    unfollowed: bool,
}

impl<F> Subscriptions<F> {
    /// Clients follow groups of this registry, which must be that of the channel, if the function allows it. It runs
    /// before each subscription, also of a client that comes back, and before each answer who is there; its error is sent
    /// to the client. A client may leave each kept group.
    pub fn new(registry: Registry, may: F) -> Self {
        Self {
            registry,
            may,
            max_groups: 100,
            mistakes: Mistakes::default(),
        }
    }

    /// Limits how many groups a connection may be in (default: 100), whoever has put it there. Zero is a mistake.
    /// [`Registry::max_group_bytes`](crate::Registry::max_group_bytes) limits the memory besides.
    pub fn max_groups(mut self, groups: usize) -> Self {
        self.max_groups = self
            .mistakes
            .above_zero("Subscriptions::max_groups", groups);
        self
    }

    async fn follow(&self, connection: &Connection, ask: Ask) -> Result<Reply> {
        let (registry, group) = (&self.registry, &*ask.group);
        let is_in = registry.group(group).contains(connection);
        if !is_in && registry.groups_of(connection).len() >= self.max_groups {
            return Err(self.too_many());
        }
        let joined = registry
            .join_from(group, connection, ask.since.as_deref())
            .await?;
        // Others may have been joined meanwhile.
        if !is_in && registry.groups_of(connection).len() > self.max_groups {
            registry.leave(group, connection);
            return Err(self.too_many());
        }
        joined.reply(|joined| {
            Json(Followed {
                group,
                recovered: joined.recovered,
                position: joined.position,
                missed: joined.missed,
            })
            .into_reply()
        })
    }

    async fn who(&self, connection: &Connection, ask: &Ask) -> Result<Reply> {
        let group = self.registry.group(&*ask.group);
        if !group.contains(connection) {
            return Err(Error::new("not_followed", "follow the group first"));
        }
        let page = match ask.after {
            Some(after) => Page::default().after(after),
            None => Page::default(),
        };
        let present = group.presence(page).await;
        Json(Who {
            group: &ask.group,
            members: present.members,
            total: present.total,
            complete: present.elsewhere.is_ok(),
            next: present.next.and_then(|page| page.begins_after()),
        })
        .into_reply()
    }

    fn too_many(&self) -> Error {
        let most = self.max_groups;
        Error::new(
            "too_many_groups",
            format!("a connection is in at most {most} groups: unfollow one"),
        )
    }
}

impl<S, F, Fut> Backend<S> for Subscriptions<F>
where
    S: Sync,
    F: Fn(Connection, String) -> Fut + Send + Sync,
    Fut: Future<Output = Result<()>> + Send,
{
    async fn call(&self, req: Request, state: &S) -> Result<Reply> {
        let Json(ask) = Json::<Ask>::from_request(&req, state).await?;
        let connection = req.connection();
        // Others are the application's own.
        if self.registry.kept(&ask.group).is_none() {
            return Err(Error::new("not_kept", "the group cannot be followed"));
        }
        if ask.follow == Some(false) {
            let unfollowed = self.registry.leave(&*ask.group, connection);
            let group = &*ask.group;
            return Json(Unfollowed { group, unfollowed }).into_reply();
        }
        (self.may)(connection.clone(), ask.group.clone()).await?;
        match ask.who {
            true => self.who(connection, &ask).await,
            false => self.follow(connection, ask).await,
        }
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        visit(self);
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        to.answers(described::answers::<Self>());
    }
}

impl<F> Lifecycle for Subscriptions<F> {
    fn check(&self) -> Result<(), String> {
        self.mistakes.check()
    }
}

impl<F> fmt::Debug for Subscriptions<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriptions")
            .field("registry", &self.registry)
            .field("max_groups", &self.max_groups)
            .finish_non_exhaustive()
    }
}
