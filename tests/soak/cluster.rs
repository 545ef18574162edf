//! Two gateways that are one over Redis, which is killed, hangs and is started again while clients publish to groups and
//! follow them, on one gateway after the other.

mod members;

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    runtime::Handle,
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};
use wasabi::{Cluster, Joined, Kept, Position, ServerHandle, prelude::*};
use wasabi_tests::{broker::Broker, redis_servers::redis_cli};

use self::members::Client;
use super::{
    PATIENCE,
    clients::{Account, Dice, MS},
    gateway::serve,
};

/// So long clients come and go; then each of them must have everything, or have been told a gap.
const ROUND: Duration = Duration::from_secs(15);
const GROUPS: usize = 3;
const PUBLISHERS: usize = 8;
const FOLLOWERS: usize = 24;
const LISTENERS: usize = 12;
/// What the names of the groups begin with whose messages are not kept.
const LIVE: &str = "live:";
/// The connections of a gateway to Redis: to publish, to subscribe, and to read.
const CONNECTIONS: usize = 3;

#[derive(serde::Deserialize)]
struct Join {
    group: String,
    since: Option<String>,
}

#[derive(serde::Deserialize)]
struct Say {
    id: u64,
    group: String,
    n: u64,
    series: u64,
    last: bool,
}

async fn listen(
    State(registry): State<Registry>,
    Json(join): Json<Join>,
    client: Connection,
) -> Result<Json<Value>> {
    registry.join(&*join.group, &client);
    registry.group(join.group).attached().await?;
    Ok(Json(json!({"joined": true})))
}

async fn follow(
    State(registry): State<Registry>,
    Json(join): Json<Join>,
    client: Connection,
) -> Result<Joined> {
    let since = join.since.as_deref();
    registry.join_from(join.group, &client, since).await
}

/// Publishes a number; in a kept group it is its own key.
async fn say(State(registry): State<Registry>, Json(say): Json<Say>) -> Result<Json<Value>> {
    let message = json!({"n": say.n, "series": say.series, "last": say.last}).to_string();
    let is_live = say.group.starts_with(LIVE);
    let group = registry.group(say.group);
    if is_live {
        group.publish(message).await.elsewhere?;
        return Ok(Json(json!({"id": say.id})));
    }
    let published = group.publish_once(say.n.to_string(), message).await;
    published.elsewhere?;
    let stored = published.stored.expect("a kept group");
    let (position, duplicate) = (stored.position, stored.duplicate);
    Ok(Json(
        json!({"id": say.id, "position": position, "duplicate": duplicate}),
    ))
}

struct Node {
    registry: Registry,
    runtime: Handle,
    server: ServerHandle,
    addr: SocketAddr,
}

impl Node {
    async fn of(cluster: &Cluster) -> Self {
        let registry = Registry::new();
        let gateway = gateway!(
            state = registry.clone(),
            cluster = cluster.clone(),
            channel(
                "/",
                registry = registry.clone(),
                groups = [Kept::prefix("kept:").size(1000).ttl(20s).stamp("position")],
                parser = JsonKey::at("/do").id("/id"),
                match key {
                    "listen" => listen,
                    "follow" => follow,
                    "say" => say,
                    _ => NoRoute,
                },
            ),
        );
        let (runtime, server) = serve(gateway);
        let addr = server.addrs().await[0];
        Self {
            registry,
            runtime,
            server,
            addr,
        }
    }

    fn tasks(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
    }
}

/// The two gateways, and Redis.
pub(crate) struct Nodes {
    nodes: [Node; 2],
    /// The tasks of each before anybody has come.
    tasks: [usize; 2],
    broker: Mutex<Broker>,
    published: Account,
    heard: AtomicU64,
    /// How often somebody has come back to a kept group, and was told a gap.
    returns: AtomicU64,
    gaps: AtomicU64,
    kills: AtomicU64,
    hangs: AtomicU64,
    /// Counts everything that must be distinct.
    numbers: AtomicU64,
}

/// The groups of a round, which nobody has known before.
struct Round {
    until: Instant,
    number: u64,
    /// By kept group, all numbers that were published.
    stored: Mutex<HashMap<String, BTreeMap<Position, u64>>>,
}

impl Round {
    fn kept(&self, group: usize) -> String {
        format!("kept:{}:{group}", self.number)
    }

    fn live(&self, group: usize) -> String {
        format!("{LIVE}{}:{group}", self.number)
    }
}

impl Nodes {
    pub(crate) async fn start() -> Arc<Self> {
        let broker = Broker::redis();
        let cluster = Cluster::redis(broker.url());
        let mut nodes = Self {
            nodes: [Node::of(&cluster).await, Node::of(&cluster).await],
            tasks: [usize::MAX; 2],
            broker: Mutex::new(broker),
            published: Account::default(),
            heard: AtomicU64::default(),
            returns: AtomicU64::default(),
            gaps: AtomicU64::default(),
            kills: AtomicU64::default(),
            hangs: AtomicU64::default(),
            numbers: AtomicU64::default(),
        };
        while nodes.connections() < nodes.nodes.len() * CONNECTIONS {
            sleep(MS * 20).await;
        }
        nodes.tasks = [0, 1].map(|node| nodes.nodes[node].tasks());
        Arc::new(nodes)
    }

    fn redis(&self, args: &[&str]) -> String {
        redis_cli(&self.broker.lock().expect("no panic"), args)
    }

    /// The connections that Redis has, without the one that asks.
    fn connections(&self) -> usize {
        let all = self.redis(&["CLIENT", "LIST"]);
        all.lines()
            .filter(|line| line.starts_with("id="))
            .count()
            .saturating_sub(1)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Clients come and go until the end, and Redis does.
    pub(crate) async fn run(self: Arc<Self>, until: Instant) {
        while Instant::now() < until {
            let round = Arc::new(Round {
                until: until.min(Instant::now() + ROUND),
                number: self.number(),
                stored: Mutex::default(),
            });
            self.round(&round).await;
        }
    }

    async fn round(self: &Arc<Self>, round: &Arc<Round>) {
        let (mut publishing, mut hearing) = (JoinSet::new(), JoinSet::new());
        for _ in 0..PUBLISHERS {
            publishing.spawn(Client::new(self).publishes(Arc::clone(round)));
        }
        for follower in 0..FOLLOWERS {
            hearing.spawn(Client::new(self).follows(Arc::clone(round), follower % GROUPS));
        }
        for listener in 0..LISTENERS {
            hearing.spawn(Client::new(self).listens(Arc::clone(round), listener % GROUPS));
        }
        let (nodes, until) = (Arc::clone(self), round.until);
        let troubled = spawn_blocking(move || nodes.trouble(until)).await;
        troubled.expect("Redis is there in the end");
        while let Some(published) = publishing.join_next().await {
            published.expect("a publisher finds nothing wrong");
        }
        // Until everybody has heard a last message. Somebody may come back only now, or be told a gap.
        let (mut last, mut heard) = (Client::new(self), Vec::new());
        while !hearing.is_empty() {
            for group in 0..GROUPS {
                last.says(round, &round.kept(group), true).await;
                last.says(round, &round.live(group), true).await;
            }
            while let Ok(Some(all)) = timeout(MS * 100, hearing.join_next()).await {
                heard.push(all.expect("a member finds nothing wrong"));
            }
        }
        let stored = round.stored.lock().expect("no panic");
        for (group, parts) in heard {
            for part in parts {
                part.is_whole(&stored[&group]);
            }
        }
    }

    /// Kills Redis, or has it hang, for longer than gateways wait for it or not, again and again.
    fn trouble(&self, until: Instant) {
        let mut dice = Dice::new(self.number());
        let pause = |ms: usize| {
            let rest = until.saturating_duration_since(Instant::now());
            thread::sleep(rest.min(MS * ms as u32));
        };
        while Instant::now() < until {
            pause(500 + dice.roll(1500));
            let mut broker = self.broker.lock().expect("no panic");
            let is_hanging = dice.roll(2) == 0;
            if is_hanging {
                broker.hang();
                self.hangs.fetch_add(1, Ordering::Relaxed);
                pause([200, 1500, 3000, 8500][dice.roll(4)]);
            }
            if is_hanging && dice.roll(2) == 0 {
                broker.go_on();
                continue;
            }
            broker.kill();
            self.kills.fetch_add(1, Ordering::Relaxed);
            pause(dice.roll(2500));
            broker.start();
        }
    }

    /// Waits until nothing is left of the clients: here, and at Redis.
    pub(crate) async fn rest(&self) {
        let start = Instant::now();
        loop {
            let left = self.left();
            if left.is_empty() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "left are {left}");
            sleep(MS * 100).await;
        }
    }

    fn left(&self) -> String {
        let mut left = String::new();
        for (node, before) in self.nodes.iter().zip(self.tasks) {
            let (connections, tasks) = (node.registry.len(), node.tasks());
            if connections > 0 || tasks > before {
                let _ = write!(left, "{connections} clients, {tasks} tasks of {before}; ");
            }
        }
        let connections = self.connections();
        if connections > self.nodes.len() * CONNECTIONS {
            let _ = write!(left, "{connections} connections to Redis; ");
        }
        // Those of the gateways themselves stay.
        let channels = self.redis(&["PUBSUB", "CHANNELS"]);
        let of_groups = channels.lines().filter(|channel| channel.contains(".g."));
        left.extend(of_groups.map(|channel| format!("{channel}; ")));
        if self.redis(&["PUBSUB", "NUMPAT"]).trim() != "0" {
            left.push_str("patterns");
        }
        left
    }

    /// What has become of the messages, and whether all of it was good.
    pub(crate) fn table(&self) -> (String, bool) {
        let (of, count) = (&self.published, |count: &AtomicU64| {
            count.load(Ordering::Relaxed)
        });
        let [sent, replies, errors, ended] =
            [&of.sent, &of.replies, &of.errors, &of.ended].map(count);
        let [heard, returns, gaps] = [&self.heard, &self.returns, &self.gaps].map(count);
        let [kills, hangs] = [&self.kills, &self.hangs].map(count);
        let lost = sent - replies - errors - ended;
        let table = format!(
            "Redis killed {kills} and stopped {hangs} times: {sent} publishes, {replies} replies, {errors} errors, {ended} \
             cut off, {lost} lost; {heard} messages heard; {returns} came back, {gaps} of \
             them to a gap\n"
        );
        let is_good = lost == 0 && replies > 0 && heard > 0 && returns > 0 && kills + hangs > 0;
        (table, is_good)
    }

    pub(crate) fn drain(&self) {
        for node in &self.nodes {
            node.server.drain();
        }
    }
}
