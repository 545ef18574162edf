//! R21: TLS versions before 1.2 are refused. The other tests of TLS are in `tls.rs`.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasabi::{Tls, prelude::*};
use wasabi_tests::{serve_with, soon};

/// A client hello that offers at most this version, with matching ciphers.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    // No session; AES with SHA-1 and with SHA-256; no compression; an extension: signatures with RSA and SHA-256.
    body.extend([0, 0, 6, 0xc0, 0x13, 0xc0, 0x2f, 0x00, 0x2f, 1, 0]);
    body.extend([0, 8, 0, 13, 0, 4, 0, 2, 4, 1]);
    let mut hello = vec![
        0x16,
        3,
        1,
        0,
        body.len() as u8 + 4,
        1,
        0,
        0,
        body.len() as u8,
    ];
    hello.extend(body);
    hello
}

#[tokio::test]
async fn tls_1_0_and_1_1_are_refused_with_an_alert() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let rcgen::CertifiedKey { cert, signing_key } = made.expect("a certificate");
    let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
    let tls = Tls::from_pem_bytes(certificate.as_bytes(), key.as_bytes()).expect("TLS");
    let gateway = gateway!(channel("/", async |text: Text| text));
    let server = serve_with(gateway, |server| server.tls(tls)).await;
    for (minor, refused) in [(1, true), (2, true), (3, false)] {
        let mut stream = server.tcp().await;
        stream.write_all(&hello([3, minor])).await.unwrap();
        let mut alert = [0; 7];
        soon(stream.read_exact(&mut alert)).await.unwrap();
        // Fatal: protocol_version (RFC 8446, section 6.2).
        let protocol_version = (alert[0], &alert[5..]) == (0x15, &[2, 70]);
        assert_eq!(protocol_version, refused, "3.{minor}: {alert:?}");
    }
}
