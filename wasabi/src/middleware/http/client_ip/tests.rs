use proptest::prelude::*;

use super::*;

fn client(layer: &ClientIpLayer, peer: &str, headers: &[(&'static str, &str)]) -> String {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().expect("a header value"));
    }
    let peer = Peer::Ip(peer.parse().expect("an address"));
    client_of(layer, peer, &map)
        .expect("an address")
        .to_string()
}

fn client_of(layer: &ClientIpLayer, peer: Peer, headers: &HeaderMap) -> Option<IpAddr> {
    let hops = layer.0.hops(peer, headers);
    hops.first().copied().or(peer.ip())
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
fn the_rightmost_hop_that_is_not_a_proxy_is_the_client() {
    let layer = ClientIp::trusting(["10.0.0.0/8", "fd00::/8", "192.0.2.1"]);
    let at = |value: &str| client(&layer, "10.0.0.1", &[(XFF, value)]);
    assert_eq!(at("1.1.1.1"), "1.1.1.1");
    assert_eq!(at("6.6.6.6, 1.1.1.1"), "1.1.1.1");
    assert_eq!(at("6.6.6.6,1.1.1.1 , 10.2.3.4,192.0.2.1"), "1.1.1.1");
    assert_eq!(at("6.6.6.6, 2001:db8::1, fd00::2"), "2001:db8::1");
    // All addresses are inside the network.
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
fn an_unreadable_hop_hides_everything_left_of_it() {
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
    // Whatever the client sent, it cannot affect what the proxy added.
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
        // Quotes that do not surround a value.
        r#"x";for=1.1.1.1"#,
        r#"x=a";for=1.1.1.1"#,
        r#"x="a"b"c";for=1.1.1.1"#,
        r#"x="a\";for=1.1.1.1"#,
        r#"x="";for="1.1.1.1"#,
        r#""x"=a;for=1.1.1.1"#,
    ] {
        let value = format!("for=6.6.6.6, {unreadable}");
        assert_eq!(at(&value), "10.0.0.1", "{value}");
    }
    assert_eq!(at(r#"x=a,b";for=1.1.1.1"#), "10.0.0.1");
}

#[test]
fn headers_of_content_networks_are_believed_only_from_them() {
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
    assert_eq!(at("198.51.100.10:https"), "10.0.0.1");
}

#[test]
fn an_ipv4_peer_mapped_to_ipv6_is_recognized() {
    let mut extensions = http::Extensions::new();
    let addr: SocketAddr = "[::ffff:10.0.0.1]:80".parse().expect("an address");
    extensions.insert(ConnectInfo(addr));
    let layer = ClientIp::trusting(["10.0.0.0/8"]);
    let headers = HeaderMap::from_iter([(
        http::HeaderName::from_static(XFF),
        http::HeaderValue::from_static("1.1.1.1"),
    )]);
    let client = client_of(&layer, Peer::of(&extensions), &headers);
    assert_eq!(client, "1.1.1.1".parse().ok());
}

#[test]
fn an_ipv4_proxy_may_be_written_as_mapped_ipv6() {
    let layer = ClientIp::trusting(["::ffff:10.0.0.0/104", "::ffff:192.0.2.1"]);
    assert_eq!(layer.check(), Ok(()));
    for peer in ["10.0.0.1", "10.255.2.3", "192.0.2.1"] {
        assert_eq!(client(&layer, peer, &[(XFF, "1.1.1.1")]), "1.1.1.1");
    }
    for peer in ["11.0.0.1", "192.0.2.2", "::1"] {
        assert_eq!(client(&layer, peer, &[(XFF, "1.1.1.1")]), peer);
    }
    let mistake = ClientIp::trusting(["::ffff:10.0.0.0/8"]).check();
    let mistake = mistake.expect_err("it is neither an IPv4 nor an IPv6 network");
    assert!(mistake.contains("`::ffff:10.0.0.0/8`"), "{mistake}");
}

#[test]
fn an_invalid_network_trusts_nobody_and_is_a_mistake() {
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

/// Addresses close to each other, so that some share a network.
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
    fn an_ipv4_network_is_the_same_as_mapped_ipv6(base: u32, prefix in 0_usize..=128, peer in address()) {
        let base = std::net::Ipv4Addr::from(base & 0x8000_00ff);
        let disguised = ClientIp::trusting([format!("{}/{prefix}", base.to_ipv6_mapped())]);
        prop_assert_eq!(disguised.check().is_ok(), prefix >= 96);
        let is_inside = prefix >= 96
            && ClientIp::trusting([format!("{base}/{}", prefix - 96)]).0.trusts(Peer::Ip(peer));
        prop_assert_eq!(disguised.0.trusts(Peer::Ip(peer)), is_inside);
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
