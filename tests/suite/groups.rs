//! Groups of connections, and broadcasts.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Notify, mpsc};
use wasabi::{Group, prelude::*};
use wasabi_tests::{SOON, TestServer, log::Log, serve, until};

/// `+room` joins, `-room` leaves, `room:text` goes to the others, anything else goes to all.
async fn chat(
    State(registry): State<Registry>,
    text: Text,
    connection: Connection,
) -> Option<String> {
    if let Some(room) = text.strip_prefix('+') {
        return Some(registry.join(room, &connection).to_string());
    }
    if let Some(room) = text.strip_prefix('-') {
        return Some(registry.leave(room, &connection).to_string());
    }
    let outcome = match text.split_once(':') {
        Some((room, text)) => registry
            .group(room)
            .broadcast_except(&connection, text.to_owned()),
        None => registry.broadcast(text),
    };
    assert!(outcome.skipped.is_empty());
    None
}

async fn chat_server() -> (Registry, TestServer) {
    chat_of(Registry::new()).await
}

/// A chat whose empty groups are told to `hook`.
async fn chat_with(hook: impl Fn(Group) + Send + Sync + 'static) -> (Registry, TestServer) {
    chat_of(Registry::new().on_empty_group(hook)).await
}

async fn chat_of(registry: Registry) -> (Registry, TestServer) {
    let server = serve(gateway!(
        state = registry.clone(),
        channel("/", registry = registry.clone(), chat)
    ))
    .await;
    (registry, server)
}

#[tokio::test]
async fn a_message_to_a_group_reaches_only_its_members() {
    let (registry, server) = chat_server().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(server.connect("/").await);
    }
    let [one, two, three] = &mut clients[..] else {
        panic!("three");
    };
    assert_eq!(one.ask("+blue").await, "true");
    assert_eq!(one.ask("+blue").await, "false");
    assert_eq!(two.ask("+blue").await, "true");
    assert_eq!(two.ask("+red").await, "true");
    let blue = registry.group("blue");
    assert_eq!((blue.len(), registry.group("red").len()), (2, 1));
    assert_eq!(registry.groups().len(), 2);

    one.send("blue:hello").await;
    assert_eq!(two.text().await, "hello");
    assert_eq!(three.ask("-blue").await, "false");
    assert_eq!(two.ask("-red").await, "true");
    assert_eq!(two.ask("-red").await, "false");
    assert_eq!(two.ask("-blue").await, "true");
    one.send("blue:anybody?").await;
    one.send("all").await;
    assert_eq!(one.text().await, "all");
    assert_eq!(two.text().await, "all");
    assert_eq!(three.text().await, "all");
}

#[tokio::test]
async fn a_connection_that_ends_leaves_its_groups() {
    let (registry, server) = chat_server().await;
    let (mut one, mut two) = (server.connect("/").await, server.connect("/").await);
    for room in ["+blue", "+red"] {
        one.ask(room).await;
    }
    two.ask("+blue").await;
    let blue = registry.group("blue");
    assert_eq!(blue.len(), 2);
    let members = blue.connections();
    let ended = members
        .iter()
        .find(|member| registry.groups_of(member).len() == 2);
    let ended = ended.expect("the first").clone();
    one.close(1000, "").await;
    until("one has left", || blue.len() == 1).await;
    assert_eq!(registry.groups(), [Arc::from("blue")]);
    assert!(!blue.contains(&ended));
    assert!(!registry.join("blue", &ended), "it has gone");
    assert!(registry.groups_of(&ended).is_empty());
    two.close(1000, "").await;
    until("nothing is left", || registry.groups().is_empty()).await;
}

#[tokio::test]
async fn a_connection_of_another_registry_cannot_join() {
    let (registry, server) = chat_server().await;
    let _client = server.connect("/").await;
    until("it is listed", || registry.len() == 1).await;
    let connection = &registry.connections()[0];
    assert!(!Registry::new().join("blue", connection));
}

#[tokio::test]
async fn a_slow_member_is_skipped_and_does_not_hold_up_the_others() {
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        send_timeout = 60s,
        max_waiting_bytes = 256KiB,
        async |text: Text| text,
    )))
    .await;
    let (slow, mut quick) = (server.connect("/").await, server.connect("/").await);
    until("both are listed", || registry.len() == 2).await;
    let group = registry.group("news");
    for connection in registry.connections() {
        assert!(registry.join("news", &connection));
    }
    let reading = tokio::spawn(async move {
        let mut read = 0;
        while quick.text().await != "end" {
            read += 1;
        }
        read
    });
    let payload = Text::from("x".repeat(64 * 1024));
    let start = std::time::Instant::now();
    let (mut rounds, mut skipped) = (0, Vec::new());
    while skipped.is_empty() {
        assert!(start.elapsed() < SOON, "nobody was skipped");
        let outcome = group.broadcast(payload.clone());
        assert!(outcome.sent >= 1, "the quick one is never skipped");
        skipped = outcome.skipped;
        rounds += 1;
        // Gives the fast client its turn.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(skipped.len(), 1);
    while !group
        .broadcast("end")
        .skipped
        .iter()
        .all(|one| one.id() == skipped[0].id())
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(reading.await.expect("no panic"), rounds);
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_while_connections_open_and_close_leaks_nothing() {
    let registry = Registry::new();
    let rooms = registry.clone();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        move |connection: Connection| {
            let rooms = rooms.clone();
            async move {
                // In another task, so that the connection may end at any moment.
                tokio::spawn(async move {
                    for room in 0..100 {
                        rooms.join(room.to_string(), &connection);
                        tokio::task::yield_now().await;
                    }
                });
            }
        }
    )))
    .await;
    for _ in 0..20 {
        let mut client = server.connect("/").await;
        client.send("go").await;
        tokio::time::sleep(Duration::from_micros(200)).await;
        drop(client);
    }
    until("all have gone", || registry.is_empty()).await;
    until("all groups are empty", || registry.groups().is_empty()).await;
}

#[tokio::test]
async fn a_connection_joins_its_last_group_as_fast_as_its_first() {
    const GROUPS: usize = 20_000;
    let registry = Registry::new().max_group_bytes(64 << 20);
    let server = serve(gateway!(
        state = registry.clone(),
        channel(
            "/",
            registry = registry.clone(),
            async |State(registry): State<Registry>, text: Text, connection: Connection| {
                let name = |n| format!("a group whose name begins as that of any other {n}");
                let done = (0..GROUPS).filter(|n| match &*text {
                    "join" => registry.join(name(*n), &connection),
                    _ => registry.leave(name(*n), &connection),
                });
                done.count().to_string()
            }
        )
    ))
    .await;
    let mut client = server.connect("/").await;
    let start = Instant::now();
    assert_eq!(client.ask("join").await, GROUPS.to_string());
    assert_eq!(client.ask("leave").await, GROUPS.to_string());
    assert!(registry.groups().is_empty());
    // This takes half a second; if each join looked through all earlier groups, it would take half a minute.
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_group_is_told_when_its_last_member_leaves_or_ends() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (registry, server) = chat_with(move |group| {
        let _ = tell.send(group.name().to_owned());
    })
    .await;
    let (mut one, mut two) = (server.connect("/").await, server.connect("/").await);
    for room in ["+blue", "+red"] {
        assert_eq!(one.ask(room).await, "true");
    }
    assert_eq!(two.ask("+blue").await, "true");
    assert_eq!(registry.group("blue").if_empty(|| "empty"), None);
    assert_eq!(one.ask("-red").await, "true");
    assert_eq!(one.ask("-blue").await, "true");
    assert_eq!(told.recv().await.as_deref(), Some("red"));
    assert!(told.is_empty(), "blue has a member");
    drop(two);
    assert_eq!(told.recv().await.as_deref(), Some("blue"));
    assert_eq!(registry.group("blue").if_empty(|| "empty"), Some("empty"));
    assert_eq!(one.ask("+blue").await, "true");
    assert_eq!(one.ask("-blue").await, "true");
    assert_eq!(told.recv().await.as_deref(), Some("blue"));
}

#[tokio::test]
async fn a_task_releases_later_what_a_group_shared_unless_it_has_members_again() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let again = Arc::new(Notify::new());
    let later = Arc::clone(&again);
    let (_registry, server) = chat_with(move |group| {
        let (tell, later) = (tell.clone(), Arc::clone(&later));
        tokio::spawn(async move {
            later.notified().await;
            let _ = tell.send(group.if_empty(|| ()).is_some());
        });
    })
    .await;
    let mut client = server.connect("/").await;
    for (rejoins, is_released) in [(true, false), (false, true)] {
        client.ask("+blue").await;
        assert_eq!(client.ask("-blue").await, "true");
        if rejoins {
            assert_eq!(client.ask("+blue").await, "true");
        }
        again.notify_one();
        assert_eq!(told.recv().await, Some(is_released));
    }
}

#[tokio::test]
async fn the_hook_of_an_empty_group_that_uses_a_registry_fails_and_blocks_nobody() {
    let log = Log::of(tracing::Level::ERROR);
    let (_registry, server) = chat_with(|group| {
        let _ = group.connections();
    })
    .await;
    let mut client = server.connect("/").await;
    for _ in 0..2 {
        assert_eq!(client.ask("+blue").await, "true");
        assert_eq!(client.ask("-blue").await, "true");
    }
    assert!(log.text().contains("`on_empty_group` panicked"));
}
