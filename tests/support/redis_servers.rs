//! Several Redis servers as one: watched by a Sentinel, or as a Redis Cluster.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    authority::Authority,
    broker::{Broker, free_port},
};

/// The password of the servers.
pub const PASSWORD: &str = "secret";
/// The password of the Sentinel.
pub const SENTINEL_PASSWORD: &str = "of the watch";

/// A port that nothing listens on, and that no test takes.
const ABSENT: u16 = 1;

/// Runs `redis-cli` against a server, and returns what it prints.
pub fn redis_cli(broker: &Broker, args: &[&str]) -> String {
    let mut cli = Command::new("redis-cli");
    cli.args(["-h", "127.0.0.1", "-p", &broker.addr().port().to_string()]);
    output(cli.args(args))
}

fn output(cli: &mut Command) -> String {
    let output = cli.env("REDISCLI_AUTH", PASSWORD).output();
    let output = output.expect("redis-cli is installed: run tests/run");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits for what a server will say soon.
fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "Redis does not get there");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A primary and a replica with a password, and a Sentinel that watches them.
pub struct Watched {
    /// The primary at first.
    pub primary: Broker,
    /// Its replica at first.
    pub replica: Broker,
    /// The Sentinel.
    pub sentinel: Broker,
    is_encrypted: bool,
}

impl Watched {
    /// The name of the primary.
    pub const NAME: &str = "mymaster";

    /// Starts them, with TLS if there is an authority; returns when the Sentinel knows all of them.
    pub fn start(authority: Option<&Authority>) -> Self {
        let tls = match authority {
            Some(_) => "tls-replication yes\n",
            None => "",
        };
        let server = format!("requirepass {PASSWORD}\nmasterauth {PASSWORD}\n{tls}");
        let primary = Broker::redis_with(&server, authority);
        let port = primary.port();
        let replica = format!("{server}replicaof 127.0.0.1 {port}\n");
        let replica = Broker::redis_with(&replica, authority);
        let name = Self::NAME;
        let sentinel = format!(
            "{tls}requirepass \"{SENTINEL_PASSWORD}\"\n\
             sentinel monitor {name} 127.0.0.1 {port} 1\n\
             sentinel auth-pass {name} {PASSWORD}\n\
             sentinel down-after-milliseconds {name} 1000\n\
             sentinel failover-timeout {name} 5000\n"
        );
        let watched = Self {
            primary,
            replica,
            sentinel: Broker::redis_with(&sentinel, authority),
            is_encrypted: authority.is_some(),
        };
        watched.is_watched();
        watched
    }

    /// Waits until the Sentinel knows the primary and its replica.
    pub fn is_watched(&self) {
        wait_until(|| {
            let info = ["--pass", SENTINEL_PASSWORD, "INFO", "sentinel"];
            redis_cli(&self.sentinel, &info).contains("status=ok,")
                && redis_cli(&self.sentinel, &info).contains("slaves=1,")
                && redis_cli(&self.primary, &["INFO", "replication"]).contains("state=online")
        });
    }

    /// The connections to the first primary that have subscribed, without the Sentinel's.
    pub fn subscribers(&self) -> Vec<String> {
        let clients = redis_cli(&self.primary, &["CLIENT", "LIST", "TYPE", "pubsub"]);
        let ours = clients
            .lines()
            .filter(|line| !line.is_empty() && !line.contains("name=sentinel"));
        let ids = ours.filter_map(|line| line.split(' ').next());
        ids.map(str::to_owned).collect()
    }

    /// The URL, which names a Sentinel that is not there as well.
    pub fn url(&self) -> String {
        let (absent, port) = (ABSENT, self.sentinel.port());
        let scheme = match self.is_encrypted {
            true => "rediss+sentinel",
            false => "redis+sentinel",
        };
        let name = Self::NAME;
        format!("{scheme}://:{PASSWORD}@127.0.0.1:{absent},127.0.0.1:{port}/{name}")
    }

    /// The replica hears no more of the primary: what comes now is lost with it.
    pub fn stop_replication(&self) {
        redis_cli(&self.replica, &["CONFIG", "SET", "masterauth", "wrong"]);
        redis_cli(&self.primary, &["CLIENT", "KILL", "TYPE", "replica"]);
    }

    /// Has the replica take the place of the primary, while both are there.
    pub fn hand_over(&self) {
        let command = [
            "--pass",
            SENTINEL_PASSWORD,
            "SENTINEL",
            "FAILOVER",
            Self::NAME,
        ];
        assert!(redis_cli(&self.sentinel, &command).contains("OK"));
    }
}

/// Waits until the replicas of a primary have all that it has. That they are online is not enough: a primary says so before
/// it sends the first command.
pub fn is_replicated(primary: &Broker) {
    wait_until(|| {
        let info = redis_cli(primary, &["INFO", "replication"]);
        let all = info
            .lines()
            .find_map(|line| line.strip_prefix("master_repl_offset:"))
            .map(|offset| format!("offset={},", offset.trim()));
        let mut replicas = info
            .lines()
            .filter(|line| line.contains("state="))
            .peekable();
        replicas.peek().is_some()
            && all.is_some_and(|all| replicas.all(|replica| replica.contains(&all)))
    });
}

/// The nodes of a Redis Cluster.
pub struct RedisCluster {
    /// The primaries first.
    pub nodes: Vec<Broker>,
    is_encrypted: bool,
}

impl RedisCluster {
    /// Starts three primaries.
    pub fn of_three(authority: Option<&Authority>) -> Self {
        Self::start(3, 0, authority)
    }

    /// Starts three primaries with a replica each.
    pub fn with_replicas() -> Self {
        Self::start(6, 1, None)
    }

    fn start(nodes: usize, replicas: usize, authority: Option<&Authority>) -> Self {
        let node = || {
            let tls = match authority {
                Some(_) => "tls-cluster yes\ntls-replication yes\n",
                None => "",
            };
            let bus = free_port();
            let config = format!(
                "cluster-enabled yes\ncluster-port {bus}\ncluster-node-timeout 1000\n\
                 requirepass {PASSWORD}\nmasterauth {PASSWORD}\n{tls}"
            );
            Broker::redis_with(&config, authority)
        };
        let nodes: Vec<_> = std::iter::repeat_with(node).take(nodes).collect();
        let mut create = Command::new("redis-cli");
        if authority.is_some() {
            create.current_dir(nodes[0].dir());
            create.args([
                "--tls", "--cacert", "ca.pem", "--cert", "cert.pem", "--key", "key.pem",
            ]);
        }
        create.args(["--cluster", "create"]);
        create.args(
            nodes
                .iter()
                .map(|node| format!("127.0.0.1:{}", node.port())),
        );
        create.args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]);
        let said = output(&mut create);
        assert!(said.contains("All 16384 slots covered"), "{said}");
        let cluster = Self {
            nodes,
            is_encrypted: authority.is_some(),
        };
        for node in &cluster.nodes {
            wait_until(|| {
                let is_ok = redis_cli(node, &["CLUSTER", "INFO"]).contains("cluster_state:ok");
                let slaves = redis_cli(node, &["CLUSTER", "NODES"])
                    .matches("slave")
                    .count();
                let in_sync =
                    !redis_cli(node, &["INFO", "replication"]).contains("link_status:down");
                is_ok && slaves == replicas * 3 && in_sync
            });
        }
        cluster
    }

    /// The URL, which names a node that is not there as well.
    pub fn url(&self) -> String {
        let (absent, port) = (ABSENT, self.nodes[0].port());
        let scheme = match self.is_encrypted {
            true => "rediss+cluster",
            false => "redis+cluster",
        };
        format!("{scheme}://:{PASSWORD}@127.0.0.1:{absent},127.0.0.1:{port}")
    }

    /// The slot of a key.
    pub fn slot(&self, key: &str) -> String {
        let slot = redis_cli(&self.nodes[0], &["CLUSTER", "KEYSLOT", key]);
        slot.trim().to_owned()
    }

    /// The number of the node that has a key.
    pub fn owner(&self, key: &str) -> usize {
        let answers = |node: &Broker| redis_cli(node, &["EXISTS", key]);
        let owner = self
            .nodes
            .iter()
            .position(|node| !answers(node).contains("MOVED"));
        owner.expect("a node with the key")
    }

    /// Another primary than this one.
    pub fn other(&self, node: usize) -> usize {
        (node + 1) % 3
    }

    fn id(&self, node: usize) -> String {
        let id = redis_cli(&self.nodes[node], &["CLUSTER", "MYID"]);
        id.trim().to_owned()
    }

    /// Begins to move a slot: from now on keys that are not at `from` are asked for at `to`.
    pub fn begin_to_move(&self, slot: &str, from: usize, to: usize) {
        let (from_id, to_id) = (self.id(from), self.id(to));
        let set = ["CLUSTER", "SETSLOT", slot];
        let importing = [&set[..], &["IMPORTING", &from_id]].concat();
        assert!(redis_cli(&self.nodes[to], &importing).contains("OK"));
        let migrating = [&set[..], &["MIGRATING", &to_id]].concat();
        assert!(redis_cli(&self.nodes[from], &migrating).contains("OK"));
    }

    /// Moves the keys of a slot.
    pub fn move_keys(&self, slot: &str, from: usize, to: usize) {
        let keys = redis_cli(
            &self.nodes[from],
            &["CLUSTER", "GETKEYSINSLOT", slot, "100"],
        );
        let port = self.nodes[to].port().to_string();
        let migrate = [
            "MIGRATE",
            "127.0.0.1",
            &port,
            "",
            "0",
            "5000",
            "AUTH",
            PASSWORD,
            "KEYS",
        ];
        let keys: Vec<_> = keys.lines().filter(|key| !key.is_empty()).collect();
        let moved = redis_cli(&self.nodes[from], &[&migrate[..], &keys].concat());
        assert!(moved.contains("OK"), "{moved}");
    }

    /// Tells all nodes that a slot has moved.
    pub fn has_moved(&self, slot: &str, to: usize) {
        let id = self.id(to);
        let first = [to].into_iter().chain(0..3);
        for node in first {
            redis_cli(
                &self.nodes[node],
                &["CLUSTER", "SETSLOT", slot, "NODE", &id],
            );
        }
    }
}
