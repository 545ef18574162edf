//! Thousands of clients that come, go, stall and misbehave, over HTTP/1.1, HTTP/2, and TLS through nginx and HAProxy with the
//! files of `examples/production`, for as long as `WASABI_SOAK` says
//! (`90s`, `10m`, `4h`; a minute if it is not set), while upstreams are silent, refuse, send garbage or lose their lines.
//! Beside them, members of groups come and go at two gateways that are one over Redis, which comes and goes as well.
//! At the end every message is accounted for, and nothing is left: no connection, no task, no memory.

mod soak {
    pub(crate) mod clients;
    pub(crate) mod cluster;
    pub(crate) mod gateway;
    pub(crate) mod heap;
    pub(crate) mod lines;
    pub(crate) mod upstreams;

    pub(crate) use super::PATIENCE;
}

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Handle},
    task::JoinSet,
    time::sleep,
};
use tokio_rustls::TlsConnector;
use wasabi::Registry;
use wasabi_tests::{
    authority::Authority,
    proxy::{shipped_haproxy, shipped_nginx},
};

use self::soak::{
    clients::{Account, DeadLines, Dice, KINDS, Kind, live},
    cluster::Nodes,
    gateway::{Work, gateway, serve},
    heap::allocated,
    lines::Road,
    upstreams::Upstreams,
};

/// Longer than anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// One account for each kind of client, for each way to come.
type Balance = [[Account; KINDS.len()]; WAYS.len()];

const WAYS: [&str; 4] = ["HTTP/1.1", "HTTP/2", "nginx", "HAProxy"];

/// What all clients share.
struct Soak {
    /// Where clients of each way come to.
    addrs: [SocketAddr; WAYS.len()],
    tls: TlsConnector,
    places: usize,
    balance: Balance,
    upstreams: Upstreams,
    dead: DeadLines,
}

/// Clients live one after the other in each of the places until the end, and lines to upstreams break meanwhile.
async fn run(soak: &Arc<Soak>, until: Instant) {
    let breaking = tokio::spawn({
        let soak = Arc::clone(soak);
        async move { soak.upstreams.break_wires().await }
    });
    let mut clients = JoinSet::new();
    let mut road = Road::Http1;
    for place in 0..soak.places {
        // Groups of four come in the same way; those over HTTP/2 share a socket.
        let way = place / 4 % WAYS.len();
        if place % 4 == 0 {
            road = match way {
                0 => Road::Http1,
                1 => Road::http2(),
                _ => Road::Proxied(soak.tls.clone()),
            };
        }
        let (soak, road) = (Arc::clone(soak), road.clone());
        clients.spawn(async move {
            let mut dice = Dice::new(place as u64);
            let accounts = &soak.balance[way];
            while Instant::now() < until {
                let kind = Kind::any(&mut dice);
                let account = &accounts[kind as usize];
                live(kind, &road, soak.addrs[way], &mut dice, account, &soak.dead).await;
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("a client finds nothing wrong");
    }
    breaking.abort();
    // Upstreams are gone as well, and nobody is told.
    soak.upstreams.http_wire.half_open();
    soak.upstreams.websocket_wire.half_open();
}

/// Waits until nothing is left of the clients, and tells the allocated bytes of the process and the tasks of the gateway.
async fn rest(registry: &Registry, work: &Work, gateway: &Handle, tasks: usize) -> (usize, usize) {
    let alive = || gateway.metrics().num_alive_tasks();
    let start = Instant::now();
    while !(registry.is_empty() && work.rests() && alive() <= tasks) && start.elapsed() < PATIENCE {
        sleep(Duration::from_millis(20)).await;
    }
    assert!(
        registry.is_empty(),
        "{} connections are left",
        registry.len()
    );
    assert!(work.rests(), "requests are left: {work:?}");
    assert!(alive() <= tasks, "{} tasks are left, of {tasks}", alive());
    (allocated(), alive())
}

/// Connections have two ends in this process, and some have an upstream's two. The members of groups come on top.
fn places() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files: usize = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(1024);
    (files.saturating_sub(500) / 5).min(1000)
}

fn duration() -> Duration {
    let text = std::env::var("WASABI_SOAK").unwrap_or("60s".to_owned());
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => panic!("WASABI_SOAK is `{text}`, and should be like `90s`, `10m` or `4h`"),
    };
    Duration::from_secs(number.parse::<u64>().expect("a number") * seconds)
}

// Long: the steps of a run, in their order.
#[test]
#[ignore = "takes a minute, needs nginx, HAProxy and Redis: run tests/run"]
fn every_message_is_accounted_for_and_nothing_is_left() {
    let runtime = || {
        let mut threads = Builder::new_multi_thread();
        let runtime = threads.worker_threads(2).enable_all().build();
        runtime.expect("a runtime")
    };
    // The members of groups would hardly get a turn among all the others.
    let (clients, members) = (runtime(), runtime());
    clients.block_on(async {
        let upstreams = Upstreams::start().await;
        let (registry, work) = (Registry::new(), Arc::new(Work::default()));
        let served = gateway(registry.clone(), Arc::clone(&work), &upstreams);
        let (gateway, server) = serve(served);
        let [direct, proxied] = server.addrs().await[..] else {
            panic!("two addresses");
        };
        let nodes = Nodes::start().await;
        let authority = Authority::new();
        let nginx = shipped_nginx(&authority, direct);
        let haproxy = shipped_haproxy(&authority, proxied, "60s");
        let soak = Arc::new(Soak {
            addrs: [direct, direct, nginx.addr, haproxy.addr],
            tls: TlsConnector::from(Arc::new(authority.client())),
            places: places(),
            balance: Balance::default(),
            upstreams,
            dead: DeadLines::default(),
        });
        let duration = duration();

        // What stays after the first clients is there for good, as connections to the HTTP service.
        let until = Instant::now() + duration / 4;
        let of_groups = members.spawn(Arc::clone(&nodes).run(until));
        run(&soak, until).await;
        of_groups.await.expect("members find nothing wrong");
        let tasks = gateway.metrics().num_alive_tasks();
        nodes.rest().await;
        let (before, tasks) = rest(&registry, &work, &gateway, tasks).await;
        soak.dead.lock().await.clear();
        let until = Instant::now() + duration * 3 / 4;
        let of_groups = members.spawn(Arc::clone(&nodes).run(until));
        run(&soak, until).await;
        of_groups.await.expect("members find nothing wrong");
        nodes.rest().await;
        // A task for each connection that the HTTP client keeps open.
        let (after, _) = rest(&registry, &work, &gateway, tasks + 64).await;

        let mut table = format!(
            "\n{} clients at the same time for {duration:?}\n",
            soak.places
        );
        let mut failed = false;
        for (way, accounts) in WAYS.iter().zip(&soak.balance) {
            let _ = writeln!(
                table,
                "{way:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>5}",
                "clients", "sent", "replies", "errors", "cut off", "lost"
            );
            for (kind, account) in KINDS.iter().zip(accounts) {
                let [lives, sent, replies, errors, ended] = [
                    &account.lives,
                    &account.sent,
                    &account.replies,
                    &account.errors,
                    &account.ended,
                ]
                .map(|count| count.load(Ordering::Relaxed));
                let lost = sent - replies - errors - ended;
                let _ = writeln!(
                    table,
                    "{:>10} {lives:>9} {sent:>9} {replies:>9} {errors:>9} {ended:>9} {lost:>5}",
                    format!("{kind:?}")
                );
                failed |= lost > 0 || lives == 0;
            }
        }
        let (of_groups, is_good) = nodes.table();
        table.push_str(&of_groups);
        failed |= !is_good;
        let _ = writeln!(
            table,
            "{} KiB after the first quarter, {} KiB at the end",
            before / 1024,
            after / 1024,
        );
        // Past the capturing of the test harness: this is what the run is for.
        let _ = std::io::stderr().write_all(table.as_bytes());
        failed |= after >= before + before / 4 + 16 * 1024 * 1024;
        assert!(!failed, "{table}");
        nodes.drain();
        server.drain();
    });
}
