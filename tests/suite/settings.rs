//! Channel settings whose values come from outside the declaration.

use std::{hint::black_box, time::Duration};

use axum::Router;
use wasabi::{Admin, GatewayError, WebSocket, prelude::*};

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
fn an_invalid_origin_from_a_configuration_keeps_the_gateway_from_being_served() {
    let origins = ["https://a.example", "b.example", "https://c.example/page"].map(String::from);
    assert_eq!(
        mistakes(&gateway!(channel("/", origins = origins, echo))),
        [
            "`/`: `b.example` is not an origin; write `https://b.example`, or `*` for every page",
            "`/`: an origin cannot have a path; write `https://c.example`",
        ]
    );
}

#[test]
fn zeros_from_a_configuration_keep_the_gateway_from_being_served() {
    let (zero, never) = (black_box(0), black_box(Duration::ZERO));
    let all = mistakes(&gateway!(channel(
        "/",
        max_message_size = zero,
        max_header_size = zero,
        concurrency = zero,
        max_connections = zero,
        max_waiting_messages = zero,
        max_waiting_bytes = zero,
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
        "max_waiting_messages",
        "max_waiting_bytes",
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
fn an_invalid_subprotocol_keeps_the_gateway_from_being_served() {
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
fn mistakes_of_a_mounted_gateway_are_reported() {
    let url = "nonsense";
    let rooms = gateway!(channel("/rooms", Http::post(url)));
    let all = mistakes(&gateway!(mount("/v1", rooms)));
    assert_eq!(all.len(), 1);
    assert!(all[0].contains("nonsense"), "{all:?}");
}

#[test]
fn inconsistent_numbers_are_mistakes_and_not_changed_silently() {
    let breaker = |out_of| CircuitBreaker::new(5, Duration::from_secs(1)).out_of(out_of);
    for (out_of, mistake) in [
        (
            4,
            "`CircuitBreaker::out_of(4)` has no room for the 5 failures of `CircuitBreaker::new`; write 5 or more",
        ),
        (
            1_000_001,
            "`CircuitBreaker::out_of(..)` takes a number from 1 to 1000000",
        ),
    ] {
        let gateway = gateway!(channel("/", middleware = [breaker(out_of)], echo));
        assert_eq!(mistakes(&gateway), [format!("`/`: {mistake}")]);
    }
    for budget in [-0.5, f32::NAN, 1001.0] {
        let retry =
            Retry::new(Backoff::exponential(Duration::from_secs(1)).retries(1)).budget(budget);
        assert_eq!(
            mistakes(&gateway!(channel("/", middleware = [retry], echo))),
            ["`/`: `Retry::budget(..)` takes a number from 0 to 1000"]
        );
    }
    let nodes = ["http://a/", "http://b/"].map(|url| (1, Http::get(url)));
    let check = HealthCheck::with(async || Ok::<_, wasabi::BoxError>(()));
    let balance = Balance::new(nodes).health_check(check.accept_status(|status| status == 404));
    let all = mistakes(&gateway!(channel("/", balance)));
    assert!(
        all[0].contains("`HealthCheck::accept_status` has no effect"),
        "{all:?}"
    );
    let front = ClientIp::cloudflare(["10.0.0.0/8"]).forwarded();
    let all = mistakes(&gateway!(channel("/", http = [front], echo)));
    assert!(all[0].contains("`.forwarded()` is only for"), "{all:?}");
}

#[test]
fn zero_hash_threads_are_a_mistake_also_in_a_clone() {
    let staff = BasicAuth::users([("alice", "wonderland")]);
    let other = staff.clone();
    let gateway = gateway!(channel(
        "/",
        http = [
            staff.hash_threads(black_box(0)).hash_queue(black_box(0)),
            other
        ],
        echo
    ));
    let zero = |name| {
        format!("`/`: zero makes no sense in `BasicAuth::{name}(..)`; write a value above zero")
    };
    let both = ["hash_threads", "hash_queue"].map(zero);
    assert_eq!(mistakes(&gateway)[..2], both);
}

#[test]
fn a_gateway_with_mistakes_does_not_become_a_router() {
    let gateway = gateway!(channel("/", concurrency = black_box(0), echo));
    assert_eq!(gateway.into_router().expect_err("a mistake").len(), 1);
    let gateway = gateway!(channel(black_box("no/path"), echo));
    assert_eq!(gateway.into_router().expect_err("a mistake").len(), 1);
}

#[tokio::test]
async fn mistakes_of_the_gateway_and_the_server_are_reported_together() {
    let admin = Admin::bind("127.0.0.1:0")
        .hosts(["a b"])
        .nest("debug", Router::new())
        .nest("/livez", Router::new())
        .nest("/", Router::new());
    let server = Server::bind_proxied("127.0.0.1:0", ["everywhere"])
        .signals(false)
        .unix_mode(0o1777)
        .header_timeout(Duration::ZERO)
        .keep_alive_timeout(Duration::ZERO)
        .request_timeout(Duration::ZERO)
        .max_sockets(0)
        .max_waiting_bytes(0)
        .max_sockets_per_client(0)
        .admin(admin);
    let gateway = gateway!(channel("/", concurrency = black_box(0), echo));
    let error = server
        .serve(gateway)
        .await
        .expect_err("mistakes")
        .to_string();
    for part in [
        "concurrency",
        "max_sockets`",
        "max_waiting_bytes",
        "max_sockets_per_client",
        "header_timeout",
        "keep_alive_timeout",
        "request_timeout",
        "0o1777",
        "everywhere",
        "a b",
        "`debug`",
        "`/livez`",
        "`/`: it would match every path",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(error.lines().count(), 14, "{error}");
}
