//! Groups whose messages are kept for a while: what is declared of them.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Group, Registry, position::Position};
use crate::{Close, CloseCode, Connection, Message, mistakes::Mistakes};

type Stamp = dyn Fn(&str, Message, Position) -> Message + Send + Sync;
type OnGap = dyn Fn(&Group, &Connection) + Send + Sync;

/// Groups whose messages are kept for a while, so that a client that comes back gets what it has missed. A part of the
/// setting `groups` of a channel.
///
/// ```
/// use wasabi::{Kept, prelude::*};
///
/// #[derive(serde::Deserialize)]
/// struct Join {
///     room: String,
///     /// The position of the last message that the client has, if it has been here before.
///     since: Option<String>,
/// }
///
/// /// Answers `{"recovered":true,"position":"..","missed":3}`. The three messages follow, and then all later ones.
/// #[backend]
/// async fn join(State(rooms): State<Registry>, Json(join): Json<Join>, client: Connection) -> Result<wasabi::Joined> {
///     rooms.join_from(join.room, &client, join.since.as_deref()).await
/// }
///
/// #[derive(serde::Deserialize)]
/// struct Say {
///     room: String,
///     line: serde_json::Value,
/// }
///
/// /// A client that has had no answer says it again, and the room gets it once.
/// #[backend]
/// async fn say(State(rooms): State<Registry>, Json(say): Json<Say>, id: RequestId) -> Result<()> {
///     let room = rooms.group(say.room);
///     room.publish_once(id.as_str(), Json(say.line)).await.elsewhere
/// }
///
/// let registry = Registry::new();
/// let gateway = gateway!(
///     state = registry.clone(),
///     channel(
///         "/rooms",
///         registry = registry,
///         groups = [Kept::prefix("room:").size(200).ttl(10min).stamp("position")],
///         parser = JsonKey::at("/do").id("/id"),
///         match key {
///             "join" => join,
///             "say" => say,
///             _ => NoRoute,
///         },
///     ),
/// );
/// assert!(gateway.check().is_ok());
/// ```
///
/// # What it promises
///
/// * All members, in every process of the [`Cluster`](crate::Cluster), get the messages of a group in the same order,
///   each of them once.
/// * What a client has missed is delivered, once and in order, or the client is told that there is a gap: by
///   [`Joined::recovered`](crate::Joined::recovered) when it joins, and by [`on_gap`](Self::on_gap) while it is a member.
/// * A message whose [`Group::publish`](crate::Group::publish) has succeeded is kept by the engine. What that is worth when
///   the engine itself dies is a matter of its settings: see the page *Many machines* of the guide.
///
/// A member whose send queue is full gets what it misses from the history, as fast as it takes it.
///
/// # Memory
///
/// Each gateway holds the history of all kept groups of its cluster: at most 64 MiB, and nothing older than the longest
/// [`ttl`](Self::ttl) of its channels. Without a `cluster` the gateway has a history of its own, which it loses when it
/// stops.
#[derive(Clone)]
#[must_use = "it does nothing until it is part of `groups`"]
pub struct Kept {
    prefix: Arc<str>,
    size: usize,
    ttl: Duration,
    stamp: Option<Arc<Stamp>>,
    on_gap: Option<Arc<OnGap>>,
    /// Whether messages have their group and position around them, and gaps are told in the same way.
    is_enveloped: bool,
    is_announced: bool,
    mistakes: Mistakes,
}

impl Kept {
    /// The groups whose names begin with this text. An empty one, or one of more than 512 bytes, is a mistake: see
    /// [`all`](Self::all).
    pub fn prefix(prefix: impl Into<Arc<str>>) -> Self {
        let mut kept = Self {
            prefix: prefix.into(),
            ..Self::all()
        };
        kept.mistakes.keep(wasabi_rules::group_prefix(&kept.prefix));
        kept
    }

    /// All groups of the registry.
    pub fn all() -> Self {
        Self {
            prefix: Arc::from(""),
            size: 1000,
            ttl: Duration::from_secs(600),
            stamp: None,
            on_gap: None,
            is_enveloped: false,
            is_announced: false,
            mistakes: Mistakes::default(),
        }
    }

    /// Limits how many messages of each group are kept (default: 1000). It is between 1 and 100 000.
    pub fn size(mut self, messages: usize) -> Self {
        let checked = wasabi_rules::between("Kept::size", messages as u64, 1..=100_000);
        self.mistakes.keep(checked);
        self.size = messages;
        self
    }

    /// Limits how long messages are kept (default: 10 minutes). It is at least 1 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.mistakes
            .keep(wasabi_rules::at_least("Kept::ttl", ttl, 1000));
        self.ttl = ttl;
        self
    }

    /// Writes the position of each message into it, as the first member of this name, if the message is a JSON object.
    /// Other messages stay as they are. Without a stamp a client knows only the position at which it has joined.
    ///
    /// With `stamp("position")`, `{"text":"hello"}` reaches members as
    /// `{"position":"1764460800000-0","text":"hello"}`.
    pub fn stamp(self, member: impl AsRef<str>) -> Self {
        let name = Value::from(member.as_ref()).to_string();
        self.stamp_with(move |message, position| stamped(&name, message, position))
    }

    /// Writes the position of each message into it by a function of yours. Each gateway calls it once for a message, so
    /// it must be quick. If it panics, the message stays as it is.
    pub fn stamp_with(
        mut self,
        stamp: impl Fn(Message, Position) -> Message + Send + Sync + 'static,
    ) -> Self {
        self.stamp = Some(Arc::new(move |_: &str, message, position| {
            stamp(message, position)
        }));
        self.is_enveloped = false;
        self
    }

    /// Delivers each message with its group and its position, as [`Subscriptions`](crate::Subscriptions) describes it, and
    /// tells a member of a gap by a message instead of closing its connection. It replaces what
    /// [`stamp`](Self::stamp), [`stamp_with`](Self::stamp_with) and [`on_gap`](Self::on_gap) have set before.
    pub fn enveloped(mut self) -> Self {
        self.stamp = Some(Arc::new(enveloped));
        let kept = self.on_gap(|group, member| {
            let told = serde_json::json!({"group": group.name(), "gap": true}).to_string();
            if member.try_send(told).is_err() {
                // It would never know.
                member.close(Close::new(GAP, "messages of a group are lost"));
            }
        });
        Self {
            is_enveloped: true,
            ..kept
        }
    }

    /// Tells the members, on all nodes, who joins the group and who leaves it, by messages that
    /// [`Subscriptions`](crate::Subscriptions) describes: whatever has put a connection into the group or taken it out, also
    /// [`Registry::join`] and the end of the connection.
    ///
    /// The messages have no position, and are not kept. Each node collects changes for 200 ms. A member whose send queue is
    /// full is told as soon as there is room that it is to ask who is there. So are members who may have missed something,
    /// possibly all of them at once: a client waits for a random moment of up to some seconds before it asks.
    ///
    /// A change by a thread outside of a runtime is told as well, once the gateway is served.
    pub fn announced(mut self) -> Self {
        self.is_announced = true;
        self
    }

    /// Sets the function that is told of each member for which messages of a group are lost: it was too slow for the
    /// history, or the engine has lost messages. By default, the connection is closed with 4409.
    ///
    /// The member stays one, and gets the later messages. It must be told, so that it fetches what the application knows:
    ///
    /// ```
    /// use wasabi::Kept;
    ///
    /// let kept = Kept::prefix("room:").on_gap(|group, member| {
    ///     let _ = member.try_send(format!(r#"{{"gap":"{}"}}"#, group.name()));
    /// });
    /// # drop(kept);
    /// ```
    pub fn on_gap(mut self, hook: impl Fn(&Group, &Connection) + Send + Sync + 'static) -> Self {
        self.on_gap = Some(Arc::new(hook));
        self.is_enveloped = false;
        self
    }

    pub(crate) fn mistakes(&self) -> &Mistakes {
        &self.mistakes
    }

    pub(crate) fn name(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn keeps(&self, group: &str) -> bool {
        group.starts_with(&*self.prefix)
    }

    #[cfg(feature = "schema")]
    pub(crate) fn is_enveloped(&self) -> bool {
        self.is_enveloped
    }

    pub(crate) fn is_announced(&self) -> bool {
        self.is_announced
    }

    pub(crate) fn limits(&self) -> (usize, Duration) {
        (self.size, self.ttl)
    }

    pub(crate) fn stamping(&self) -> Option<&Stamp> {
        self.stamp.as_deref()
    }

    pub(crate) fn gap_hook(&self) -> Option<&OnGap> {
        self.on_gap.as_deref()
    }
}

/// The close code of a connection for which messages of a group are lost.
pub(crate) const GAP: CloseCode = CloseCode::new::<4409>();

/// The message with its group and its position around it.
fn enveloped(group: &str, message: Message, position: Position) -> Message {
    let group = Value::from(group);
    let (name, data) = match message.as_text() {
        Some(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => ("data", text.to_owned()),
        Some(text) => ("data", Value::from(text).to_string()),
        None => (
            "base64",
            Value::from(STANDARD.encode(message.as_bytes())).to_string(),
        ),
    };
    Message::text(format!(
        r#"{{"group":{group},"position":"{position}","{name}":{data}}}"#
    ))
}

/// The message with its position as its first member.
fn stamped(name: &str, message: Message, position: Position) -> Message {
    let stamped = message.as_text().and_then(|text| {
        let rest = text.trim_start().strip_prefix('{')?;
        let comma = match rest.trim_start().starts_with('}') {
            true => "",
            false => ",",
        };
        Some(format!(r#"{{{name}:"{position}"{comma}{rest}"#))
    });
    stamped.map_or(message, Message::text)
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("prefix", &self.prefix)
            .field("size", &self.size)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Declares which groups are kept. Fails if others have been declared already.
    pub(crate) fn keep(&self, kept: &[Kept]) -> Result<(), &'static str> {
        let facts = |kept: &Kept| (kept.prefix.clone(), kept.limits(), kept.is_announced);
        let known = self.0.kept.get_or_init(|| kept.into());
        match known.iter().map(facts).eq(kept.iter().map(facts)) {
            true => Ok(()),
            false => Err("channels that share a registry have the same `groups`"),
        }
    }

    /// What is declared of a group, if it is kept.
    pub(crate) fn kept(&self, group: &str) -> Option<&Kept> {
        let mut kept = self.0.kept.get()?.iter();
        kept.find(|kept| kept.keeps(group))
    }

    /// The longest time that messages are kept; `None` if no group is kept.
    pub(crate) fn keeps_for(&self) -> Option<Duration> {
        let kept = self.0.kept.get()?.iter();
        kept.map(|kept| kept.ttl).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_becomes_the_first_member_of_an_object() {
        let position = Position::new(5, 7);
        for (message, expected) in [
            (r#"{"a":1}"#, r#"{"at\"":"5-7","a":1}"#),
            (r#" { "a":1}"#, r#"{"at\"":"5-7", "a":1}"#),
            ("{}", r#"{"at\"":"5-7"}"#),
            ("{ }", r#"{"at\"":"5-7" }"#),
            ("[{}]", "[{}]"),
            ("", ""),
            ("hello", "hello"),
        ] {
            let kept = Kept::all().stamp("at\"");
            let stamp = kept.stamping().expect("a stamp");
            assert_eq!(
                stamp("a", message.into(), position),
                Message::text(expected)
            );
            let binary = Message::binary(message);
            assert_eq!(stamp("a", binary.clone(), position), binary);
        }
    }

    #[test]
    fn an_envelope_has_json_as_it_is_and_anything_else_as_a_string() {
        let kept = Kept::all().enveloped();
        let stamp = kept.stamping().expect("a stamp");
        for (message, expected) in [
            (Message::text(r#"{"a": 1}"#), r#""data":{"a": 1}"#),
            (Message::text("1"), r#""data":1"#),
            (Message::text("é \""), r#""data":"é \"""#),
            (Message::text(""), r#""data":"""#),
            (
                Message::text(r#"1,"gap":true"#),
                r#""data":"1,\"gap\":true""#,
            ),
            (Message::binary(vec![0xff]), r#""base64":"/w==""#),
        ] {
            let expected = format!(r#"{{"group":"a\"","position":"5-7",{expected}}}"#);
            let stamped = stamp("a\"", message, Position::new(5, 7));
            assert_eq!(stamped.as_text(), Some(&*expected));
        }
    }

    #[test]
    fn the_first_that_fits_is_what_is_declared_of_a_group() {
        let registry = Registry::new();
        assert!(registry.kept("room:1").is_none());
        let kept = [Kept::prefix("room:vip:").size(5), Kept::prefix("room:")];
        assert_eq!(registry.keep(&kept), Ok(()));
        assert_eq!(registry.keep(&kept), Ok(()));
        assert!(registry.keep(&[Kept::all()]).is_err());
        let size = |group| registry.kept(group).map(|kept| kept.size);
        assert_eq!(size("room:vip:1"), Some(5));
        assert_eq!(size("room:1"), Some(1000));
        assert_eq!(size("roo"), None);
    }
}
