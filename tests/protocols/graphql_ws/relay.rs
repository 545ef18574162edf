//! In front of a WebSocket server that speaks the protocol itself.

use serde_json::{Value, json};
use wasabi::{GraphqlWs, Init, prelude::*};
use wasabi_tests::{
    Client, Gate, TestServer, serve, soon, told, until,
    websocket_upstream::{Peer, Upstream},
};

use super::{complete, gated, next, open, result, subscribe};

fn relay(upstream: &Upstream, gate: &Gate) -> Gateway {
    let ticks = gated(gate);
    let server = WebSocket::connect(upstream.url("/"))
        .forward_subprotocol()
        .close_on_failed_dial();
    gateway!(channel(
        "/",
        protocol = GraphqlWs::relay(),
        match key {
            "Own" => async || result(5),
            "Ticks" => ticks,
            "subscribe" => async || result(9),
            "Limited" => with([Throttle::new(0)], NoRoute),
            _ => server,
        },
    ))
}

async fn said(peer: &mut Peer) -> Value {
    serde_json::from_str(&peer.text().await).expect("JSON")
}

/// A client that the upstream has acknowledged.
async fn connected() -> (TestServer, Client, Upstream, Peer) {
    connected_to(&Gate::closed()).await
}

async fn connected_to(gate: &Gate) -> (TestServer, Client, Upstream, Peer) {
    let mut upstream = Upstream::start().await;
    let server = serve(relay(&upstream, gate)).await;
    let mut client = open(&server).await;
    let init = json!({"type": "connection_init", "payload": {"token": "t"}});
    client.send(init.to_string()).await;
    let mut peer = upstream.accept().await;
    assert_eq!(
        peer.headers["sec-websocket-protocol"],
        "graphql-transport-ws"
    );
    assert_eq!(said(&mut peer).await, init);
    let ack = json!({"type": "connection_ack", "payload": {"hello": 1}});
    peer.send(ack.to_string()).await;
    assert_eq!(client.json().await, ack);
    (server, client, upstream, peer)
}

#[tokio::test]
async fn an_upstream_that_speaks_the_protocol_sees_every_message_unchanged() {
    let (_server, mut client, _upstream, mut peer) = connected().await;
    client.send(subscribe("a", "Feed").to_string()).await;
    assert_eq!(said(&mut peer).await, subscribe("a", "Feed"));
    for n in 0..3 {
        peer.send(next("a", n).to_string()).await;
        assert_eq!(client.json().await, next("a", n));
    }
    for message in [
        complete("a"),
        json!({"type": "ping", "payload": {"n": 1}}),
        json!({"type": "pong"}),
    ] {
        client.send(message.to_string()).await;
        assert_eq!(said(&mut peer).await, message);
    }
    peer.send(json!({"type": "ping"}).to_string()).await;
    assert_eq!(client.json().await, json!({"type": "ping"}));
    client.silent().await;
}

#[tokio::test]
async fn the_gateway_answers_operations_of_its_own_and_limits_others() {
    let (_server, mut client, _upstream, mut peer) = connected().await;
    assert_eq!(client.ask_json(subscribe("a", "Own")).await, next("a", 5));
    assert_eq!(client.json().await, complete("a"));
    let refused = client.ask_json(subscribe("b", "Limited")).await;
    assert_eq!(
        (&refused["id"], &refused["type"]),
        (&json!("b"), &json!("error"))
    );
    assert_eq!(refused["payload"][0]["extensions"]["code"], "overloaded");
    client.send(subscribe("c", "Feed").to_string()).await;
    assert_eq!(said(&mut peer).await, subscribe("c", "Feed"));
}

#[tokio::test]
async fn complete_of_the_client_also_ends_an_operation_that_the_gateway_answers() {
    let gate = Gate::closed();
    let (_server, mut client, _upstream, mut peer) = connected_to(&gate).await;
    for _ in 0..2 {
        client.send(subscribe("a", "Ticks").to_string()).await;
        gate.open.add_permits(1);
        assert_eq!(client.json().await, next("a", 0));
        until("the next result is awaited", || gate.running() == 1).await;
        client.send(complete("a").to_string()).await;
        assert_eq!(said(&mut peer).await, complete("a"));
        until("the source is dropped", || gate.running() == 0).await;
    }
    // What follows `complete` at once may use the id again.
    client.send(subscribe("a", "Ticks").to_string()).await;
    client.send(complete("a").to_string()).await;
    client.send(subscribe("a", "Own").to_string()).await;
    assert_eq!(client.json().await, next("a", 5));
    assert_eq!(client.json().await, complete("a"));
    client.silent().await;
}

#[tokio::test]
async fn an_operation_named_like_a_control_message_is_not_routed_like_one() {
    let (_server, mut client, _upstream, mut peer) = connected().await;
    for name in ["connection_init", "ping", "pong", "complete"] {
        assert_eq!(client.ask_json(subscribe("a", name)).await, next("a", 9));
        assert_eq!(client.json().await, complete("a"));
    }
    let ping = json!({"type": "ping"});
    client.send(ping.to_string()).await;
    assert_eq!(said(&mut peer).await, ping);
}

#[tokio::test]
async fn the_close_codes_of_both_sides_reach_the_client() {
    let (_server, mut client, _upstream, mut peer) = connected().await;
    peer.close(4403, "Forbidden").await;
    assert_eq!(client.closed().await, (4403, "Forbidden".to_owned()));

    let (server, mut client, ..) = connected().await;
    client
        .send(json!({"type": "connection_init"}).to_string())
        .await;
    assert_eq!(client.closed().await.0, 4429);
    let mut client = open(&server).await;
    client.send(subscribe("a", "Feed").to_string()).await;
    assert_eq!(client.closed().await.0, 4401);
    let mut client = open(&server).await;
    client.send("{}").await;
    assert_eq!(client.closed().await.0, 4400);
}

#[tokio::test]
async fn an_upstream_that_is_down_closes_the_client_that_begins() {
    let upstream = Upstream::start().await;
    let url = upstream.url("/");
    upstream.stop().await;
    // tungstenite, the client here, does not allow sending 1014.
    let (hook, mut closes) = told();
    let server = serve(gateway!(channel(
        "/",
        protocol = GraphqlWs::relay(),
        on_disconnect = hook,
        WebSocket::connect(url).close_on_failed_dial(),
    )))
    .await;
    let mut client = open(&server).await;
    client
        .send(json!({"type": "connection_init"}).to_string())
        .await;
    client.closed().await;
    assert_eq!(soon(closes.recv()).await, Some(1014));
}

#[test]
fn init_is_a_mistake_in_a_relay() {
    let gateway = gateway!(channel(
        "/",
        protocol = GraphqlWs::relay().init(async |_: Init| ()),
        NoRoute,
    ));
    let mistakes = gateway.check().expect_err("nobody would call it");
    let mistake = "`GraphqlWs::init` has no effect with `relay`";
    assert!(mistakes[0].to_string().contains(mistake));
}
