//! The examples, as programs of their own.

use super::*;

/// A program that does what systemd does: it opens a socket and becomes the gateway.
const SYSTEMD: &str = "
import os, socket, sys
opened = socket.create_server(('127.0.0.1', 0))
print('ws://127.0.0.1:%d' % opened.getsockname()[1], flush=True)
os.dup2(opened.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
";

#[tokio::test]
#[ignore = "needs Python: run tests/run"]
async fn the_production_example_reads_its_file_takes_an_open_socket_and_drains() {
    let file = std::env::temp_dir().join(format!("wasabi-production-{}", std::process::id()));
    let settings = include_str!("../../examples/production/gateway.json")
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("0.0.0.0:8081", "127.0.0.1:0")
        .replace("0.0.0.0:9090", "127.0.0.1:0")
        .replace(r#""drain_delay": "5s""#, r#""drain_delay": "100ms""#);
    std::fs::write(&file, settings).expect("a file");
    let mut systemd = Command::new("python3");
    systemd
        .args(["-c", SYSTEMD])
        .arg(Example::command("production").get_program())
        .arg(&file);
    let mut gateway = Example::run(systemd, "ws://");
    // It may not have begun to listen: the client waits.
    let client = Client::connect(format!("{}/v1", gateway.url())).await;
    let mut client = client.expect("a WebSocket");
    assert_eq!(client.ask(r#"{"do":"whoami"}"#).await, "127.0.0.1");
    gateway.signal("TERM");
    assert_eq!(client.closed().await.0, 1012);
    assert!(gateway.wait().success());
    std::fs::remove_file(&file).expect("a file");
}

#[tokio::test]
async fn the_passthrough_example_passes_everything_through() {
    let example = Example::start("passthrough", &["127.0.0.1:0"]);
    let url = format!("{}/?name=me", example.url());
    let (mut socket, _) = soon(tokio_tungstenite::connect_async(url))
        .await
        .expect("handshake");
    let greeting = soon(socket.next())
        .await
        .expect("a greeting")
        .expect("a greeting");
    assert_eq!(greeting.into_text().expect("text"), "hello, name=me");
    assert_eq!(ask(&mut socket, "loud").await, "LOUD");
}

#[tokio::test]
async fn the_load_balance_example_skips_the_broken_node() {
    let example = Example::start("load_balance", &["127.0.0.1:0"]);
    let (mut socket, _) = soon(tokio_tungstenite::connect_async(example.url()))
        .await
        .expect("handshake");
    let mut big = 0;
    for _ in 0..100 {
        match &*ask(&mut socket, "who?").await {
            "big" => big += 1,
            "small" => {}
            other => panic!("{other}"),
        }
    }
    assert!((60..90).contains(&big), "3 of 4 should be {big} of 100");
}

#[tokio::test]
async fn the_bff_example_composes_calls_beside_a_passthrough() {
    let example = Example::start("bff", &["127.0.0.1:0"]);
    let (mut socket, _) = soon(tokio_tungstenite::connect_async(example.url()))
        .await
        .expect("handshake");
    let request = r#"{"method":"aggregate","params":{"user":3},"req_id":7,"passthrough":{"k":1}}"#;
    let reply: serde_json::Value =
        serde_json::from_str(&ask(&mut socket, request).await).expect("JSON");
    assert_eq!(
        reply,
        serde_json::json!({"req_id": 7, "balance": 307, "passthrough": {"k": 1}})
    );
    for unchanged in [r#"{"ping":"1"}"#, "not JSON"] {
        assert_eq!(ask(&mut socket, unchanged).await, unchanged);
    }
    socket
        .send(Message::binary(vec![0, 1, 255]))
        .await
        .expect("send");
    let reply = soon(socket.next())
        .await
        .expect("a reply")
        .expect("a reply");
    assert_eq!(reply, Message::binary(vec![0, 1, 255]));
    let wrong = r#"{"method":"aggregate","params":{},"req_id":8}"#;
    let reply: serde_json::Value =
        serde_json::from_str(&ask(&mut socket, wrong).await).expect("JSON");
    assert_eq!(
        (&reply["req_id"], &reply["error"]["code"]),
        (&8.into(), &"invalid_params".into())
    );
}

#[tokio::test]
async fn the_auth_example_issues_and_accepts_tokens() {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;

    let example = Example::start("auth", &["127.0.0.1:0"]);
    let login = format!("{}/login", example.url());
    let mut request = login.as_str().into_client_request().expect("a URL");
    let alice = "Basic YWxpY2U6d29uZGVybGFuZA==".parse().expect("a value");
    request.headers_mut().insert("authorization", alice);
    let (mut socket, _) = soon(tokio_tungstenite::connect_async(request))
        .await
        .expect("handshake");
    let (token, other) = (ask(&mut socket, "me").await, ask(&mut socket, "me").await);

    let with_token = format!("{}/?token={token}", example.url());
    let (mut socket, _) = soon(tokio_tungstenite::connect_async(&with_token))
        .await
        .expect("handshake");
    assert_eq!(ask(&mut socket, "hi").await, "hello, alice");
    let stay = ask(&mut socket, &format!("refresh {other}")).await;
    assert_eq!(stay, "you may stay");
    let refused = ask(&mut socket, "refresh nonsense").await;
    assert!(refused.starts_with("unauthorized"), "{refused}");

    for refused in [login, format!("{with_token}x")] {
        let answer = soon(tokio_tungstenite::connect_async(&refused)).await;
        let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = answer else {
            panic!("{refused}: {answer:?}");
        };
        assert_eq!(answer.status(), 401);
    }
}

#[tokio::test]
async fn the_chat_example_sends_a_message_to_its_room() {
    let example = Example::start("chat", &["127.0.0.1:0"]);
    let enter = async |name: &str, room: &str| {
        let url = format!("{}/chat?name={name}", example.url());
        let (mut socket, _) = soon(tokio_tungstenite::connect_async(url))
            .await
            .expect("handshake");
        let join = serde_json::json!({"action": "join", "room": room});
        let line = ask(&mut socket, &join.to_string()).await;
        let expected = format!(r#"{{"room":"{room}","from":"{name}","text":"has come in"}}"#);
        assert_eq!(line, expected);
        socket
    };
    let mut alice = enter("alice", "blue").await;
    let mut bob = enter("bob", "red").await;
    let mut eve = enter("eve", "blue").await;
    soon(alice.next()).await.expect("eve").expect("eve");

    let say = r#"{"action":"say","room":"blue","text":"<b>hello</b>"}"#;
    let line = r#"{"room":"blue","from":"eve","text":"<b>hello</b>"}"#;
    assert_eq!(ask(&mut eve, say).await, line);
    let heard = soon(alice.next()).await.expect("eve").expect("eve");
    assert_eq!(heard.into_text().expect("text"), line);
    assert!(ask(&mut bob, say).await.contains("not_in_room"));
    let unknown = ask(&mut bob, r#"{"action":"shout"}"#).await;
    assert!(unknown.contains("no_route"), "{unknown}");
}

#[test]
#[ignore = "needs Chromium and npm's playwright-core: run tests/run"]
fn the_page_of_the_chat_connects_two_tabs_and_reconnects_after_a_restart() {
    let mut node = Command::new("node");
    node.arg(clients().join("chat.mjs"))
        .arg(Example::command("chat").get_program());
    assert_ok(node);
}

#[test]
#[ignore = "needs Chromium and npm's playwright-core: run tests/run"]
fn the_page_of_the_login_example_authenticates_in_every_way_a_browser_can() {
    let mut node = Command::new("node");
    node.arg(clients().join("login.mjs"))
        .arg(Example::command("login").get_program());
    assert_ok(node);
}

#[tokio::test]
async fn the_login_example_waits_for_the_first_message() {
    let example = Example::start("login", &["127.0.0.1:0"]);
    let url = format!("{}/ws", example.url());
    let open = async || soon(tokio_tungstenite::connect_async(&url)).await;
    let (mut socket, _) = open().await.expect("handshake");
    let refused = ask(&mut socket, r#"{"action":"who"}"#).await;
    assert!(refused.contains("unauthorized"), "{refused}");
    let login = r#"{"action":"login","token":"alice.token"}"#;
    assert_eq!(ask(&mut socket, login).await, r#"{"welcome":"alice"}"#);
    let user = ask(&mut socket, r#"{"action":"who"}"#).await;
    assert_eq!(user, r#"{"user":"alice"}"#);

    let strict = format!("{}/strict", example.url());
    let (mut socket, _) = soon(tokio_tungstenite::connect_async(&strict))
        .await
        .expect("handshake");
    let Some(Ok(Message::Close(Some(close)))) = soon(socket.next()).await else {
        panic!("expected a close");
    };
    assert_eq!(u16::from(close.code), 4401);
}

#[tokio::test]
async fn the_queue_example_hands_orders_to_a_worker() {
    let example = Example::start("queue", &["--addr", "127.0.0.1:0"]);
    let (mut socket, _) = soon(tokio_tungstenite::connect_async(example.url()))
        .await
        .expect("handshake");
    let view = r#"{"action":"order.view","item":"coffee"}"#;
    socket.send(view.into()).await.expect("send");
    let place = r#"{"action":"order.place","id":7,"item":"tea"}"#;
    assert_eq!(ask(&mut socket, place).await, r#"{"id":7,"placed":"tea"}"#);
    let unknown = ask(&mut socket, r#"{"action":"order.eat"}"#).await;
    assert!(unknown.contains("no_route"), "{unknown}");
    drop(socket);
    let output = example.stop_and_read();
    for part in ["wscat", "coffee", "order.place"] {
        assert!(output.contains(part), "no {part:?} in\n{output}");
    }
}

#[test]
fn the_queue_example_runs_a_worker_alone_only_beside_a_real_broker() {
    for args in [
        &["--only", "worker"][..],
        &["--redis", "redis://a/", "--nats", "nats://b"],
    ] {
        let mut command = Example::command("queue");
        let status = command.args(args).stderr(Stdio::null()).status();
        assert_eq!(status.expect("it runs").code(), Some(2), "{args:?}");
    }
}
