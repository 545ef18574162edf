//! The address of the client, also behind proxies.

mod hops;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{HeaderMap, StatusCode, request::Parts};
use ipnet::IpNet;
use tower::{Layer, Service};

use crate::{Error, FromRequest, Request, Result, server::UnixPeer};

/// The address of the client: as an extractor the address itself, and the names of the HTTP middleware that finds
/// it out.
///
/// Without such middleware it is the address of the peer, which behind a proxy is the proxy's. What a proxy says in a
/// header is believed only when the peer is one of the networks that are trusted: anybody can send the header.
///
/// As an extractor it stands in backend functions and in axum handlers; elsewhere there is
/// [`Connection::client_ip`](crate::Connection::client_ip).
///
/// ```
/// use wasabi::prelude::*;
///
/// async fn whoami(ClientIp(ip): ClientIp) -> String {
///     ip.to_string()
/// }
///
/// let gateway = gateway!(
///     http = [ClientIp::trusting(["10.0.0.0/8", "fd00::/8"])],
///     channel(
///         "/",
///         middleware = [RateLimit::per_minute(100).by(|req| req.connection().client_ip())],
///         whoami,
///     ),
/// );
/// # drop(gateway);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientIp(pub IpAddr);

impl ClientIp {
    /// The address of the peer, whatever headers say: for gateways that clients reach directly.
    pub fn peer() -> ClientIpLayer {
        ClientIpLayer::new(Source::Peer, [] as [&str; 0])
    }

    /// Behind proxies with addresses in these networks, each of which adds the address of its peer to
    /// `X-Forwarded-For`: the rightmost address that is not one of theirs.
    ///
    /// A network is written `10.0.0.0/8`, `fd00::/8` or `192.0.2.1`; `unix:` stands for the peers of Unix sockets. One that is not a network trusts nobody, and keeps
    /// the gateway from being served.
    ///
    /// Where a proxy along the way names no address, or one that cannot be read, nothing to the left of it is believed
    /// and the client is whoever named it last.
    pub fn trusting<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> ClientIpLayer {
        ClientIpLayer::new(Source::XForwardedFor, networks)
    }

    /// Behind Cloudflare: what `CF-Connecting-IP` says when the peer is in these networks. Cloudflare publishes its
    /// own at <https://www.cloudflare.com/ips/>.
    pub fn cloudflare<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> ClientIpLayer {
        ClientIpLayer::new(Source::Cloudflare, networks)
    }

    /// Behind Amazon CloudFront: what `CloudFront-Viewer-Address` says when the peer is in these networks. AWS
    /// publishes them as `CLOUDFRONT_ORIGIN_FACING` at <https://ip-ranges.amazonaws.com/ip-ranges.json>; the header
    /// is sent when the origin request policy asks for it.
    pub fn cloudfront<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> ClientIpLayer {
        ClientIpLayer::new(Source::CloudFront, networks)
    }

    fn of(parts: &Parts) -> Option<Self> {
        let found = parts.extensions.get::<Self>().copied();
        found.or_else(|| Peer::of(&parts.extensions).ip().map(Self))
    }
}

impl fmt::Display for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for ClientIp {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        let ip = req.connection().client_ip();
        ip.map(Self).ok_or_else(|| Error::internal(UNKNOWN))
    }
}

impl<S: Sync> FromRequestParts<S> for ClientIp {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Self::of(parts).ok_or((StatusCode::INTERNAL_SERVER_ERROR, UNKNOWN))
    }
}

const UNKNOWN: &str = "the address of the client is not known";

/// Finds out the [`ClientIp`]: a `tower::Layer` for `http = [..]` and for axum routers.
#[derive(Debug, Clone)]
pub struct ClientIpLayer(Arc<Rules>);

#[derive(Debug, Clone)]
struct Rules {
    source: Source,
    trusted: Vec<IpNet>,
    trusts_unix: bool,
    mistakes: Vec<String>,
}

/// What tells the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Peer,
    XForwardedFor,
    Forwarded,
    Cloudflare,
    CloudFront,
}

impl ClientIpLayer {
    fn new<N: AsRef<str>>(source: Source, networks: impl IntoIterator<Item = N>) -> Self {
        let mut rules = Rules {
            source,
            trusted: Vec::new(),
            trusts_unix: false,
            mistakes: Vec::new(),
        };
        for network in networks {
            let network = network.as_ref().trim();
            if network == "unix:" {
                rules.trusts_unix = true;
                continue;
            }
            match parse_network(network) {
                Some(network) => rules.trusted.push(network),
                None => {
                    let mistake = format!(
                        "`{network}` is not a network that `ClientIp` could trust; write it like `10.0.0.0/8`, \
                         `fd00::/8` or `192.0.2.1`"
                    );
                    tracing::error!("{mistake}");
                    rules.mistakes.push(mistake);
                }
            }
        }
        Self(Arc::new(rules))
    }

    /// The proxies write `Forwarded` (RFC 7239) instead of `X-Forwarded-For`. Only one of them is ever read: a proxy
    /// that writes the one lets the other through as the client sent it.
    #[must_use]
    pub fn forwarded(mut self) -> Self {
        let rules = Arc::make_mut(&mut self.0);
        if rules.source == Source::XForwardedFor {
            rules.source = Source::Forwarded;
        }
        self
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self.0.mistakes.as_slice() {
            [] => Ok(()),
            mistakes => Err(mistakes.join("; ")),
        }
    }
}

fn parse_network(network: &str) -> Option<IpNet> {
    let single = || network.parse::<IpAddr>().ok().map(IpNet::from);
    network.parse().ok().or_else(single)
}

impl Rules {
    fn client(&self, peer: Peer, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.trusts(peer) {
            return peer.ip();
        }
        let named = match self.source {
            Source::Peer => None,
            Source::XForwardedFor => self.rightmost(hops::x_forwarded_for(headers)),
            Source::Forwarded => self.rightmost(hops::forwarded(headers)),
            Source::Cloudflare => hops::only(headers, "cf-connecting-ip").and_then(hops::address),
            Source::CloudFront => {
                hops::only(headers, "cloudfront-viewer-address").and_then(hops::address_then_port)
            }
        };
        named.or(peer.ip())
    }

    /// The first hop from the right that is not trusted, or the last one that can be read.
    fn rightmost(&self, hops: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        let mut last = None;
        for hop in hops {
            let Some(ip) = hop else { break };
            last = Some(ip);
            if !self.trusts(Peer::Ip(ip)) {
                break;
            }
        }
        last
    }

    fn trusts(&self, peer: Peer) -> bool {
        match peer {
            Peer::Ip(ip) => self.trusted.iter().any(|network| network.contains(&ip)),
            Peer::Unix => self.trusts_unix,
            Peer::Unknown => false,
        }
    }
}

/// Who is at the other end of the socket.
#[derive(Debug, Clone, Copy)]
enum Peer {
    Ip(IpAddr),
    Unix,
    Unknown,
}

impl Peer {
    fn of(extensions: &http::Extensions) -> Self {
        match extensions.get::<ConnectInfo<SocketAddr>>() {
            // A socket that listens for both kinds of addresses shows IPv4 clients in an IPv6 disguise.
            Some(ConnectInfo(addr)) => Self::Ip(addr.ip().to_canonical()),
            None if extensions.get::<UnixPeer>().is_some() => Self::Unix,
            None => Self::Unknown,
        }
    }

    fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(ip),
            Self::Unix | Self::Unknown => None,
        }
    }
}

impl<S> Layer<S> for ClientIpLayer {
    type Service = ClientIpService<S>;

    fn layer(&self, inner: S) -> ClientIpService<S> {
        let rules = Arc::clone(&self.0);
        ClientIpService { inner, rules }
    }
}

/// What [`ClientIpLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct ClientIpService<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S, B> Service<http::Request<B>> for ClientIpService<S>
where
    S: Service<http::Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut req: http::Request<B>) -> S::Future {
        let client = self.rules.client(Peer::of(req.extensions()), req.headers());
        if let Some(ip) = client {
            req.extensions_mut().insert(ClientIp(ip));
        }
        self.inner.call(req)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(layer: &ClientIpLayer, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        let peer = Peer::Ip(peer.parse().expect("an address"));
        let client = layer.0.client(peer, &map);
        client.expect("an address").to_string()
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn x_forwarded_for_is_not_believed_from_anybody() {
        let layer = ClientIp::trusting(["10.0.0.0/8"]);
        assert_eq!(
            client(&layer, "192.0.2.7", &[(XFF, "1.1.1.1")]),
            "192.0.2.7"
        );
        assert_eq!(
            client(&ClientIp::peer(), "10.0.0.1", &[(XFF, "1.1.1.1")]),
            "10.0.0.1"
        );
    }

    #[test]
    fn the_rightmost_hop_that_is_no_proxy_is_the_client() {
        let layer = ClientIp::trusting(["10.0.0.0/8", "fd00::/8", "192.0.2.1"]);
        let at = |value: &str| client(&layer, "10.0.0.1", &[(XFF, value)]);
        assert_eq!(at("1.1.1.1"), "1.1.1.1");
        assert_eq!(at("6.6.6.6, 1.1.1.1"), "1.1.1.1");
        assert_eq!(at("6.6.6.6,1.1.1.1 , 10.2.3.4,192.0.2.1"), "1.1.1.1");
        assert_eq!(at("6.6.6.6, 2001:db8::1, fd00::2"), "2001:db8::1");
        // Everybody is inside.
        assert_eq!(at("10.9.9.9, 10.2.3.4"), "10.9.9.9");
    }

    #[test]
    fn several_header_lines_are_one_list() {
        let layer = ClientIp::trusting(["10.0.0.0/8"]);
        let lines = [(XFF, "6.6.6.6"), (XFF, "1.1.1.1"), (XFF, "10.2.3.4")];
        assert_eq!(client(&layer, "10.0.0.1", &lines), "1.1.1.1");
    }

    #[test]
    fn an_ipv6_address_is_not_cut_at_its_first_colon() {
        let layer = ClientIp::trusting(["10.0.0.0/8"]);
        let at = |value: &str| client(&layer, "10.0.0.1", &[(XFF, value)]);
        for written in [
            "2001:db8::1",
            "[2001:db8::1]",
            "[2001:db8::1]:4711",
            "\t[2001:DB8:0::1]:4711 ",
        ] {
            assert_eq!(at(written), "2001:db8::1", "{written:?}");
        }
        assert_eq!(at("1.1.1.1:4711"), "1.1.1.1");
        assert_eq!(at("::ffff:1.1.1.1"), "1.1.1.1");
    }

    #[test]
    fn what_cannot_be_read_hides_what_is_left_of_it() {
        let layer = ClientIp::trusting(["10.0.0.0/8"]);
        let at = |value: &str| client(&layer, "10.0.0.1", &[(XFF, value)]);
        for unreadable in [
            "",
            "unknown",
            "_hidden",
            "1.1.1",
            "1.1.1.1:x",
            "[::1",
            "::1]:2",
        ] {
            let value = format!("6.6.6.6, {unreadable}, 10.2.3.4");
            assert_eq!(at(&value), "10.2.3.4", "{value}");
            assert_eq!(at(unreadable), "10.0.0.1", "{unreadable}");
        }
    }

    #[test]
    fn only_the_header_that_the_proxies_write_is_read() {
        let both = [(XFF, "1.1.1.1"), ("forwarded", "for=2.2.2.2")];
        let layer = ClientIp::trusting(["10.0.0.0/8"]);
        assert_eq!(client(&layer, "10.0.0.1", &both), "1.1.1.1");
        assert_eq!(client(&layer.forwarded(), "10.0.0.1", &both), "2.2.2.2");
    }

    #[test]
    fn the_forwarded_header_is_read_from_the_right() {
        let layer = ClientIp::trusting(["10.0.0.0/8"]).forwarded();
        let at = |value: &str| client(&layer, "10.0.0.1", &[("forwarded", value)]);
        assert_eq!(at("for=6.6.6.6, for=1.1.1.1"), "1.1.1.1");
        assert_eq!(
            at(r#"For="[2001:db8::1]:4711";proto=https;by=10.2.3.4"#),
            "2001:db8::1"
        );
        assert_eq!(
            at(r#"for=6.6.6.6, host="a, for=7.7.7.7" ; for="1.1.1.1:80", for=10.2.3.4"#),
            "1.1.1.1"
        );
        // What the client sent cannot reach into what the proxy added.
        for sent in [
            r#"for=6.6.6.6;x=""#,
            r#"for=6.6.6.6;x="\"#,
            r#"for="6.6.6.6"#,
        ] {
            assert_eq!(at(&format!("{sent}, for=1.1.1.1")), "1.1.1.1", "{sent}");
            let quoted = format!(r#"{sent}, for="[2001:db8::1]:4711""#);
            assert_eq!(at(&quoted), "2001:db8::1", "{sent}");
        }
        let host = r#"for=1.1.1.1;host="x\", for=6.6.6.6;y=\"""#;
        assert_eq!(at(host), "1.1.1.1");
        for unreadable in [
            "for=unknown",
            "for=_x",
            "proto=http",
            "for=1.1.1.1;for=2.2.2.2",
            "for",
        ] {
            let value = format!("for=6.6.6.6, {unreadable}");
            assert_eq!(at(&value), "10.0.0.1", "{value}");
        }
    }

    #[test]
    fn the_headers_of_content_networks_are_believed_from_them_only() {
        let cloudflare = ClientIp::cloudflare(["10.0.0.0/8"]);
        let header = |value| [("cf-connecting-ip", value)];
        assert_eq!(
            client(&cloudflare, "10.0.0.1", &header("2001:db8::1")),
            "2001:db8::1"
        );
        assert_eq!(
            client(&cloudflare, "192.0.2.7", &header("1.1.1.1")),
            "192.0.2.7"
        );
        assert_eq!(
            client(&cloudflare, "10.0.0.1", &header("nonsense")),
            "10.0.0.1"
        );
        let twice = [
            ("cf-connecting-ip", "1.1.1.1"),
            ("cf-connecting-ip", "2.2.2.2"),
        ];
        assert_eq!(client(&cloudflare, "10.0.0.1", &twice), "10.0.0.1");

        let cloudfront = ClientIp::cloudfront(["10.0.0.0/8"]);
        let at = |value: &str| {
            client(
                &cloudfront,
                "10.0.0.1",
                &[("cloudfront-viewer-address", value)],
            )
        };
        assert_eq!(at("198.51.100.10:46532"), "198.51.100.10");
        assert_eq!(at("2001:db8::1:46532"), "2001:db8::1");
        assert_eq!(at("[2001:db8::1]:46532"), "2001:db8::1");
        assert_eq!(at("198.51.100.10"), "10.0.0.1");
    }

    #[test]
    fn an_ipv4_peer_in_ipv6_disguise_is_recognized() {
        let mut extensions = http::Extensions::new();
        let addr: SocketAddr = "[::ffff:10.0.0.1]:80".parse().expect("an address");
        extensions.insert(ConnectInfo(addr));
        let layer = ClientIp::trusting(["10.0.0.0/8"]);
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static(XFF),
            http::HeaderValue::from_static("1.1.1.1"),
        )]);
        let client = layer.0.client(Peer::of(&extensions), &headers);
        assert_eq!(client, "1.1.1.1".parse().ok());
    }

    #[test]
    fn what_is_no_network_trusts_nobody_and_is_a_mistake() {
        for network in ["10.0.0.0/33", "nonsense", "", "10.0.0.0/-1", "fd00::/129"] {
            let layer = ClientIp::trusting([network]);
            assert_eq!(client(&layer, "10.0.0.1", &[(XFF, "1.1.1.1")]), "10.0.0.1");
            let mistake = layer.check().expect_err(network);
            assert!(
                mistake.starts_with(&format!("`{network}` is not a network")),
                "{mistake}"
            );
        }
        assert_eq!(ClientIp::trusting(["10.1.2.3/8", "::1"]).check(), Ok(()));
    }

    /// Addresses that are near each other, so that some are in one network.
    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::from((bits & 0x8000_00ff).to_be_bytes())),
            any::<u32>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
            (any::<u16>(), any::<u8>()).prop_map(|(high, low)| {
                let bits = u128::from(high) << 112 | u128::from(low);
                IpAddr::from(bits.to_be_bytes())
            }),
        ]
    }

    fn bits(ip: IpAddr) -> Vec<bool> {
        let octets = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let bits = |octet: u8| (0..8).map(move |bit| octet << bit & 0x80 != 0);
        octets.into_iter().flat_map(bits).collect()
    }

    proptest! {
        #[test]
        fn a_network_is_the_addresses_that_begin_with_its_bits(base in address(), prefix in 0_usize..=128, peer in address()) {
            let (base_bits, peer_bits) = (bits(base), bits(peer.to_canonical()));
            let layer = ClientIp::trusting([format!("{base}/{prefix}")]);
            let is_network = prefix <= base_bits.len();
            prop_assert_eq!(layer.check().is_ok(), is_network);
            let is_inside = is_network
                && base_bits.len() == peer_bits.len()
                && base_bits[..prefix] == peer_bits[..prefix];
            prop_assert_eq!(layer.0.trusts(Peer::Ip(peer.to_canonical())), is_inside);
        }

        #[test]
        fn an_address_is_read_in_every_way_that_proxies_write_it(ip in address(), port: u16) {
            let client_ip = Some(ip.to_canonical());
            let addr = SocketAddr::new(ip, port);
            prop_assert_eq!(hops::address(&ip.to_string()), client_ip);
            prop_assert_eq!(hops::address(&format!(" {addr}\t")), client_ip);
            prop_assert_eq!(hops::address_then_port(&addr.to_string()), client_ip);
            prop_assert_eq!(hops::address_then_port(&format!("{ip}:{port}")), client_ip);
            if ip.is_ipv6() {
                prop_assert_eq!(hops::address(&format!("[{ip}]")), client_ip);
            }
        }

        #[test]
        fn no_text_makes_reading_an_address_panic(text in "[0-9a-f:.\\[\\] %]{0,24}|\\PC*") {
            let _ = (hops::address(&text), hops::address_then_port(&text));
        }
    }
}
