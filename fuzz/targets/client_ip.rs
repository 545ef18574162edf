//! What proxies say about the client: a line with the peer, a line with the kind of proxy, then a header a line.
//! Nobody is believed who is not trusted, and what stands to the left of the client's address does not matter.
#![no_main]

use std::{
    convert::Infallible,
    future::ready,
    net::{IpAddr, SocketAddr},
};

use axum::extract::ConnectInfo;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, ServiceExt, service_fn};
use wasabi::prelude::ClientIp;
use wasabi_fuzz::lines;

const TRUSTED: [&str; 3] = ["10.0.0.0/8", "fd00::/8", "192.0.2.1"];

fn is_trusted(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 10 || ip.octets() == [192, 0, 2, 1],
        IpAddr::V6(ip) => ip.octets()[0] == 0xfd,
    }
}

fn client(kind: &[u8], peer: SocketAddr, headers: HeaderMap) -> IpAddr {
    let layer = match kind {
        b"forwarded" => ClientIp::trusting(TRUSTED).forwarded(),
        b"cf-connecting-ip" => ClientIp::cloudflare(TRUSTED),
        b"cloudfront-viewer-address" => ClientIp::cloudfront(TRUSTED),
        _ => ClientIp::trusting(TRUSTED),
    };
    let found = layer.layer(service_fn(|req: Request<()>| {
        ready(Ok::<_, Infallible>(
            req.extensions().get::<ClientIp>().copied(),
        ))
    }));
    let mut req = Request::new(());
    *req.headers_mut() = headers;
    req.extensions_mut().insert(ConnectInfo(peer));
    let found = found.oneshot(req).now_or_never().expect("nothing waits");
    found.expect("infallible").expect("the peer is known").0
}

/// The address in a hop of `X-Forwarded-For`.
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let ip = text.parse().ok();
    let ip = ip.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    let ip = ip.or_else(|| {
        format!("{text}:0")
            .parse::<SocketAddr>()
            .ok()
            .map(|addr| addr.ip())
    });
    ip.map(|ip| ip.to_canonical())
}

/// The client by `X-Forwarded-For`, from a list of all hops.
fn by_x_forwarded_for(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let lines = headers.get_all("x-forwarded-for").iter();
    let lines: Vec<_> = lines.map(HeaderValue::as_bytes).collect();
    let list = lines.join(&b',');
    let mut client = peer;
    for text in list.split(|byte| *byte == b',').rev() {
        match std::str::from_utf8(text).ok().and_then(hop) {
            Some(ip) if is_trusted(client) => client = ip,
            _ => break,
        }
    }
    client
}

fuzz_target!(|data: &[u8]| {
    let mut lines = lines(data);
    let peer = lines
        .next()
        .and_then(|line| std::str::from_utf8(line).ok()?.parse::<IpAddr>().ok());
    let (Some(peer), Some(kind)) = (peer, lines.next()) else {
        return;
    };
    let mut headers = HeaderMap::new();
    for line in lines.take(16) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    let addr = SocketAddr::new(peer, 1);
    let peer = peer.to_canonical();
    let found = client(kind, addr, headers.clone());
    if !is_trusted(peer) {
        assert_eq!(found, peer);
        return;
    }
    let name = match kind {
        b"forwarded" => "forwarded",
        b"cf-connecting-ip" | b"cloudfront-viewer-address" => return,
        _ => {
            assert_eq!(found, by_x_forwarded_for(peer, &headers));
            "x-forwarded-for"
        }
    };
    if is_trusted(found) {
        return;
    }
    // The client may have sent the first header line, or the beginning of it.
    for forged in [
        &b"6.6.6.6"[..],
        b"for=6.6.6.6",
        b"for=\"6.6.6.6",
        b"\"",
        b"for=\"\\",
    ] {
        let lines: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
        let first = lines.first().expect("somebody was named").as_bytes();
        let mut changed = headers.clone();
        changed.remove(name);
        changed.append(name, HeaderValue::from_bytes(forged).expect("a value"));
        for line in &lines {
            changed.append(name, line.clone());
        }
        assert_eq!(client(kind, addr, changed.clone()), found);
        changed.remove(name);
        let longer = [forged, first].join(&b',');
        changed.append(name, HeaderValue::from_bytes(&longer).expect("a value"));
        for line in &lines[1..] {
            changed.append(name, line.clone());
        }
        assert_eq!(client(kind, addr, changed), found);
    }
});
