//! Real message brokers, as separate processes that can be killed and restarted.
// Long: one thing, of which each kind of broker does everything.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{authority::Authority, chaos::Chaos};

/// A broker on a private port, with its data in a temporary directory. It is stopped when this is dropped.
pub struct Broker {
    kind: Kind,
    port: u16,
    dir: PathBuf,
    process: Option<Child>,
    /// The port for clients with a certificate; for NATS it is the only port.
    tls_port: Option<u16>,
    /// The address that Kafka gives to its clients, if it differs from where it listens.
    advertised: Option<SocketAddr>,
    /// All tests share one RabbitMQ, in whatever process they run, and each may kill it.
    _turn: Option<File>,
}

/// The configuration of Redis.
const REDIS: &str = "redis.conf";
/// And of a Sentinel, which writes to it what it learns.
const SENTINEL: &str = "sentinel.conf";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Redis,
    RabbitMq,
    Nats,
    Kafka,
}

impl Broker {
    /// Starts Redis, with its data in a file.
    pub fn redis() -> Self {
        Self::new(Kind::Redis, None)
    }

    /// Starts Redis that also listens with TLS, for clients with certificates from this authority.
    pub fn redis_with_tls(authority: &Authority) -> Self {
        Self::new(Kind::Redis, Some(authority))
    }

    /// Starts Redis with these lines in its configuration, and with TLS as well if there is an authority: as a Sentinel, if
    /// they say what it watches.
    pub fn redis_with(config: &str, authority: Option<&Authority>) -> Self {
        let mut broker = Self::unstarted(Kind::Redis);
        fs::create_dir_all(&broker.dir).expect("a temporary directory");
        let file = match config.contains("sentinel monitor") {
            true => SENTINEL,
            false => REDIS,
        };
        fs::write(broker.dir.join(file), config).expect("a file");
        if let Some(authority) = authority {
            broker.tls_port = Some(free_port());
            authority.write_server(&broker.dir);
        }
        broker.start();
        broker
    }

    /// RabbitMQ: the one that `tests/run` has started, or else a new one. Waits for its turn.
    pub async fn rabbitmq() -> Self {
        let start = || {
            let turn = shared_rabbitmq().map(|dir| {
                let turn = File::create(dir.join("turn")).expect("a file");
                turn.lock().expect("a turn");
                turn
            });
            let mut broker = Self::new(Kind::RabbitMq, None);
            broker._turn = turn;
            broker
        };
        let started = tokio::task::spawn_blocking(start).await;
        started.expect("RabbitMQ starts")
    }

    /// Starts a separate RabbitMQ that also listens with TLS, for clients with certificates from this authority.
    pub fn rabbitmq_with_tls(authority: &Authority) -> Self {
        Self::new(Kind::RabbitMq, Some(authority))
    }

    /// Starts NATS with JetStream.
    pub fn nats() -> Self {
        Self::new(Kind::Nats, None)
    }

    /// Starts NATS that requires TLS, with certificates from this authority.
    pub fn nats_with_tls(authority: &Authority) -> Self {
        Self::new(Kind::Nats, Some(authority))
    }

    /// Starts NATS with these lines in its configuration, and without JetStream: with operators that needs a system account.
    pub fn nats_with(config: &str) -> Self {
        let mut broker = Self::unstarted(Kind::Nats);
        fs::create_dir_all(&broker.dir).expect("a temporary directory");
        fs::write(broker.dir.join("nats.conf"), config).expect("a file");
        broker.start();
        broker
    }

    /// Starts Tansu, which speaks the Kafka protocol and keeps its data in memory.
    pub fn kafka() -> Self {
        Self::new(Kind::Kafka, None)
    }

    /// Like [`kafka`](Self::kafka), with a proxy in front to which it directs all its clients.
    pub async fn kafka_behind_a_proxy() -> (Self, Chaos) {
        let mut broker = Self::unstarted(Kind::Kafka);
        let proxy = Chaos::to(broker.addr()).await;
        broker.advertised = Some(proxy.addr);
        fs::create_dir_all(&broker.dir).expect("a temporary directory");
        broker.start();
        (broker, proxy)
    }

    fn unstarted(kind: Kind) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let nth = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("wasabi-broker-{}-{nth}", std::process::id());
        Self {
            kind,
            port: free_port(),
            dir: std::env::temp_dir().join(name),
            process: None,
            tls_port: None,
            advertised: None,
            _turn: None,
        }
    }

    fn new(kind: Kind, authority: Option<&Authority>) -> Self {
        let mut broker = Self::unstarted(kind);
        match shared_rabbitmq() {
            // It is listening, or about to.
            Some(dir) if kind == Kind::RabbitMq && authority.is_none() => {
                broker.dir = dir;
                broker.wait_for_rabbitmq();
            }
            _ => {
                fs::create_dir_all(&broker.dir).expect("a temporary directory");
                if let Some(authority) = authority {
                    broker.tls_port = Some(match kind {
                        Kind::Nats => broker.port,
                        _ => free_port(),
                    });
                    authority.write_server(&broker.dir);
                }
                broker.start();
            }
        }
        broker
    }

    /// Its port for clients, with TLS if it has that.
    pub(crate) fn port(&self) -> u16 {
        self.tls_port.unwrap_or(self.port)
    }

    /// The directory of its data.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The URL of its TLS port.
    pub fn tls_url(&self) -> String {
        let port = self.tls_port.expect("a broker with TLS");
        match self.kind {
            Kind::Redis => format!("rediss://127.0.0.1:{port}/"),
            Kind::RabbitMq => format!("amqps://guest:guest@127.0.0.1:{port}/%2f"),
            Kind::Nats => format!("tls://127.0.0.1:{port}"),
            Kind::Kafka => unreachable!("it has no TLS"),
        }
    }

    /// The URL in the form that its clients expect.
    pub fn url(&self) -> String {
        let Self { kind, port, .. } = self;
        match kind {
            Kind::Redis => format!("redis://127.0.0.1:{port}/"),
            Kind::RabbitMq => format!("amqp://guest:guest@127.0.0.1:{port}/%2f"),
            Kind::Nats => format!("nats://127.0.0.1:{port}"),
            Kind::Kafka => format!("127.0.0.1:{port}"),
        }
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The URL of the broker behind a proxy.
    pub fn url_through(&self, proxy: &Chaos) -> String {
        self.url()
            .replace(&self.addr().to_string(), &proxy.addr.to_string())
    }

    /// Starts the broker, also after [`kill`](Self::kill), and returns once it answers.
    // Long: one arm for each broker.
    pub fn start(&mut self) {
        let port = self.port.to_string();
        let mut command = match self.kind {
            Kind::RabbitMq => {
                if let Some(port) = self.tls_port {
                    fs::write(self.dir.join("tls-port"), port.to_string()).expect("a file");
                }
                assert!(rabbitmq("start", &self.dir), "RabbitMQ starts");
                self.wait_for_rabbitmq();
                return;
            }
            Kind::Redis => {
                let mut redis = Command::new("redis-server");
                for file in [SENTINEL, REDIS] {
                    if self.dir.join(file).exists() {
                        redis.arg(file);
                    }
                }
                redis.args(["--port", &port, "--bind", "127.0.0.1"]);
                match self.dir.join(SENTINEL).exists() {
                    true => redis.arg("--sentinel"),
                    false => redis.args(["--appendonly", "yes"]),
                };
                if let Some(port) = self.tls_port {
                    redis.args(["--tls-port", &port.to_string()]);
                    redis.args(["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"]);
                    redis.args(["--tls-ca-cert-file", "ca.pem"]);
                }
                redis
            }
            Kind::Nats => {
                let mut nats = Command::new(tools().join("python/bin/nats-server"));
                nats.args(["-a", "127.0.0.1", "-p", &port]);
                match self.dir.join("nats.conf").exists() {
                    true => nats.args(["-c", "nats.conf"]),
                    false => nats.args(["-js", "-sd", "jetstream"]),
                };
                if self.tls_port.is_some() {
                    nats.args([
                        "--tlsverify",
                        "--tlscert",
                        "cert.pem",
                        "--tlskey",
                        "key.pem",
                    ]);
                    nats.args(["--tlscacert", "ca.pem"]);
                }
                nats
            }
            Kind::Kafka => {
                let url = format!("tcp://127.0.0.1:{port}");
                let advertised = self.advertised.unwrap_or(self.addr());
                let advertised = format!("tcp://{advertised}");
                let mut tansu = Command::new(tools().join("tansu"));
                tansu.args(["broker", "--storage-engine", "memory://tansu/"]);
                tansu.args(["--listener-url", &url]);
                tansu.args(["--advertised-listener-url", &advertised]);
                tansu
            }
        };
        let output = File::create(self.dir.join("output")).expect("a file");
        let process = command
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stderr(output.try_clone().expect("a file"))
            .stdout(output)
            .spawn();
        self.process = Some(process.expect("the broker is installed: run tests/run"));
        self.wait();
    }

    /// Kills the broker, like a crash.
    pub fn kill(&mut self) {
        if self.kind == Kind::RabbitMq {
            assert!(rabbitmq("kill", &self.dir), "RabbitMQ is killed");
        } else if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops the process of the broker where it is: its connections stay, and it answers nothing.
    pub fn hang(&self) {
        self.signal("STOP");
    }

    /// Goes on after [`hang`](Self::hang).
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("a process of its own");
        let mut kill = Command::new("kill");
        kill.args(["-s", signal, &process.id().to_string()]);
        assert!(
            kill.status().is_ok_and(|status| status.success()),
            "{signal}"
        );
    }

    /// Copies the data, with the broker stopped for a moment.
    pub fn copy(&mut self) {
        self.kill();
        let copied = Command::new("cp")
            .arg("-r")
            .args([&self.dir, &self.copied()])
            .status();
        assert!(copied.is_ok_and(|status| status.success()), "a copy");
        self.start();
    }

    /// Goes on with the [copy](Self::copy) of the data: what came later is lost.
    pub fn restore(&mut self) {
        self.kill();
        fs::remove_dir_all(&self.dir).expect("the data");
        fs::rename(self.copied(), &self.dir).expect("a copy");
        self.start();
    }

    fn copied(&self) -> PathBuf {
        self.dir.with_extension("copy")
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.answers() {
            assert!(Instant::now() < deadline, "the broker does not start");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else {
            return false;
        };
        if self.kind != Kind::Redis {
            return true;
        }
        // While Redis loads its data, it answers with an error.
        let mut pong = [0; 5];
        stream.write_all(b"PING\r\n").is_ok()
            && stream.read_exact(&mut pong).is_ok()
            && [b"+PONG", b"-NOAU"].contains(&&pong)
    }

    fn wait_for_rabbitmq(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let port = fs::read_to_string(self.dir.join("port")).unwrap_or_default();
            if let Ok(port) = port.trim().parse() {
                self.port = port;
                if self.answers() {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "RabbitMQ does not start");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.kind == Kind::RabbitMq {
            if self.tls_port.is_none() && shared_rabbitmq().is_some() {
                return;
            }
            rabbitmq("kill", &self.dir);
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn rabbitmq(command: &str, dir: &Path) -> bool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("brokers/rabbitmq");
    let status = Command::new(script).arg(command).arg(dir).status();
    status.is_ok_and(|status| status.success())
}

fn tools() -> PathBuf {
    let tools = std::env::var_os("WASABI_TEST_TOOLS");
    PathBuf::from(tools.expect("WASABI_TEST_TOOLS is set by tests/run"))
}

/// The directory of the RabbitMQ that all tests share, if there is one.
fn shared_rabbitmq() -> Option<PathBuf> {
    std::env::var_os("WASABI_TEST_RABBITMQ").map(PathBuf::from)
}

/// Returns a port for a program that is told where to listen, and that may be killed and restarted. It is below the
/// ports that systems assign to connections and to port 0, so that nothing else takes it in between. Other processes
/// start their search elsewhere.
pub fn free_port() -> u16 {
    const PORTS: std::ops::Range<u32> = 10_000..30_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in PORTS {
        let nth = NEXT.fetch_add(1, Ordering::SeqCst);
        let port = std::process::id().wrapping_mul(61).wrapping_add(nth) % PORTS.len() as u32;
        let port = (PORTS.start + port) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("there is no free port");
}
