//! The settings of a channel that are numbers and times.

use std::{
    borrow::{Borrow, Cow},
    time::Duration,
};

use serde::{Deserialize, Deserializer, de::IntoDeserializer};
use wasabi_rules::{Zero, setting_above_zero};

use super::Channel;
use crate::{
    connection::{heartbeat::Pings, socket::Limits},
    time::FOREVER,
    units,
};

/// Declares settings as `name(argument: what the method takes): what is kept = the default;`. An entry becomes a field
/// of [`Settings`], a method of [`Channel`] that checks the value and keeps it, and a field of [`ChannelConfig`]. Zero is
/// a mistake.
macro_rules! settings {
    ($($(#[$docs:meta])* $name:ident($value:ident: $argument:ty): $kept:ty = $default:expr;)*) => {
        /// The settings of a channel that are numbers and times.
        #[derive(Debug, Clone)]
        pub(crate) struct Settings {
            $(pub(crate) $name: $kept,)*
        }

        /// The settings of a channel as a type that serde can read from any format. Each has the name and the default of
        /// the method of [`Channel`](crate::Channel). Unknown names are errors. Pass it with `config = ..` to a channel,
        /// or to a gateway for all its channels, and for the `hosts` of its endpoints. What comes after it in the
        /// declaration replaces its values, one by one: the `config` of a channel leaves the other values of the gateway's
        /// as they are.
        ///
        /// Durations are strings with the units of `gateway!`, such as `"2s"`; `"off"` turns off `idle_timeout`, `ping` and
        /// `stream_idle_timeout`. Numbers and sizes are numbers, or strings such as `"64KiB"`.
        ///
        /// ```
        /// use wasabi::{ChannelConfig, prelude::*};
        ///
        /// let config: ChannelConfig = serde_json::from_str(r#"{
        ///     "origins": ["https://app.example.com"],
        ///     "max_message_size": "64KiB",
        ///     "idle_timeout": "10min",
        ///     "ping": "off"
        /// }"#)?;
        /// let gateway = gateway!(channel("/", config = &config, async |text: Text| text));
        /// assert!(gateway.check().is_ok());
        /// # Ok::<_, serde_json::Error>(())
        /// ```
        #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[non_exhaustive]
        pub struct ChannelConfig {
            /// See [`Channel::hosts`](crate::Channel::hosts).
            pub hosts: Option<Vec<String>>,
            /// See [`Channel::origins`](crate::Channel::origins).
            pub origins: Option<Vec<String>>,
            /// See [`Channel::subprotocols`](crate::Channel::subprotocols).
            pub subprotocols: Option<Vec<String>>,
            $(
                #[doc = concat!("See [`Channel::", stringify!($name), "`](crate::Channel::", stringify!($name), ").")]
                #[serde(deserialize_with = "configured")]
                pub $name: Option<$kept>,
            )*
        }

        impl<S, B, P, C, D> Channel<S, B, P, C, D> {
            /// `config`: settings that come from a configuration.
            #[must_use]
            pub fn config(mut self, config: impl Borrow<ChannelConfig>) -> Self {
                let config = config.borrow();
                if let Some(names) = &config.hosts {
                    self = self.hosts(names);
                }
                if let Some(names) = &config.origins {
                    self = self.origins(names);
                }
                if let Some(names) = &config.subprotocols {
                    self = self.subprotocols(names);
                }
                $(if let Some(value) = config.$name {
                    self.declared.keep(setting_above_zero(stringify!($name), value));
                    self.declared.settings.$name = value.bounded();
                })*
                self
            }
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl<S, B, P, C, D> Channel<S, B, P, C, D> {
            $($(#[$docs])*
            #[must_use]
            pub fn $name(mut self, $value: $argument) -> Self {
                let kept: $kept = $value.into();
                self.declared.keep(setting_above_zero(stringify!($name), kept));
                self.declared.settings.$name = kept.bounded();
                self
            })*
        }
    };
}

settings! {
    /// `max_message_size`: the maximum size of a client's message in bytes, 32 KiB by default. A larger message closes
    /// the connection with 1009; so does one whose fragments take more than twice that size plus 64 KiB.
    max_message_size(bytes: usize): usize = 32 * 1024;

    /// `max_header_size`: the maximum size in bytes of a handshake's URI and of the names and values of its headers
    /// together, 16 KiB by default. The connection keeps them for its whole life, for
    /// [`Connection::headers`](crate::Connection::headers) and for headers forwarded to upstreams. Common proxies
    /// accept no more either. A larger handshake is refused with 431. The server accepts no head over 64 KiB.
    max_header_size(bytes: usize): usize = 16 * 1024;

    /// `concurrency`: how many requests of one connection may be in flight at the same time, 25 by default. Further
    /// ones wait: up to 16 in memory, with at most `max_message_size` bytes or one message, and the rest at the client
    /// (back-pressure).
    ///
    /// The gateway sees a close frame behind unread requests only when requests have ended, or when the client hangs up
    /// without waiting for the answer. It notices a hang-up within a second, over HTTP/2 also that of a single stream,
    /// and cancels requests that [owe a reply](crate::Backend::owes_reply). It takes up to three minutes where only TCP
    /// keep-alive can detect that a machine is gone. On a server other than [`Server`](crate::Server), the gateway
    /// notices when it next reads from or writes to the client.
    concurrency(requests: usize): usize = 25;

    /// `max_connections`: how many connections the channel accepts, unlimited by default. Further handshakes are
    /// answered 503.
    max_connections(connections: usize): Option<usize> = None;

    /// `idle_timeout`: closes a connection with 1001 after this time without a message in either direction and without
    /// a request in flight; never by default.
    idle_timeout(timeout: Duration): Option<Duration> = None;

    /// `ping`: how long a client may be silent before the gateway pings it; 30 s by default, because proxies commonly
    /// cut connections that are silent for a minute. The gateway drops a client that leaves a ping unanswered for
    /// `pong_timeout`, even if it has requests in flight: a client whose network or machine is gone sends nothing.
    ///
    /// The gateway expects no answer while it does not read from the client: because the client takes no replies, or
    /// because `concurrency` requests are in flight and more have been read ahead. With `None` the gateway pings no
    /// client, and only TCP keep-alive detects a lost one. A client that sends more than 100 pings and pongs in a
    /// second is always closed with 1008.
    ping(interval: impl Into<Option<Duration>>): Option<Duration> = Some(Duration::from_secs(30));

    /// `pong_timeout`: how long a client may take to answer a ping; the ping interval by default.
    pong_timeout(timeout: Duration): Option<Duration> = None;

    /// `send_timeout`: closes a client with 1008 when data has been waiting for it this long and it has taken less than
    /// 1 KiB per second; 10 s by default.
    ///
    /// The gateway sees progress only in steps: the client's system buffers some 100 KiB, and reports free space only
    /// when it has much of it. Clients that read 16 KiB per second are safe with the default. For slower ones with
    /// large receive buffers, set a time in which they read 128 KiB.
    send_timeout(timeout: Duration): Duration = Duration::from_secs(10);

    /// `stream_idle_timeout`: ends a streaming reply with the error `timed_out`, and drops its source, when the source
    /// has been silent this long; 60 s by default. Sources without news commonly send a keep-alive every 15 to 30 s,
    /// and a client cannot tell a silent source from a dead one. The time does not run while the client takes nothing.
    /// With `None` a stream may be silent for ever, and keeps its place among the requests in flight.
    stream_idle_timeout(timeout: impl Into<Option<Duration>>): Option<Duration> = Some(Duration::from_secs(60));

    /// `open_timeout`: how long `on_connect` may take; 10 s by default. After that the gateway drops the hook and
    /// closes the connection with 1011.
    open_timeout(timeout: Duration): Duration = Duration::from_secs(10);

    /// `close_timeout`: how long a connection that the server closes waits for its requests in flight, and then again
    /// for the client's answer to the close frame; 10 s by default. Requests that take longer are answered
    /// `interrupted`. During a drain the connection also waits no longer than the server's deadline. If the client goes
    /// away, requests that [owe no reply](crate::Backend::owes_reply) get the same time.
    close_timeout(timeout: Duration): Duration = Duration::from_secs(10);

    /// `max_waiting_messages`: how many messages from [`Connection::send`](crate::Connection::send) may wait for one
    /// client, 256 by default.
    max_waiting_messages(messages: usize): usize = 256;

    /// `max_waiting_bytes`: how many bytes from [`Connection::send`](crate::Connection::send) may wait for one client,
    /// and how many bytes of replies; 1 MiB each by default.
    ///
    /// When this many bytes of replies wait for a client, its upstreams wait as well: the gateway stops reading bodies
    /// of HTTP services, beyond 16 KiB of each, and answers of WebSocket upstreams that are matched by id. Until then,
    /// it reads replies side by side as long as they have at most this many bytes together, and beyond that one of them
    /// at a time. A reply that waited until the upstream's timeout is `overloaded`. What functions and queues return is
    /// already in memory, so [`concurrency`](Self::concurrency) limits it.
    /// [`Server::max_waiting_bytes`](crate::Server::max_waiting_bytes) applies to all clients together.
    max_waiting_bytes(bytes: usize): usize = 1024 * 1024;
}

impl Settings {
    /// Ensures one slot for a request and room for one message. Without them a connection would stall, and a gateway
    /// may be served without a check of its settings.
    pub(crate) fn at_least_one(mut self) -> Self {
        self.concurrency = self.concurrency.max(1);
        self.max_waiting_messages = self.max_waiting_messages.max(1);
        self
    }

    /// Limits on what a client may send.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_message_size: self.max_message_size,
        }
    }

    /// When a client is pinged.
    pub(crate) fn pings(&self) -> Pings {
        Pings {
            interval: self.ping,
            timeout: self.pong_timeout,
        }
    }
}

/// Reads the value of a setting from a configuration.
fn configured<'de, D: Deserializer<'de>, T: Configured>(from: D) -> Result<Option<T>, D::Error> {
    T::read(from).map(Some)
}

/// A value that a configuration may contain.
trait Configured: Sized {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

impl Configured for usize {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        units::size(from)
    }
}

impl Configured for Option<usize> {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        units::size(from)
    }
}

impl Configured for Duration {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        units::duration(from)
    }
}

impl Configured for Option<Duration> {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        match &*text {
            "off" => Ok(None),
            text => units::duration(text.into_deserializer()),
        }
    }
}

/// A value that a setting keeps.
trait Kept: Zero + Copy {
    /// The value, so that no sum with a time overflows.
    fn bounded(self) -> Self;
}

impl Kept for usize {
    fn bounded(self) -> Self {
        self
    }
}

impl Kept for Duration {
    fn bounded(self) -> Self {
        self.min(FOREVER)
    }
}

impl<T: Kept> Kept for Option<T>
where
    Self: Zero,
{
    fn bounded(self) -> Self {
        self.map(T::bounded)
    }
}
