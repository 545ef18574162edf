//! Settings of a channel whose values come from elsewhere than the declaration.

use std::{hint::black_box, time::Duration};

use wasabi::{GatewayError, WebSocket, prelude::*};

async fn echo(message: Message) -> Message {
    message
}

fn mistakes(gateway: &Gateway) -> Vec<String> {
    let mistakes = gateway.check().expect_err("mistakes");
    let texts = mistakes.iter().map(|mistake| match mistake {
        GatewayError::Setting(text) => text.clone(),
        other => panic!("{other}"),
    });
    texts.collect()
}

#[test]
fn an_origin_of_a_configuration_that_is_none_keeps_the_gateway_from_being_served() {
    let origins = ["https://a.example", "b.example", "https://c.example/page"].map(String::from);
    assert_eq!(
        mistakes(&gateway!(channel("/", origins = origins, echo))),
        [
            "`/`: `b.example` is not an origin; write `https://b.example`, or `*` for every page",
            "`/`: an origin has no path; write `https://c.example`",
        ]
    );
}

#[test]
fn zeros_of_a_configuration_keep_the_gateway_from_being_served() {
    let (zero, never) = (black_box(0), black_box(Duration::ZERO));
    let all = mistakes(&gateway!(channel(
        "/",
        max_message_size = zero,
        max_header_size = zero,
        concurrency = zero,
        max_connections = zero,
        send_queue = zero,
        send_buffer = zero,
        idle_timeout = never,
        ping = never,
        pong_timeout = never,
        send_timeout = never,
        stream_idle_timeout = never,
        open_timeout = never,
        close_timeout = never,
        echo,
    )));
    let names = [
        "max_message_size",
        "max_header_size",
        "concurrency",
        "max_connections",
        "send_queue",
        "send_buffer",
        "idle_timeout",
        "ping",
        "pong_timeout",
        "send_timeout",
        "stream_idle_timeout",
        "open_timeout",
        "close_timeout",
    ];
    assert_eq!(
        all,
        names.map(|name| format!(
            "`/`: zero makes no sense for `{name}`; write a value above zero, or leave the setting out"
        ))
    );
}

#[test]
fn a_subprotocol_that_no_header_can_name_keeps_the_gateway_from_being_served() {
    for name in ["", "two words", "a,b", "a/b\n"] {
        let names = [name.to_owned()];
        assert_eq!(
            mistakes(&gateway!(channel("/", subprotocols = names, echo))),
            [format!(
                "`/`: `{}` is not the name of a subprotocol; use letters, digits, `-` and `.`, without white space",
                name.escape_debug()
            )]
        );
    }
}

#[test]
fn zeros_for_an_upstream_keep_the_gateway_from_being_served() {
    let (zero, never) = (black_box(0), black_box(Duration::ZERO));
    let upstream = || WebSocket::connect("ws://localhost/");
    for (backend, name) in [
        (upstream().connect_timeout(never), "connect_timeout"),
        (upstream().send_timeout(never), "send_timeout"),
        (upstream().max_message_size(zero), "max_message_size"),
    ] {
        assert_eq!(
            mistakes(&gateway!(channel("/", backend))),
            [format!(
                "`/`: zero makes no sense in `WebSocket::{name}(..)`; write a value above zero"
            )]
        );
    }
}

#[test]
fn mistakes_of_a_gateway_that_is_mounted_are_told() {
    let url = "nonsense";
    let rooms = gateway!(channel("/rooms", Http::post(url)));
    let all = mistakes(&gateway!(mount("/v1", rooms)));
    assert_eq!(all.len(), 1);
    assert!(all[0].contains("nonsense"), "{all:?}");
}
