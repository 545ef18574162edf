//! Engines that lose messages, and engines that keep none.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;
use wasabi::{
    BoxError, Error, Kept, Position, Stored,
    cluster::{Engine, EngineSession, Feed, Inlet, Memory, MemoryNode, Page, Record},
};

use super::{
    super::*,
    kept_node::{KeptNode, join_room},
};

/// An engine in the process that can be replaced by an older copy of itself, and be away.
#[derive(Clone, Default)]
struct Restored(Arc<RestoredState>);

#[derive(Default)]
struct RestoredState {
    original: Memory,
    copy: Memory,
    is_restored: AtomicBool,
    restored: Notify,
    keeps_nothing: bool,
}

struct RestoredNode {
    engine: Restored,
    original: MemoryNode,
    copy: MemoryNode,
}

impl Restored {
    fn restore(&self) {
        self.0.is_restored.store(true, Ordering::SeqCst);
        self.0.restored.notify_waiters();
    }
}

impl RestoredNode {
    fn current(&self) -> &MemoryNode {
        match self.engine.0.is_restored.load(Ordering::SeqCst) {
            true => &self.copy,
            false => &self.original,
        }
    }
}

impl Engine for Restored {
    type Session = RestoredNode;

    async fn connect(&self, inlet: Inlet) -> Result<RestoredNode, BoxError> {
        Ok(RestoredNode {
            engine: self.clone(),
            original: self.0.original.connect(inlet.clone()).await?,
            copy: self.0.copy.connect(inlet).await?,
        })
    }

    fn keeps(&self) -> bool {
        !self.0.keeps_nothing
    }
}

impl EngineSession for RestoredNode {
    async fn tell(&self, subject: &str, message: Bytes) -> Result<()> {
        self.original.tell(subject, message).await
    }

    async fn subscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        self.original.subscribe(subjects).await
    }

    async fn unsubscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        self.original.unsubscribe(subjects).await
    }

    async fn store(&self, feed: &Feed, record: Record) -> Result<Stored> {
        // The copy has the first messages as well.
        if record.once.as_deref() == Some("early") {
            self.copy.store(feed, record.clone()).await?;
        }
        self.current().store(feed, record).await
    }

    async fn newest(&self, feed: &Feed) -> Result<Position, BoxError> {
        self.current().newest(feed).await
    }

    async fn read(&self, feed: &Feed, after: Option<Position>) -> Result<Page, BoxError> {
        loop {
            let restored = self.engine.0.restored.notified();
            tokio::select! {
                page = self.current().read(feed, after) => return page,
                () = restored => {}
            }
        }
    }

    async fn answers(&self) -> Result<(), BoxError> {
        Ok(())
    }

    async fn closed(&self) -> BoxError {
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_member_is_told_a_gap_when_the_engine_was_restored_from_an_older_copy() {
    let engine = Restored::default();
    let cluster = Cluster::new(engine.clone());
    let (closing, telling) = (
        KeptNode::of(&cluster).await,
        KeptNode::with(
            &cluster,
            Kept::prefix("room:")
                .stamp("position")
                .on_gap(|group, member| {
                    let _ = member.try_send(format!("gap in {}", group.name()));
                }),
        )
        .await,
    );
    let (mut closed, _) = closing.joined("room:1", None).await;
    let (mut of_two, _) = telling.joined("room:1", None).await;
    join_room(&mut of_two, "room:2", None).await;
    let group = closing.registry.group("room:1");
    let early = group.publish_once("early", r#"{"n":1}"#).await;
    early.elsewhere.expect("an engine");
    closing.says("room:1", 2).await;
    let mut since = Vec::new();
    for member in [&mut closed, &mut of_two] {
        for number in 1..=2 {
            let message = member.json().await;
            assert_eq!(message["n"], number);
            since.push(message["position"].as_str().expect("a position").to_owned());
        }
    }
    engine.restore();
    assert_eq!(closed.closed().await.0, 4409);
    let mut told = [of_two.text().await, of_two.text().await];
    told.sort();
    assert_eq!(told, ["gap in room:1", "gap in room:2"]);
    of_two.silent().await;
    // They go on from here.
    telling.says("room:1", 3).await;
    assert_eq!(of_two.json().await["n"], 3);
    for since in since {
        for node in [&closing, &telling] {
            let (_, joined) = node.joined("room:1", Some(&since)).await;
            assert_eq!(joined["recovered"], false, "{joined}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_enveloped_groups_a_gap_is_a_message_and_the_member_goes_on() {
    let engine = Restored::default();
    let cluster = Cluster::new(engine.clone());
    let node = KeptNode::with(&cluster, Kept::prefix("room:").enveloped()).await;
    let (mut member, _) = node.joined("room:1", None).await;
    node.says("room:1", 1).await;
    assert_eq!(member.json().await["data"]["n"], 1);
    engine.restore();
    let gap = member.json().await;
    assert_eq!(gap, serde_json::json!({"group": "room:1", "gap": true}));
    node.says("room:1", 2).await;
    assert_eq!(member.json().await["data"]["n"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_too_slow_for_the_history_is_told_a_gap() {
    let cluster = Cluster::memory();
    let kept = Kept::prefix("room:").size(10).stamp("position");
    let node = KeptNode::with(&cluster, kept).await;
    let (mut slow, _) = node.joined("room:1", None).await;
    let text = "x".repeat(64 * 1024);
    for number in 0..500 {
        let message = serde_json::json!({ "n": number, "text": text }).to_string();
        let published = node.registry.group("room:1").publish(message).await;
        published.elsewhere.expect("an engine");
    }
    let mut next = 0;
    let code = loop {
        match slow.next().await {
            message if message.is_text() => {
                let message = message.into_text().expect("text");
                let message: serde_json::Value = serde_json::from_str(&message).expect("JSON");
                assert_eq!(message["n"], next);
                next += 1;
            }
            tokio_tungstenite::tungstenite::Message::Close(Some(frame)) => {
                break u16::from(frame.code);
            }
            _ => {}
        }
    };
    assert_eq!(code, 4409);
    assert!((10..490).contains(&next), "{next}");
}

fn mistake(gateway: &Gateway) -> String {
    let mistakes = gateway.check().expect_err("a mistake");
    mistakes.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn kept_groups_with_an_engine_that_keeps_nothing_are_a_mistake() {
    let engine = Restored(Arc::new(RestoredState {
        keeps_nothing: true,
        ..RestoredState::default()
    }));
    let gateway = gateway!(
        cluster = Cluster::new(engine),
        channel("/", groups = [Kept::all()], async |text: Text| text),
    );
    let mistake = mistake(&gateway);
    assert!(mistake.contains("kept groups"), "{mistake}");
}

#[tokio::test]
async fn an_entry_of_groups_that_no_group_reaches_is_a_mistake() {
    let gateway = gateway!(channel(
        "/",
        groups = [Kept::prefix("room:"), Kept::prefix("room:vip:")],
        async |text: Text| text,
    ));
    let mistake = mistake(&gateway);
    assert!(mistake.contains("`room:vip:` after `room:`"), "{mistake}");
}

#[tokio::test]
async fn channels_that_share_a_registry_keep_the_same_groups() {
    let registry = Registry::named("rooms");
    let gateway = gateway!(
        channel(
            "/a",
            registry = registry.clone(),
            groups = [Kept::all()],
            async |text: Text| text
        ),
        channel(
            "/b",
            registry = registry,
            groups = [Kept::prefix("x")],
            async |text: Text| text
        ),
    );
    let mistake = mistake(&gateway);
    assert!(mistake.contains("share a registry"), "{mistake}");
}

/// Without `cluster` the gateway has a history of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_alone_keeps_groups_as_well() {
    let registry = Registry::new();
    let gateway = gateway!(
        state = registry.clone(),
        channel(
            "/",
            registry = registry.clone(),
            groups = [Kept::all()],
            async |State(registry): State<Registry>, text: Text, client: Connection| {
                let since = Some(&*text).filter(|text| !text.is_empty());
                let joined = registry.join_from("room", &client, since).await?;
                joined.reply(|joined| format!("{} {}", joined.recovered, joined.position))
            },
        ),
    );
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    let reply = client.ask("").await;
    let (recovered, since) = reply.split_once(' ').expect("two words");
    assert_eq!(recovered, "false");
    drop(client);
    let published = registry.group("room").publish("hello").await;
    assert!(published.stored.is_some());
    let mut client = server.connect("/").await;
    let reply = client.ask(since).await;
    assert!(reply.starts_with("true "), "{reply}");
    assert_eq!(client.text().await, "hello");
}

/// Whoever drops what it is told gets messages at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_from_a_hook_needs_no_reply() {
    async fn welcome(
        State(registry): State<Registry>,
        connection: Connection,
    ) -> Result<(), wasabi::Close> {
        let joined = registry.join_from("room", &connection, None).await;
        joined
            .map(drop)
            .map_err(|_: Error| wasabi::CloseCode::INTERNAL.into())
    }
    let registry = Registry::new();
    let gateway = gateway!(
        state = registry.clone(),
        channel(
            "/",
            registry = registry.clone(),
            groups = [Kept::all()],
            on_connect = welcome,
            async |text: Text| text,
        ),
    );
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("hello").await, "hello");
    let published = registry.group("room").publish("news").await;
    published.elsewhere.expect("stored");
    assert_eq!(client.text().await, "news");
}
