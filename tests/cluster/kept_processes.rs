//! Kept groups in three processes, over an engine that is killed and comes back.

use std::{
    env,
    ops::Range,
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::{Barrier, Notify};
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::Kept;
use wasabi_tests::example::Example;

use super::{
    super::*,
    kept_node::{GAP, KeptNode, join_room, next, position},
};

/// Tells a process that it is a gateway, with the URL of its engine.
const ENGINE: &str = "WASABI_KEPT_ENGINE";
const PROCESSES: usize = 3;
const ROOMS: u64 = 2;
/// Each process has a client in each room.
const CLIENTS: usize = PROCESSES * ROOMS as usize;
/// After so many messages of their room some clients move to another process. Half way between two moves, 40 % of 3000
/// messages are stored.
const MOVES: usize = 240;
/// Delivery goes on this soon after the engine has come back; on a machine with nothing else to do it is less than 3 s.
const AGAIN: Duration = Duration::from_secs(30);

/// A process that is a gateway, until it is killed.
async fn gateway(cluster: Cluster) {
    let kept = Kept::prefix("room:").size(100_000).stamp("position");
    let node = KeptNode::with(&cluster, kept).await;
    println!("listening on ws://{}", node.server.addr);
    std::future::pending().await
}

/// Runs a test of this file in a process of its own, where it is a gateway.
fn start(test: &str, broker: &Broker) -> Example {
    let (_, module) = module_path!().split_once("::").expect("a crate");
    let mut command = Command::new(env::current_exe().expect("a path"));
    command
        .args(["--exact", &format!("{module}::{test}")])
        .args(["--ignored", "--nocapture"])
        .env(ENGINE, broker.url());
    Example::run(command, "ws://")
}

/// The number of messages: more if the machine has time.
fn messages() -> u64 {
    let messages = env::var("WASABI_KEPT_MESSAGES").ok();
    messages.map_or(3000, |messages| messages.parse().expect("a number"))
}

fn room_of(number: u64) -> String {
    format!("room:{}", number % ROOMS)
}

/// What all clients know of the engine.
struct Story {
    urls: Vec<String>,
    /// The numbers of each publisher; the first of them publishes one more to each room after all.
    each: u64,
    /// All clients are in their rooms.
    all_in: Barrier,
    stored: AtomicU64,
    /// 40 % of them are stored.
    is_time: Notify,
    /// The engine is back.
    back: OnceLock<Instant>,
}

impl Story {
    fn last(&self) -> u64 {
        PROCESSES as u64 * self.each
    }

    /// At 40 %, no client is about to [move](MOVES) to another process: one that moves while the engine is away may know
    /// more than its new process, which then calls it a gap.
    fn count_stored(&self) {
        if self.stored.fetch_add(1, Ordering::SeqCst) == self.last() * 2 / 5 {
            self.is_time.notify_one();
        }
    }
}

/// What a publisher was told.
#[derive(Default, Debug)]
struct Published {
    /// Messages that it had to publish again, and that were stored already.
    repeated: usize,
    /// Its first message that was stored after the engine had come back.
    again: Option<u64>,
}

/// A client that publishes these numbers in their order, each until it is known to be stored.
async fn publishes(story: &Story, process: usize, numbers: Range<u64>) -> Published {
    let mut published = Published::default();
    let mut client = Client::connect(&story.urls[process])
        .await
        .expect("a gateway");
    for number in numbers {
        let say = json!({"do": "say", "room": room_of(number), "n": number});
        let mut is_repeated = false;
        loop {
            let is_back = story.back.get().is_some();
            let answer = client.ask_json(say.clone()).await;
            let Some(is_duplicate) = answer.as_bool() else {
                assert!(answer["error"].is_object(), "{answer}");
                is_repeated = true;
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            assert!(is_repeated || !is_duplicate, "{number}");
            published.repeated += usize::from(is_duplicate);
            if is_back && !is_duplicate {
                published.again.get_or_insert(number);
            }
            break;
        }
        // Some are published again, although they are known to be stored.
        if number % 10 == 0 {
            while client.ask_json(say.clone()).await != true {}
        }
        story.count_stored();
    }
    published
}

/// Everything that a client of one room receives, over all of its connections.
struct Heard {
    room: String,
    numbers: Vec<(u64, Instant)>,
    gaps: usize,
}

impl Heard {
    fn is_everything(&self, story: &Story) {
        assert_eq!(self.gaps, 0);
        let is_ours = |number: &u64| room_of(*number) == self.room;
        let numbers = || self.numbers.iter().map(|(number, _)| *number);
        for publisher in 0..PROCESSES as u64 {
            let all = publisher * story.each..(publisher + 1) * story.each;
            let own = numbers().filter(|number| all.contains(number));
            assert!(own.eq(all.clone().filter(is_ours)), "publisher {publisher}");
        }
        assert_eq!(
            numbers().count(),
            (0..story.last() + ROOMS).filter(is_ours).count()
        );
    }

    /// When it has received the first message that was stored after the engine had come back.
    fn again(&self, story: &Story, published: &[Published]) -> Instant {
        let mut numbers = self.numbers.iter();
        let found = numbers.find(|(number, _)| {
            let publisher = published.get((number / story.each) as usize);
            let again = publisher.and_then(|publisher| publisher.again);
            again.is_some_and(|again| *number >= again)
        });
        found.expect("messages after the engine has come back").1
    }
}

/// A client that reconnects to one process after another, from where it is, until it has the last message of its room.
async fn keeps_listening(story: Arc<Story>, client: usize) -> Heard {
    let (first, room) = (client % PROCESSES, room_of(client as u64));
    let mut heard = Heard {
        room,
        numbers: Vec::new(),
        gaps: 0,
    };
    let mut since: Option<String> = None;
    for url in story.urls.iter().cycle().skip(first) {
        let mut client = Client::connect(url).await.expect("a gateway");
        let joined = join_room(&mut client, &heard.room, since.as_deref()).await;
        let Some(at) = joined["position"].as_str().map(str::to_owned) else {
            // It cannot tell yet.
            assert!(joined["error"].is_object(), "{joined}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        match since {
            None => {
                story.all_in.wait().await;
            }
            Some(_) => heard.gaps += usize::from(joined["recovered"] == false),
        }
        if joined["recovered"] == false {
            since = Some(at);
        }
        // Some clients come and go.
        let most = if first == 0 { MOVES } else { usize::MAX };
        for _ in 0..most {
            match next(&mut client).await {
                Frame::Text(text) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    since = Some(position(&message).to_owned());
                    let number = message["n"].as_u64().expect("a number");
                    heard.numbers.push((number, Instant::now()));
                    if number >= story.last() {
                        return heard;
                    }
                }
                Frame::Close(frame) => {
                    assert_eq!(frame.map(|frame| u16::from(frame.code)), Some(GAP));
                    break;
                }
                _ => {}
            }
        }
    }
    unreachable!("it goes on for ever");
}

/// Every message that is known to be stored reaches every client once and in its publisher's order, also when the engine
/// is killed and comes back. `test` is the name of the test.
async fn nothing_is_lost_or_doubled(test: &str, mut broker: Broker) {
    let processes: Vec<_> = (0..PROCESSES).map(|_| start(test, &broker)).collect();
    let story = Arc::new(Story {
        urls: processes.iter().map(Example::url).collect(),
        each: messages() / PROCESSES as u64,
        all_in: Barrier::new(CLIENTS + 1),
        stored: AtomicU64::new(0),
        is_time: Notify::new(),
        back: OnceLock::new(),
    });
    let listening = (0..CLIENTS).map(|client| keeps_listening(Arc::clone(&story), client));
    let listening: Vec<_> = listening.map(tokio::spawn).collect();
    timeout(PATIENCE, story.all_in.wait())
        .await
        .expect("all clients");
    let began = Instant::now();
    let publishing = (0..PROCESSES).map(|process| {
        let first = process as u64 * story.each;
        publishes(&story, process, first..first + story.each)
    });
    let killing = async {
        story.is_time.notified().await;
        broker.kill();
        tokio::time::sleep(Duration::from_secs(2)).await;
        broker.start();
        story.back.get_or_init(Instant::now)
    };
    let (published, back) = tokio::join!(join_all(publishing), killing);
    publishes(&story, 0, story.last()..story.last() + ROOMS).await;
    let mut again = *back;
    for listening in listening {
        let heard = timeout(PATIENCE, listening).await.expect("the last");
        let heard = heard.expect("no panic");
        heard.is_everything(&story);
        again = again.max(heard.again(&story, &published));
    }
    let again = again - *back;
    eprintln!(
        "{} messages in {:?}, delivered again {again:?} after the engine was back; {published:?}",
        story.last(),
        began.elapsed(),
    );
    assert!(again < AGAIN, "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn redis_that_is_killed_loses_and_doubles_nothing() {
    built_with!("redis", {
        if let Ok(engine) = env::var(ENGINE) {
            return gateway(Cluster::redis(engine)).await;
        }
        let test = "redis_that_is_killed_loses_and_doubles_nothing";
        nothing_is_lost_or_doubled(test, Broker::redis()).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn nats_that_is_killed_loses_and_doubles_nothing() {
    built_with!("nats", {
        if let Ok(engine) = env::var(ENGINE) {
            return gateway(Cluster::nats(engine)).await;
        }
        let test = "nats_that_is_killed_loses_and_doubles_nothing";
        nothing_is_lost_or_doubled(test, Broker::nats()).await;
    });
}
