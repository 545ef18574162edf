//! The clients of the shop, against the shop.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::StreamExt;
use wasabi::{
    Server,
    client::{Handshake, Options, RequestError, State, Unasked},
};
use wasabi_tests::{TestServer, chaos::Chaos, serve, soon, until};

use super::{
    shop,
    shop_client::{
        Cancel, Echo, EchoEvent, Event, OrderBody, Rpc, RpcAddCode, Shop, ShopBrokenCode,
        ShopEvent, ShopOrderCode, TicketsRoom,
    },
    trading::{self, V1Tenant, V1TenantEvent},
};
use crate::example;

/// With short pauses.
fn options() -> Options {
    let ms = Duration::from_millis;
    Options::new().pauses(ms(20), ms(40), ms(60))
}

fn order(item: &str) -> OrderBody {
    OrderBody {
        item: item.to_owned(),
    }
}

/// A shop behind a network that fails on demand, and a client of it.
async fn behind_chaos(options: Options) -> (Arc<shop::Shop>, TestServer, Chaos, Shop) {
    let shop = Arc::<shop::Shop>::default();
    let server = serve(shop::gateway(shop.clone())).await;
    let chaos = Chaos::to(server.addr).await;
    let client = Shop::connect(&format!("ws://{}", chaos.addr), options).expect("a URL");
    assert_eq!(soon(client.client().opened()).await, State::Open);
    (shop, server, chaos, client)
}

#[tokio::test]
async fn the_clients_beside_the_example_talk_to_its_gateway() {
    let server = serve(example::gateway()).await;
    let options = options().handshake(async || Ok(Handshake::new().bearer("secret")?));
    let client = V1Tenant::connect(&server.url(""), "acme", options).expect("a URL");
    let body = trading::OrderBody {
        item: "tea".to_owned(),
        count: Some(2),
    };
    let receipt = soon(client.order_place(&body)).await.expect("a receipt");
    assert_eq!(receipt.price, 6);
    let mut events = client.events();
    client.session_forget().expect("a connection");
    client.ticks().expect("a connection");
    for bid in [3.0, 3.1] {
        match soon(events.next()).await {
            Some(V1TenantEvent::Tick(tick)) => assert_eq!(tick.bid, bid),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_error_is_a_code_of_the_route() {
    let server = serve(shop::gateway(Arc::default())).await;
    let client = Shop::connect(&server.url(""), options()).expect("a URL");
    let (first, second) = (order("tea"), order("milk"));
    let (tea, milk) = tokio::join!(client.order(&first), client.order(&second));
    assert_eq!(tea.expect("a receipt").count, 1);
    match milk {
        Err(RequestError::Gateway { code, message, .. }) => {
            assert_eq!(code, ShopOrderCode::SoldOut);
            assert_eq!(message, "this item is sold out");
        }
        other => panic!("{other:?}"),
    }
    match soon(client.broken(&first)).await {
        Err(RequestError::Gateway { code, .. }) => {
            assert_eq!(code, ShopBrokenCode::Other("brand_new".to_owned()));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_route_that_may_say_nothing_says_nothing() {
    let server = serve(shop::gateway(Arc::default())).await;
    let options = options().timeout(Duration::from_millis(300));
    let client = Shop::connect(&server.url(""), options).expect("a URL");
    assert!(
        soon(client.find(&order("tea")))
            .await
            .expect("a reply")
            .is_some()
    );
    assert_eq!(soon(client.find(&order("none"))).await, Ok(None));
}

#[tokio::test]
async fn a_stream_gives_replies_until_its_route_is_cancelled() {
    let shop = Arc::<shop::Shop>::default();
    let server = serve(shop::gateway(shop.clone())).await;
    let client = Shop::connect(&server.url(""), options()).expect("a URL");
    let mut ticks = client.ticks(&order("tea"));
    for count in 0..3 {
        let tick = soon(ticks.next()).await.expect("a tick");
        assert_eq!(tick.expect("no error").count, count);
    }
    let of = ticks.id().expect("an id");
    drop(ticks);
    client.cancel(&Cancel { of }).expect("a connection");
    until("the stream ends", || Arc::strong_count(&shop.streams) == 1).await;
}

#[tokio::test]
async fn a_dropped_subscription_of_json_rpc_is_ended() {
    let shop = Arc::<shop::Shop>::default();
    let server = serve(shop::gateway(shop.clone())).await;
    let client = Rpc::connect(&server.url(""), options()).expect("a URL");
    assert_eq!(soon(client.add(&(2, 3))).await, Ok(5));
    match soon(client.add(&(2, 0))).await {
        Err(RequestError::Gateway { code, .. }) => {
            assert_eq!(code, RpcAddCode::Other("sold_out".to_owned()));
        }
        other => panic!("{other:?}"),
    }
    let mut numbers = client.numbers();
    for number in 0..3 {
        assert_eq!(soon(numbers.next()).await, Some(Ok(number)));
    }
    assert_eq!(soon(client.streams()).await, Ok(1));
    drop(numbers);
    until("the stream ends", || Arc::strong_count(&shop.streams) == 1).await;
    // One that is dropped before its first reply as well.
    drop(client.numbers());
    let unread = client.numbers();
    assert!(soon(client.streams()).await.is_ok());
    drop(unread);
    until("the streams end", || Arc::strong_count(&shop.streams) == 1).await;
}

#[tokio::test]
async fn unasked_messages_are_events_and_errors_of_what_was_sent_too() {
    let server = serve(shop::gateway(Arc::default())).await;
    let client = Shop::connect(&server.url(""), options()).expect("a URL");
    let mut events = client.events();
    assert_eq!(soon(client.client().opened()).await, State::Open);
    client.announce().expect("a connection");
    let expected = [Event::Up { price: 4 }, Event::Down { price: 3 }];
    for price in expected {
        match soon(events.next()).await {
            Some(ShopEvent::Price(event)) => assert_eq!(event, price),
            other => panic!("{other:?}"),
        }
    }
    let id = client.client().send("no.such", &()).expect("a connection");
    match soon(events.next()).await {
        Some(ShopEvent::Other(Unasked::Error(error))) => {
            assert_eq!(error.id, Some(id.to_string()));
        }
        other => panic!("{other:?}"),
    }
    client.client().close();
    assert!(soon(events.next()).await.is_none());
}

#[tokio::test]
async fn a_channel_without_keys_sends_and_gets_text() {
    let server = serve(shop::gateway(Arc::default())).await;
    let client = Echo::connect(&server.url(""), options()).expect("a URL");
    let mut events = client.events();
    assert!(client.post("too soon").is_err());
    assert_eq!(soon(client.client().opened()).await, State::Open);
    client.post("hello").expect("a connection");
    match soon(events.next()).await {
        Some(EchoEvent::Text(text)) => assert_eq!(text, "hello"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_attempt_to_connect_has_a_fresh_token() {
    let shop = Arc::<shop::Shop>::default();
    let server = serve(shop::gateway(shop.clone())).await;
    let chaos = Chaos::to(server.addr).await;
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let asked = count.clone();
    let options = options().handshake(move || {
        // The first is refused.
        let token = match asked.fetch_add(1, Ordering::Relaxed) {
            0 => "bad".to_owned(),
            n => format!("good{n}"),
        };
        async move { Ok(Handshake::new().query("token", token)) }
    });
    let client = TicketsRoom::connect(&format!("ws://{}", chaos.addr), "a b", options);
    let client = client.expect("a URL");
    assert_eq!(soon(client.room()).await.expect("a reply").room, "a b");
    chaos.cut();
    chaos.calm();
    until("another attempt", || count.load(Ordering::Relaxed) > 2).await;
    assert_eq!(soon(client.room()).await.expect("a reply").room, "a b");
}

#[tokio::test]
async fn what_was_sent_when_the_connection_ends_is_not_sent_again() {
    let (shop, _server, chaos, client) = behind_chaos(options()).await;
    let asked = {
        let client = client.clone();
        tokio::spawn(async move { client.second(&order("tea")).await })
    };
    let count = |item: &str| {
        let orders = shop.orders.lock().expect("orders");
        orders.get(item).copied().unwrap_or_default()
    };
    until("the order arrives", || count("tea") == 1).await;
    chaos.cut();
    let error = soon(asked)
        .await
        .expect("no panic")
        .expect_err("a lost order");
    assert!(matches!(error, RequestError::Lost { .. }), "{error}");
    assert!(error.may_have_been_carried_out());
    chaos.calm();
    assert_eq!(soon(client.client().opened()).await, State::Open);
    assert_eq!(
        soon(client.ordered(&order("tea")))
            .await
            .expect("a reply")
            .count,
        1
    );
}

#[tokio::test]
async fn what_was_not_sent_yet_waits_for_a_gateway_that_comes_back() {
    let shop = Arc::<shop::Shop>::default();
    let server = serve(shop::gateway(shop.clone())).await;
    let addr = server.addr;
    let client = Shop::connect(&server.url(""), options()).expect("a URL");
    assert!(soon(client.order(&order("tea"))).await.is_ok());
    server.drain().await.expect("it drains");
    until("it is noticed", || client.client().state() != State::Open).await;
    let waits = {
        let client = client.clone();
        tokio::spawn(async move { client.order(&order("tea")).await })
    };
    let late = wasabi_tests::serve_with(shop::gateway(shop.clone()), |_| {
        let server = Server::bind(addr.to_string()).signals(false);
        server.drain_spread(Duration::ZERO)
    });
    let _server = late.await;
    assert_eq!(
        soon(waits)
            .await
            .expect("no panic")
            .expect("a receipt")
            .count,
        2
    );
}

#[tokio::test]
async fn a_restart_is_told_by_its_code_and_followed_by_a_pause() {
    let server = serve(shop::gateway(Arc::default())).await;
    let long = Duration::from_secs(3600);
    let options = Options::new().pauses(Duration::from_millis(1), long, long);
    let client = Shop::connect(&server.url(""), options).expect("a URL");
    assert_eq!(soon(client.client().opened()).await, State::Open);
    server.drain().await.expect("it drains");
    until("it waits", || {
        matches!(client.client().state(), State::Waiting { .. })
    })
    .await;
    let State::Waiting { code, pause, .. } = client.client().state() else {
        panic!("it does not wait");
    };
    assert_eq!(code, 1012);
    assert!(pause > Duration::from_millis(50), "{pause:?}");
}

#[tokio::test]
async fn a_request_that_was_never_sent_says_so() {
    let (_shop, _server, chaos, client) =
        behind_chaos(options().timeout(Duration::from_millis(200)).limit(1)).await;
    chaos.refuse();
    chaos.cut();
    chaos.refuse();
    until("it is noticed", || client.client().state() != State::Open).await;
    let body = order("tea");
    let (first, second) = tokio::join!(client.order(&body), client.order(&body));
    assert!(
        matches!(
            first,
            Err(RequestError::TimedOut {
                was_sent: false,
                ..
            })
        ),
        "{first:?}"
    );
    assert!(
        matches!(second, Err(RequestError::NotSent { .. })),
        "{second:?}"
    );
    client.client().close();
    let closed = soon(client.order(&body)).await;
    assert!(
        matches!(closed, Err(RequestError::NotSent { .. })),
        "{closed:?}"
    );
}

#[tokio::test]
async fn a_line_that_is_dead_is_noticed() {
    let options = options().ping(Duration::from_millis(50));
    let (_shop, _server, chaos, client) = behind_chaos(options).await;
    chaos.half_open();
    let body = order("tea");
    let error = soon(client.hold(&body)).await.expect_err("a dead line");
    assert!(matches!(error, RequestError::Lost { .. }), "{error}");
}

#[tokio::test]
async fn a_stream_that_is_not_read_fails_and_no_other() {
    let server = serve(shop::gateway(Arc::default())).await;
    let client = Shop::connect(&server.url(""), options().buffer(2)).expect("a URL");
    let mut ticks = client.ticks(&order("tea"));
    assert!(soon(client.order(&order("tea"))).await.is_ok());
    let mut last = None;
    while let Some(item) = soon(ticks.next()).await {
        let is_error = item.is_err();
        last = Some(item);
        if is_error {
            break;
        }
    }
    assert_eq!(last, Some(Err(RequestError::TooSlow)));
}

#[tokio::test]
async fn the_last_client_takes_the_connection_with_it() {
    let (_shop, server, _chaos, client) = behind_chaos(options()).await;
    let mut events = client.events();
    let other = client.clone();
    drop(client);
    assert!(soon(other.order(&order("tea"))).await.is_ok());
    drop(other);
    assert!(soon(events.next()).await.is_none());
    server.drain().await.expect("nobody is left");
}
