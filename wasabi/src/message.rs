//! What travels over a WebSocket: messages, and the frame that ends the connection.

mod outgoing;
mod slice;

use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
};

use bytes::Bytes;
use bytestring::ByteString;

pub(crate) use self::outgoing::soon_gone;
pub use self::outgoing::{IntoMessage, MessageError, Writable};

/// One WebSocket message, text or binary (RFC 6455, section 5.6).
///
/// Cloning it clones a reference; the payload is never copied on its way to a backend.
///
/// As an extractor, it is the message as it arrived; as a reply, it goes out with its kind unchanged:
///
/// ```
/// use wasabi::prelude::*;
///
/// async fn echo(message: Message) -> Message {
///     message
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message; its payload is UTF-8.
    Text(Text),
    /// A binary message.
    Binary(Bytes),
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::Text(text.into())
    }

    /// A binary message.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self::Binary(data.into())
    }

    /// The payload, whatever its kind.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) => data,
        }
    }

    /// The text of a text message; `None` for a binary one, even if its bytes are UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The payload as shared bytes, without copying.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(data) => data,
        }
    }

    /// Whether this is a text message.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// Length of the payload in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty. An empty message is still a message.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&'static str> for Message {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Bytes> for Message {
    fn from(data: Bytes) -> Self {
        Self::Binary(data)
    }
}

impl From<Vec<u8>> for Message {
    fn from(data: Vec<u8>) -> Self {
        Self::Binary(data.into())
    }
}

/// UTF-8 text in shared memory: the payload of a text message.
///
/// It is checked once, when it is made; cloning it clones a reference. It derefs to `str`, and a map with `Text` keys
/// can be searched by `str`. An argument can take it apart, as it can [`Json`](crate::Json) and [`Binary`]:
///
/// ```
/// use std::collections::HashMap;
/// use wasabi::{Text, prelude::*};
///
/// #[backend]
/// async fn greet(Text(name): Text) -> String {
///     format!("hello, {name}")
/// }
///
/// let seats = HashMap::from([(Text::from("lobby"), 20)]);
/// assert_eq!(seats.get("lobby"), Some(&20));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(pub ByteString);

impl Text {
    /// Text in static memory; costs nothing.
    pub const fn from_static(text: &'static str) -> Self {
        Self(ByteString::from_static(text))
    }

    /// The text as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as shared bytes, without copying.
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self::from_static(text)
    }
}

impl From<ByteString> for Text {
    fn from(text: ByteString) -> Self {
        Self(text)
    }
}

impl TryFrom<Bytes> for Text {
    type Error = std::str::Utf8Error;

    /// Checks the bytes once; fails on the first byte that is not UTF-8.
    #[inline]
    fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
        ByteString::try_from(bytes).map(Self)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// Why a connection ends: what a close frame carries (RFC 6455, section 5.5.1).
///
/// ```
/// use wasabi::{Close, CloseCode};
///
/// let close = Close::new(CloseCode::new::<4401>(), "token expired");
/// // For logs: the reason is escaped, since the peer may have chosen it.
/// assert_eq!(close.to_string(), r#"4401 "token expired""#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Close {
    /// The status code.
    pub code: CloseCode,
    /// The reason, at most 123 bytes.
    pub reason: Text,
}

impl Close {
    /// A close with a code and a reason.
    ///
    /// A close frame has room for 123 bytes of reason; a longer one is cut at a character boundary.
    pub fn new(code: CloseCode, reason: impl Into<Text>) -> Self {
        let mut reason = reason.into();
        if reason.len() > MAX_REASON {
            let end = reason.floor_char_boundary(MAX_REASON);
            reason = reason[..end].to_owned().into();
        }
        Self { code, reason }
    }
}

const MAX_REASON: usize = 123;

impl From<CloseCode> for Close {
    fn from(code: CloseCode) -> Self {
        Self::new(code, "")
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        match self.reason.is_empty() {
            true => Ok(()),
            // Escaped: whoever closes can write anything into it.
            false => write!(f, " {:?}", self.reason),
        }
    }
}

/// A WebSocket status code (RFC 6455, section 7.4, and the IANA registry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server shuts down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the peer sent a kind of data that is not accepted here.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1005: the peer's close frame had no code. Closing with this code sends a close frame without one.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection broke without a close frame. Closing with this code drops the connection without one.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: a payload with the wrong encoding, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: the peer broke a rule of this server, or reads too slowly.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message over the size limit.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: the server met an unexpected condition, or lost an upstream.
    pub const INTERNAL: Self = Self(1011);
    /// 1012: the server restarts; the client may reconnect.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: overload; reconnect later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid answer from its upstream.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 4401: the client's credentials have expired. A code of this library, named after the HTTP status 401.
    pub const EXPIRED: Self = Self(4401);

    /// A code that a close frame may carry: 1000 to 1003, 1007 to 1014, 3000 to 4999 (4000 and above are for
    /// applications).
    ///
    /// Any other code is a compile error. For a code that is known only at run time, use
    /// [`TryFrom<u16>`](#impl-TryFrom<u16>-for-CloseCode).
    ///
    /// ```
    /// use wasabi::CloseCode;
    ///
    /// const TRIAL_OVER: CloseCode = CloseCode::new::<4402>();
    /// assert_eq!(CloseCode::try_from(4402), Ok(TRIAL_OVER));
    /// assert!(CloseCode::try_from(1006).is_err());
    /// ```
    ///
    /// ```compile_fail
    /// wasabi::CloseCode::new::<1006>();
    /// ```
    pub const fn new<const CODE: u16>() -> Self {
        const {
            assert!(
                wasabi_rules::is_sendable(CODE),
                "{}",
                wasabi_rules::SENDABLE
            );
        }
        Self(CODE)
    }

    /// The number of the code; `u16::from` returns it too.
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for CloseCode {
    type Error = InvalidCloseCode;

    fn try_from(code: u16) -> Result<Self, Self::Error> {
        if wasabi_rules::is_sendable(code) {
            Ok(Self(code))
        } else {
            Err(InvalidCloseCode(code))
        }
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that a close frame cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", wasabi_rules::not_sendable(u64::from(*.0)))]
pub struct InvalidCloseCode(pub u16);

/// The payload of a binary message; as a reply, a binary message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary(pub Bytes);

impl From<Binary> for Message {
    fn from(Binary(data): Binary) -> Self {
        Self::Binary(data)
    }
}
