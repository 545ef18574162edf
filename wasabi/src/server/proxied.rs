//! The PROXY protocol: a header in which a proxy names its client.

use std::{
    io::{self, ErrorKind::InvalidData},
    net::SocketAddr,
};

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The maximum length of a version 1 header, from the specification.
const MAX_LINE: usize = 107;

/// The maximum number of bytes after the first 16 of version 2: addresses and further fields.
const MAX_REST: usize = 4 * 1024;

/// Reads the header and nothing after it. Returns the client's address, or `None` if the proxy speaks for itself or for
/// a client without an address.
pub(super) async fn client(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SIGNATURE.len()];
    io.read_exact(&mut header).await?;
    if header == SIGNATURE {
        let mut fixed = [0; 4];
        io.read_exact(&mut fixed).await?;
        header.extend(fixed);
        let rest = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if rest > MAX_REST {
            return Err(InvalidData.into());
        }
        let start = header.len();
        header.resize(start + rest, 0);
        io.read_exact(&mut header[start..]).await?;
    } else if header.starts_with(b"PROXY ") {
        while !header.ends_with(b"\r\n") {
            if header.len() == MAX_LINE {
                return Err(InvalidData.into());
            }
            header.push(io.read_u8().await?);
        }
    } else {
        return Err(InvalidData.into());
    }
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    let (parsed, length) =
        ProxyHeader::parse(&header, config).map_err(|error| io::Error::new(InvalidData, error))?;
    if length != header.len() {
        return Err(InvalidData.into());
    }
    Ok(parsed.proxied_address().map(|address| address.source))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads the client from these bytes; also returns how many bytes are left.
    fn read(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, usize) {
        let mut rest = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let read = runtime.expect("a runtime").block_on(client(&mut rest));
        (read, rest.len())
    }

    #[test]
    fn both_versions_name_the_client_and_nothing_after_them_is_read() {
        let v1 = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\nGET";
        let (client, left) = read(v1);
        assert_eq!(client.expect("a header"), "203.0.113.7:4711".parse().ok());
        assert_eq!(left, 3);
        let v2 = [
            SIGNATURE.as_slice(),
            &[
                0x21, 0x11, 0, 15, 203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 1, 0xbb, 4, 0, 0,
            ],
            b"GET",
        ];
        let (client, left) = read(&v2.concat());
        assert_eq!(client.expect("a header"), "203.0.113.7:4711".parse().ok());
        assert_eq!(left, 3);
        for local in [
            b"PROXY UNKNOWN\r\n".to_vec(),
            [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat(),
        ] {
            assert_eq!(read(&local).0.expect("a header"), None);
        }
    }

    #[test]
    fn an_invalid_header_is_an_error() {
        let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
        for bytes in [
            &b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..],
            b"PROXY TCP4 203.0.113.7\r\n",
            b"PROXY TCP4 nonsense 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 203.0.113.7 10.0.0.1 4711",
            b"PROXY",
            long.as_bytes(),
            &[&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat(),
            &[&SIGNATURE[..], &[0x11, 0x11, 0, 0]].concat(),
        ] {
            assert!(read(bytes).0.is_err(), "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), v2 in any::<bool>()) {
            let start: &[u8] = if v2 { SIGNATURE } else { b"PROXY TCP4 " };
            let _ = read(&[start, &bytes].concat());
        }
    }
}
