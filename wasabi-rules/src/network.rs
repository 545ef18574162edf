//! Networks in CIDR notation (RFC 4632, RFC 4291).

use std::net::IpAddr;

/// Addresses that have their first bits in common, or the peers of Unix sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// An address and how many of its bits count. IPv4 addresses in IPv6 form are IPv4 here.
    Ip(IpAddr, u8),
    /// `unix:`: peers of Unix sockets.
    Unix,
}

/// `10.0.0.0/8`, `fd00::/8`, `192.0.2.1` or `unix:`.
pub fn network(text: &str) -> Result<Network, String> {
    let text = text.trim();
    if text == "unix:" {
        return Ok(Network::Unix);
    }
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let Ok(ip) = address.parse::<IpAddr>() else {
        return Err(format!(
            "`{}` is not a network; write it like `10.0.0.0/8`, `fd00::/8` or `192.0.2.1`",
            text.escape_debug()
        ));
    };
    // A mapped address, `::ffff:10.0.0.0/104`, has its IPv4 bits last.
    let (canonical, least, most) = match (ip, ip.to_canonical()) {
        (IpAddr::V4(_), same) => (same, 0, 32),
        (IpAddr::V6(_), mapped @ IpAddr::V4(_)) => (mapped, 96, 128),
        (IpAddr::V6(_), same) => (same, 0, 128),
    };
    let bits = match prefix {
        None => most,
        Some(prefix) => prefix
            .parse()
            .ok()
            .filter(|bits| (least..=most).contains(bits))
            .ok_or_else(|| {
                format!(
                    "`{}` is not a network; write a number from {least} to {most} after the `/`",
                    text.escape_debug()
                )
            })?,
    };
    Ok(Network::Ip(canonical, bits - least))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str, bits: u8) -> Result<Network, String> {
        Ok(Network::Ip(text.parse().expect("an address"), bits))
    }

    #[test]
    fn networks_and_single_addresses_are_read() {
        assert_eq!(network("10.0.0.0/8"), ip("10.0.0.0", 8));
        assert_eq!(network(" 192.0.2.1 "), ip("192.0.2.1", 32));
        assert_eq!(network("fd00::/8"), ip("fd00::", 8));
        assert_eq!(network("::1"), ip("::1", 128));
        assert_eq!(network("0.0.0.0/0"), ip("0.0.0.0", 0));
        assert_eq!(network("unix:"), Ok(Network::Unix));
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        assert_eq!(network("::ffff:10.0.0.0/104"), ip("10.0.0.0", 8));
        assert_eq!(network("::ffff:10.0.0.1"), ip("10.0.0.1", 32));
        assert!(network("::ffff:10.0.0.0/8").is_err_and(|message| message.contains("96 to 128")));
    }

    #[test]
    fn prefixes_have_a_range() {
        for text in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/x",
            "intranet",
            "",
            "10/8",
        ] {
            assert!(network(text).is_err(), "{text:?}");
        }
    }
}
