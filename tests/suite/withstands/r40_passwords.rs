//! R40: passwords that are expensive to verify, tried by many clients at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    task::JoinSet,
};
use wasabi::prelude::*;
use wasabi_tests::{TestServer, raw, serve, serve_with, soon, until};

/// Takes tens of milliseconds to verify; the tests never use a matching password.
const SLOW: &str = "$argon2id$v=19$m=2048,t=1,p=1$YSBzYWx0IG9mIDE2IGJ5$VybhHsfjij0O3eSta7Hv9iWiw5UmJOvsYPP8bFf65LM";

fn staff() -> BasicAuth {
    BasicAuth::users([("alice", SLOW), ("bob", "builder")])
}

/// Returns the answer to a login from this address of the loopback interface.
async fn login(addr: std::net::SocketAddr, from: [u8; 4], credentials: &str) -> String {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind((from, 0).into())
        .expect("an address of this machine");
    let mut stream = socket.connect(addr).await.expect("TCP connection");
    let credentials = BASE64_STANDARD.encode(credentials);
    let request = format!(
        "GET / HTTP/1.1\r\nhost: test\r\nauthorization: Basic {credentials}\r\n{}\r\n",
        raw::HANDSHAKE
    );
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    String::from_utf8(head).expect("text")
}

/// Sends many wrong logins from one address; also returns how many have been answered.
fn guess(server: &TestServer, guesses: usize) -> (JoinSet<String>, Arc<AtomicUsize>) {
    let (mut guessing, answered) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for guess in 0..guesses {
        let (addr, answered) = (server.addr, Arc::clone(&answered));
        guessing.spawn(async move {
            let answer = login(addr, [127, 0, 0, 2], &format!("alice:{guess}")).await;
            answered.fetch_add(1, Ordering::SeqCst);
            answer
        });
    }
    (guessing, answered)
}

#[tokio::test]
async fn a_good_login_waits_for_one_of_the_bad_ones_of_each_other_address() {
    let staff = staff().hash_threads(1).hash_queue(100);
    let gateway = gateway!(channel("/", http = [staff], async |text: Text| text));
    let server = serve_with(gateway, |server| {
        // A busy machine takes seconds for each login.
        server.request_timeout(Duration::from_secs(600))
    })
    .await;
    let (guessing, answered) = guess(&server, 20);
    until("guesses are answered", || {
        answered.load(Ordering::SeqCst) > 2
    })
    .await;
    let before = answered.load(Ordering::SeqCst);
    let good = soon(login(server.addr, [127, 0, 0, 1], "bob:builder")).await;
    assert!(good.starts_with("HTTP/1.1 101"), "{good}");
    let meanwhile = answered.load(Ordering::SeqCst) - before;
    assert!(meanwhile <= 5, "it has waited for {meanwhile} others");
    for answer in guessing.join_all().await {
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
}

#[tokio::test]
async fn logins_beyond_the_queue_are_503_for_the_address_with_the_most() {
    let staff = staff().hash_threads(1).hash_queue(4);
    let server = serve(gateway!(channel(
        "/",
        http = [staff],
        async |text: Text| text
    )))
    .await;
    let (guessing, answered) = guess(&server, 40);
    until("some are refused", || answered.load(Ordering::SeqCst) > 5).await;
    let good = soon(login(server.addr, [127, 0, 0, 1], "bob:builder")).await;
    assert!(good.starts_with("HTTP/1.1 101"), "{good}");
    let answers = guessing.join_all().await;
    let full: Vec<_> = answers
        .iter()
        .filter(|answer| answer.starts_with("HTTP/1.1 503"))
        .collect();
    assert!(full.len() > 10, "{} were refused", full.len());
    assert!(full.iter().all(|answer| answer.contains("retry-after: 1")));
}

#[tokio::test]
async fn zero_threads_and_no_queue_are_mistakes() {
    for staff in [
        staff().hash_threads(std::hint::black_box(0)),
        staff().hash_queue(std::hint::black_box(0)),
    ] {
        let gateway = gateway!(channel("/", http = [staff], async |text: Text| text));
        let mistakes = gateway.check().expect_err("a mistake");
        assert!(
            mistakes[0]
                .to_string()
                .contains("zero makes no sense in `BasicAuth::hash_")
        );
    }
}
