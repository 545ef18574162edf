//! Where a connection is: its node, and its number there.

use std::{
    fmt::{self, Write},
    hash::{BuildHasher, Hasher, RandomState},
    str::FromStr,
    sync::OnceLock,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::connection::ConnectionId;

/// A node of a [`Cluster`](crate::Cluster): one gateway, from its start to its end. A gateway that starts again is another
/// node.
///
/// It is a random number of 128 bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId([u8; 16]);

impl NodeId {
    pub(crate) fn random() -> Self {
        Self(random())
    }

    /// That of a registry without a cluster.
    pub(crate) fn of_this_process() -> Self {
        static OWN: OnceLock<NodeId> = OnceLock::new();
        *OWN.get_or_init(Self::random)
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A number that nobody guesses and that does not come twice.
pub(crate) fn random() -> [u8; 16] {
    // Two hashes with random keys: unlike the system's randomness, they cannot fail here.
    let half = || RandomState::new().build_hasher().finish();
    ((u128::from(half()) << 64) | u128::from(half())).to_le_bytes()
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(InvalidAddress);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| InvalidAddress)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// The address of a connection in a [`Cluster`](crate::Cluster): its node, and its id there.
/// [`Registry::address`](crate::Registry::address) returns it, and [`Registry::connection`](crate::Registry::connection)
/// reaches the connection from every node.
///
/// As text it is the node, a hyphen and the id, without anything before, between or behind:
/// `0123456789abcdef0123456789abcdef-42`. Nobody can guess one who has not seen another of the same node.
///
/// ```
/// use wasabi::ConnectionAddress;
///
/// let address: ConnectionAddress = "0123456789abcdef0123456789abcdef-42".parse()?;
/// assert_eq!(address.to_string(), "0123456789abcdef0123456789abcdef-42");
/// assert!("0123456789ABCDEF0123456789ABCDEF-42".parse::<ConnectionAddress>().is_err());
/// # Ok::<_, wasabi::InvalidAddress>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionAddress {
    node: NodeId,
    id: ConnectionId,
}

impl ConnectionAddress {
    pub(crate) fn new(node: NodeId, id: ConnectionId) -> Self {
        Self { node, id }
    }

    /// The node that has the connection.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The id of the connection in its process.
    pub fn id(&self) -> ConnectionId {
        self.id
    }
}

impl fmt::Display for ConnectionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)?;
        f.write_char('-')?;
        self.id.fmt(f)
    }
}

impl fmt::Debug for ConnectionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionAddress({self})")
    }
}

/// The text is not an address of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a connection")]
pub struct InvalidAddress;

impl FromStr for ConnectionAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let (node, id) = text.split_once('-').ok_or(InvalidAddress)?;
        let number: u64 = id.parse().map_err(|_| InvalidAddress)?;
        // One text for each address: no sign and no zeros before it.
        if number.to_string() != id {
            return Err(InvalidAddress);
        }
        Ok(Self::new(node.parse()?, ConnectionId(number)))
    }
}

macro_rules! as_text {
    ($($type:ty)*) => {
        $(impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        })*
    };
}

as_text!(NodeId ConnectionAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_text() {
        let node = NodeId::random();
        for number in [0, 1, 42, u64::MAX] {
            let address = ConnectionAddress::new(node, ConnectionId(number));
            let text = address.to_string();
            assert_eq!(text.parse(), Ok(address));
            let json = serde_json::to_string(&address).expect("JSON");
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str(&json).ok(), Some(address));
        }
        let good = "0123456789abcdef0123456789abcdef";
        for text in [
            "",
            "-",
            good,
            &format!("{good}-"),
            &format!("{good}-+1"),
            &format!("{good}-01"),
            &format!("{good}--1"),
            &format!("{good}-1 "),
            &format!(" {good}-1"),
            &format!("{good}-18446744073709551616"),
            &format!("{good}0-1"),
            &format!("{}-1", &good[1..]),
            &format!("{}-1", good.to_uppercase()),
            &format!("+{}-1", &good[1..]),
            &format!("é{}-1", &good[2..]),
        ] {
            assert_eq!(
                text.parse::<ConnectionAddress>(),
                Err(InvalidAddress),
                "{text}"
            );
        }
    }
}
