//! Failing networks between the client and the gateway.

use super::*;

/// A gateway that counts the requests it has started and those whose futures have been dropped.
async fn counting() -> (
    TestServer,
    Registry,
    Arc<[AtomicUsize; 2]>,
    mpsc::UnboundedReceiver<u16>,
) {
    struct Gone(Arc<[AtomicUsize; 2]>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0[1].fetch_add(1, Ordering::SeqCst);
        }
    }
    let (tell, told) = mpsc::unbounded_channel();
    let registry = Registry::new();
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let (channels, counted) = (registry.clone(), Arc::clone(&counts));
    let server = serve(gateway!(channel(
        "/",
        registry = channels,
        ping = 100ms,
        on_disconnect = move |_: Connection, close: Close| {
            let tell = tell.clone();
            async move {
                let _ = tell.send(close.code.as_u16());
            }
        },
        move |text: Text| {
            let counted = Arc::clone(&counted);
            async move {
                counted[0].fetch_add(1, Ordering::SeqCst);
                let _gone = Gone(counted);
                if &*text == "wait" {
                    std::future::pending::<()>().await;
                }
                text
            }
        },
    )))
    .await;
    (server, registry, counts, told)
}

#[tokio::test]
async fn a_client_that_is_cut_off_is_noticed_and_its_resources_are_freed() {
    let (server, registry, counts, mut told) = counting().await;
    for (name, fault) in [FAULTS[0], FAULTS[1], FAULTS[2]] {
        let proxy = Chaos::to(server.addr).await;
        let mut client = client(&proxy, "/").await;
        assert_eq!(client.ask("hello").await, "hello");
        let begun = counts[0].load(Ordering::SeqCst);
        client.send("wait").await;
        until("the request has begun", || {
            counts[0].load(Ordering::SeqCst) > begun
        })
        .await;
        assert_eq!(registry.len(), 1);
        fault(&proxy);
        assert_eq!(soon(told.recv()).await, Some(1006), "{name}");
        until("the registry is empty", || registry.is_empty()).await;
        assert_eq!(
            counts[0].load(Ordering::SeqCst),
            counts[1].load(Ordering::SeqCst),
            "{name}"
        );
    }
    assert_eq!(server.connect("/").await.ask("hello").await, "hello");
}

#[tokio::test]
async fn a_client_on_a_slow_network_gets_every_reply_in_order() {
    let (server, ..) = counting().await;
    let proxy = Chaos::to(server.addr).await;
    proxy.delay(5 * MS);
    proxy.throttle(500);
    let client = client(&proxy, "/").await;
    let (mut writer, mut reader) = client.socket.split();
    let sending = async {
        for n in 0..200 {
            writer
                .send(Frame::text(format!("{n} {}", "x".repeat(100))))
                .await
                .expect("send");
        }
    };
    let receiving = async {
        let mut n = 0;
        while n < 200 {
            let message = soon(reader.next())
                .await
                .expect("a reply")
                .expect("a reply");
            if let Frame::Text(text) = message {
                assert!(text.starts_with(&format!("{n} ")), "{n}: {text}");
                n += 1;
            }
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn a_network_that_recovers_in_time_loses_nothing() {
    let server = serve(gateway!(channel(
        "/",
        ping = 1s,
        async |message: Message| message
    )))
    .await;
    let proxy = Chaos::to(server.addr).await;
    let mut client = client(&proxy, "/").await;
    assert_eq!(client.ask("before").await, "before");
    proxy.half_open();
    client.send("while it was away").await;
    let start = Instant::now();
    assert!(timeout(300 * MS, client.socket.next()).await.is_err());
    proxy.calm();
    assert_eq!(client.text().await, "while it was away");
    assert!(start.elapsed() < 2000 * MS);
    assert_eq!(client.ask("after").await, "after");
}

#[tokio::test]
async fn by_default_a_dead_client_is_closed_after_a_minute_and_a_silent_one_is_not() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/{who}",
        registry = registry.clone(),
        on_disconnect = move |connection: Connection, close: Close| {
            let tell = tell.clone();
            async move {
                let who = connection.uri().path().to_owned();
                let _ = tell.send((who, close.code.as_u16()));
            }
        },
        async |message: Message| message,
    )))
    .await;
    let proxy = Chaos::to(server.addr).await;
    let mut dead = client(&proxy, "/dead").await;
    let mut silent = server.connect("/silent").await;
    // The server counts from when it last heard from a client.
    let start = Instant::now();
    assert_eq!(dead.ask("hello").await, "hello");
    assert_eq!(silent.ask("hello").await, "hello");
    let (mut asking, mut silent) = silent.socket.split();
    let reading = tokio::spawn(async move {
        // The library answers pings while the test reads.
        while let Some(Ok(message)) = silent.next().await {
            if let Frame::Text(text) = message {
                return text.to_string();
            }
        }
        "closed".to_owned()
    });
    proxy.half_open();
    tokio::time::pause();
    assert_eq!(told.recv().await, Some(("/dead".to_owned(), 1006)));
    let minute = Duration::from_secs(60);
    assert!((minute..minute + 5000 * MS).contains(&start.elapsed()));
    sleep(10 * minute).await;
    assert_eq!(registry.len(), 1);
    tokio::time::resume();
    asking.send(Frame::text("still here")).await.expect("send");
    assert_eq!(soon(reading).await.expect("read"), "still here");
}

#[tokio::test]
async fn without_pings_a_silent_client_receives_nothing() {
    let server = serve(gateway!(channel(
        "/",
        ping = None,
        async |message: Message| message,
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("hello").await, "hello");
    tokio::time::pause();
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, client.socket.next()).await.is_err());
}
