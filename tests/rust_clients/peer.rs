//! The module `client`, against a server that does as the test says.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use socket2::SockRef;
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::client::{Client, Options, RequestError, State, Unasked, Url, Wire};
use wasabi_tests::{
    soon, until,
    websocket_upstream::{Peer, Upstream},
};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
/// More than the sockets hold.
const LARGE: usize = 64 << 20;

/// A server, its first connection, and the client of that.
async fn connected(options: Options) -> (Upstream, Peer, Client) {
    let mut server = Upstream::start().await;
    let wire = Wire::keyed(&["do"], &["id"]);
    let client = Client::connect(Url::new(&server.url("")), wire, options).expect("a URL");
    let peer = server.accept().await;
    assert_eq!(soon(client.opened()).await, State::Open);
    (server, peer, client)
}

/// Closes a connection and waits for the answer, but leaves it open.
async fn close(peer: &mut Peer, code: u16) {
    peer.close(code, "").await;
    assert_eq!(peer.closed().await.0, code);
}

/// Waits for a byte of the client, and leaves it where it is.
async fn begins_to_arrive(peer: &Peer) {
    let mut byte = [0];
    let peeked = soon(peer.socket.get_ref().peek(&mut byte)).await;
    assert_eq!(peeked.expect("a byte"), 1);
}

#[tokio::test]
async fn what_is_asked_after_the_close_frame_goes_over_the_next_connection() {
    let (mut server, mut first, client) = connected(Options::new().pauses(MS, MS, MS)).await;
    close(&mut first, 1012).await;
    let order = json!({ "item": "tea" });
    let asked = client.request::<Value, String>("order", &order);
    let answered = async {
        let mut second = server.accept().await;
        let text = second.text().await;
        second.send(text.as_str()).await;
        second
    };
    let (reply, _second) = tokio::join!(soon(asked), answered);
    assert_eq!(reply.expect("a reply")["item"], "tea");
}

#[tokio::test]
async fn closing_never_sends_an_order_again() {
    let (mut server, mut first, client) = connected(Options::new().pauses(MS, MS, MS)).await;
    let body = json!({ "item": "tea" });
    let asked = client.request::<Value, String>("order", &body);
    let drains = async {
        let order: Value = serde_json::from_str(&first.text().await).expect("JSON");
        let error = json!({ "code": "closing", "message": "the gateway is closing" });
        let error = json!({ "id": order["id"], "error": error });
        first.send(error.to_string()).await;
        close(&mut first, 1012).await;
    };
    let (reply, ()) = tokio::join!(soon(asked), drains);
    match reply {
        Err(RequestError::Gateway { code, .. }) => assert_eq!(code, "closing"),
        reply => panic!("{reply:?}"),
    }
    let mut second = server.accept().await;
    assert_eq!(soon(client.opened()).await, State::Open);
    client.post("next").expect("a connection");
    assert_eq!(second.text().await, "next");
}

#[tokio::test]
async fn a_busy_server_is_known_by_its_code_even_if_it_keeps_the_connection() {
    for code in [1012, 1013, 4429] {
        let (_server, mut peer, client) = connected(Options::new().pauses(MS, HOUR, HOUR)).await;
        close(&mut peer, code).await;
        let waits = || matches!(client.state(), State::Waiting { .. });
        until("it waits", waits).await;
        match client.state() {
            State::Waiting {
                code: told, pause, ..
            } => {
                assert_eq!(told, code);
                assert!(pause > 50 * MS, "{pause:?}");
            }
            state => panic!("{state:?}"),
        }
    }
}

#[tokio::test]
async fn the_application_decides_whether_to_connect_again() {
    let pauses = || Options::new().pauses(MS, MS, MS);
    for code in [1000, 4403] {
        let (_server, mut peer, client) = connected(pauses()).await;
        close(&mut peer, code).await;
        until("it ends", || client.state() != State::Open).await;
        assert!(matches!(client.state(), State::Closed { .. }), "{code}");

        let always = pauses().reconnect(|_, _| true);
        let (mut server, mut peer, _client) = connected(always).await;
        close(&mut peer, code).await;
        server.accept().await;
    }
    let never = pauses().reconnect(move |code, reason| code != 1012 || reason.is_empty());
    let (_server, mut peer, client) = connected(never).await;
    close(&mut peer, 1012).await;
    until("it ends", || client.state() != State::Open).await;
    assert!(matches!(client.state(), State::Closed { .. }));
}

#[tokio::test]
async fn a_call_may_have_a_deadline_of_its_own() {
    let (_server, _peer, client) = connected(Options::new().timeout(HOUR)).await;
    let hasty = client.with_timeout(20 * MS);
    let error = soon(hasty.request::<Value, String>("order", &())).await;
    let expected = RequestError::TimedOut {
        was_sent: true,
        reason: String::new(),
    };
    assert_eq!(error, Err(expected));
    let asked = client.request::<Value, String>("order", &());
    assert!(tokio::time::timeout(100 * MS, asked).await.is_err());
}

#[tokio::test]
async fn what_is_not_sent_in_time_says_why() {
    let options = Options::new()
        .timeout(20 * MS)
        .pauses(HOUR, HOUR, HOUR)
        .handshake(async || Err("no token".into()));
    let wire = Wire::keyed(&["do"], &["id"]);
    let client = Client::connect(Url::new("ws://localhost:1"), wire, options).expect("a URL");
    let waits = || matches!(client.state(), State::Waiting { .. });
    until("it waits", waits).await;
    let asked = soon(client.request::<Value, String>("order", &())).await;
    let error = asked.expect_err("no connection").to_string();
    assert_eq!(error, "not sent in time: no token");
}

#[tokio::test]
async fn a_client_ends_although_the_server_does_not_read() {
    let options = Options::new().max_message_size(LARGE);
    let (_server, peer, client) = connected(options).await;
    let mut events = client.events::<Unasked>();
    client.post("x".repeat(LARGE)).expect("a connection");
    begins_to_arrive(&peer).await;
    drop(client);
    assert!(soon(events.next()).await.is_none());
}

#[tokio::test]
async fn a_server_that_talks_and_does_not_read_is_lost() {
    let options = Options::new().ping(400 * MS).max_message_size(LARGE);
    let (_server, mut peer, client) = connected(options.pauses(HOUR, HOUR, HOUR)).await;
    client.post("x".repeat(LARGE)).expect("a connection");
    let talks = async {
        while peer.socket.send("news".into()).await.is_ok() {
            tokio::time::sleep(MS).await;
        }
    };
    let is_lost = || client.state() != State::Open;
    tokio::join!(talks, until("it is noticed", is_lost));
    let State::Waiting { reason, .. } = client.state() else {
        panic!("{:?}", client.state());
    };
    assert_eq!(reason, "a message was not sent in 1s");
}

#[tokio::test]
async fn answers_to_pings_that_nobody_reads_do_not_pile_up() {
    // More answers than the system holds between the two: some MiB.
    const PINGS: usize = 200_000;
    let (_server, peer, _client) = connected(Options::new().max_message_size(1)).await;
    let small = SockRef::from(peer.socket.get_ref()).set_recv_buffer_size(64 * 1024);
    small.expect("a small buffer");
    let (mut sink, mut stream) = peer.socket.split();
    let ping = |data: &'static [u8]| Frame::Ping(data.into());
    for _ in 0..PINGS {
        sink.feed(ping(&[0; 125])).await.expect("it is read");
    }
    // The answer to one of these comes once there is room for it.
    let asks = async {
        while sink.send(ping(b"last")).await.is_ok() {
            tokio::time::sleep(MS).await;
        }
    };
    let counts = async {
        let mut answers = 0;
        while let Some(Ok(frame)) = stream.next().await {
            match frame {
                Frame::Pong(data) if data == b"last"[..] => return answers,
                Frame::Pong(_) => answers += 1,
                _ => {}
            }
        }
        panic!("it ended after {answers} answers");
    };
    tokio::select! {
        answers = soon(counts) => assert!(answers < PINGS, "all {answers} waited"),
        () = asks => panic!("it ended"),
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_neither_sent_nor_read() {
    let options = Options::new().max_message_size(100);
    let (_server, mut peer, client) = connected(options.pauses(HOUR, HOUR, HOUR)).await;
    let mut events = client.events::<Unasked>();
    for size in [100, 101] {
        let text = "x".repeat(size);
        assert_eq!(client.post(text).is_ok(), size == 100);
    }
    let large = json!({ "item": "x".repeat(100) });
    let refused = soon(client.request::<Value, String>("order", &large)).await;
    assert!(
        matches!(refused, Err(RequestError::NotSent { .. })),
        "{refused:?}"
    );
    assert_eq!(peer.text().await.len(), 100);
    peer.send("x".repeat(100)).await;
    let event = soon(events.next()).await.and_then(|event| event.text());
    assert_eq!(event.map(|text| text.len()), Some(100));
    peer.send("x".repeat(101)).await;
    until("it is noticed", || client.state() != State::Open).await;
}

#[tokio::test]
async fn a_client_that_ends_hears_the_server_out() {
    let (_server, mut peer, client) = connected(Options::new()).await;
    client.close();
    begins_to_arrive(&peer).await;
    for _ in 0..100 {
        peer.send("news").await;
    }
    assert_eq!(peer.closed().await.0, 1000);
}

#[tokio::test]
async fn what_was_posted_is_written_before_the_client_ends() {
    let ends: [fn(Client); 2] = [|client| client.close(), drop];
    for end in ends {
        let (_server, mut peer, client) = connected(Options::new()).await;
        for number in 0..100 {
            client.post(number.to_string()).expect("a connection");
        }
        end(client);
        for number in 0..100 {
            assert_eq!(peer.text().await, number.to_string());
        }
        assert_eq!(peer.closed().await.0, 1000);
    }
}

#[tokio::test]
async fn a_program_may_end_once_its_connection_has_ended() {
    let mut server = Upstream::start().await;
    let url = server.url("");
    let program = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let client = Client::connect(Url::new(&url), Wire::plain(), Options::new());
            let client = client.expect("a URL");
            assert_eq!(soon(client.opened()).await, State::Open);
            client.post("the last word").expect("a connection");
            client.close();
            soon(client.closed()).await
        })
    });
    let mut peer = server.accept().await;
    assert_eq!(peer.text().await, "the last word");
    assert_eq!(peer.closed().await.0, 1000);
    let reason = "closed by the client".to_owned();
    let closed = State::Closed { code: 1000, reason };
    assert_eq!(program.await.expect("no panic"), closed);
}

#[tokio::test]
async fn a_client_that_does_not_connect_again_tells_why() {
    let (_server, mut peer, client) = connected(Options::new()).await;
    let ends = async {
        peer.close(4403, "not you").await;
        peer.closed().await;
    };
    let (state, ()) = tokio::join!(soon(client.closed()), ends);
    let reason = "the gateway closed the connection: 4403 \"not you\"".to_owned();
    assert_eq!(state, State::Closed { code: 4403, reason });
}

#[tokio::test]
async fn a_program_knows_when_what_it_posted_is_written() {
    // Less than the server's largest frame.
    let large = "x".repeat(LARGE / 5);
    let options = Options::new().max_message_size(LARGE);
    let (_server, mut peer, client) = connected(options.pauses(HOUR, HOUR, HOUR)).await;
    assert_eq!(soon(client.flush()).await, Ok(()));
    client.post(large.clone()).expect("a connection");
    client.post("small").expect("a connection");
    tokio::select! {
        biased;
        _ = client.flush() => panic!("nobody has read it"),
        () = begins_to_arrive(&peer) => {}
    }
    let reads = async {
        assert_eq!(peer.text().await.len(), large.len());
        assert_eq!(peer.text().await, "small");
    };
    let (flushed, ()) = tokio::join!(soon(client.flush()), reads);
    assert_eq!(flushed, Ok(()));

    client.post(large).expect("a connection");
    let crashes = async {
        begins_to_arrive(&peer).await;
        peer.crash();
    };
    let (flushed, ()) = tokio::join!(soon(client.flush()), crashes);
    assert!(flushed.is_err());
    // There is no connection now.
    assert!(soon(client.flush()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_can_be_closed_at_any_moment() {
    let server = Upstream::start().await;
    let url = server.url("");
    server.echo();
    for moment in 0..200 {
        let client = Client::connect(Url::new(&url), Wire::plain(), Options::new());
        let client = client.expect("a URL");
        for _ in 0..moment {
            tokio::task::yield_now().await;
        }
        client.close();
        let reason = "closed by the client".to_owned();
        let closed = State::Closed { code: 1000, reason };
        assert_eq!(soon(client.opened()).await, closed);
        assert!(client.post("late").is_err());
        assert_eq!(soon(client.closed()).await, closed);
    }
}
