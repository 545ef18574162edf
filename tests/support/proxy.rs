//! Third-party proxies, as separate processes: nginx and HAProxy.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::authority::Authority;

/// A proxy on a free port of the loopback interface. Dropping it stops the process.
pub struct Proxy {
    /// The address that it listens on.
    pub addr: SocketAddr,
    dir: PathBuf,
    process: Child,
}

impl Proxy {
    /// Starts nginx. In the contents of `server { .. }`, `PORT` stands for the port to listen on, and `DIR` for a
    /// directory with the certificate of 127.0.0.1 in `cert.pem`, its key in `key.pem`, and both in `both.pem`.
    pub fn nginx(authority: &Authority, server: &str) -> Self {
        let config = format!(
            "worker_processes 1; daemon off; pid DIR/pid; error_log DIR/log;\n\
             events {{ worker_connections 1000; }}\n\
             http {{\n\
             access_log off; client_body_temp_path DIR/body; proxy_temp_path DIR/proxy;\n\
             fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;\n\
             {server}\n}}\n"
        );
        Self::start(authority, &config, |file| {
            let mut nginx = Command::new("nginx");
            nginx.arg("-c").arg(file);
            nginx
        })
    }

    /// Starts HAProxy, with the same meaning of `PORT` and `DIR` in its configuration.
    pub fn haproxy(authority: &Authority, config: &str) -> Self {
        Self::start(authority, config, |file| {
            let mut haproxy = Command::new("haproxy");
            haproxy.arg("-db").arg("-f").arg(file);
            haproxy
        })
    }

    /// Starts HAProxy as a balancer in front of servers at these addresses, which it takes in turn. It takes the next one for
    /// one that is not there.
    pub fn balancer(servers: impl IntoIterator<Item = String>) -> Self {
        let servers = servers.into_iter().enumerate();
        let servers: String = servers
            .map(|(at, address)| format!("  server gateway{at} {address}\n"))
            .collect();
        let config = format!(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  \
             timeout tunnel 60s\n  retries 3\n  option redispatch 1\n\
             frontend clients\n  bind 127.0.0.1:PORT\n  default_backend gateways\n\
             backend gateways\n  balance roundrobin\n{servers}"
        );
        Self::haproxy(&Authority::new(), &config)
    }

    fn start(authority: &Authority, config: &str, command: impl FnOnce(&Path) -> Command) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let nth = COUNT.fetch_add(1, Ordering::SeqCst);
        let dir = std::env::temp_dir().join(format!("wasabi-proxy-{}-{nth}", std::process::id()));
        fs::create_dir_all(&dir).expect("a temporary directory");
        authority.write_server(&dir);
        let [cert, key] =
            ["cert.pem", "key.pem"].map(|name| fs::read(dir.join(name)).expect("a file"));
        fs::write(dir.join("both.pem"), [cert, key].concat()).expect("a file");
        let port = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            listener.local_addr().expect("an address").port()
        };
        let config = config
            .replace("PORT", &port.to_string())
            .replace("DIR", dir.to_str().expect("UTF-8"))
            + "\n";
        let file = dir.join("config");
        fs::write(&file, config).expect("a file");
        let log = fs::File::create(dir.join("output")).expect("a file");
        let process = command(&file)
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("the proxy is installed: run tests/run");
        let mut proxy = Self {
            addr: (Ipv4Addr::LOCALHOST, port).into(),
            dir,
            process,
        };
        proxy.wait();
        proxy
    }

    fn wait(&mut self) {
        let start = Instant::now();
        while TcpStream::connect(self.addr).is_err() {
            let ended = self.process.try_wait().expect("a process");
            assert!(
                ended.is_none() && start.elapsed() < Duration::from_secs(30),
                "the proxy does not listen: {}",
                fs::read_to_string(self.dir.join("output")).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// nginx as in `examples/production`, in front of this listener.
pub fn shipped_nginx(authority: &Authority, to: SocketAddr) -> Proxy {
    let config = include_str!("../../examples/production/nginx.conf")
        .replace("listen 443", "listen 127.0.0.1:PORT")
        .replace("/etc/nginx/tls", "DIR")
        .replace("127.0.0.1:8080", &to.to_string());
    Proxy::nginx(authority, &config)
}

/// HAProxy as in `examples/production`, in front of this proxied listener, with another timeout for WebSockets.
pub fn shipped_haproxy(authority: &Authority, to: SocketAddr, tunnel: &str) -> Proxy {
    let config = include_str!("../../examples/production/haproxy.cfg")
        .replace("bind :443", "bind 127.0.0.1:PORT")
        .replace("/etc/haproxy/tls.pem", "DIR/both.pem")
        .replace("127.0.0.1:8081", &to.to_string())
        .replace("timeout tunnel 60s", &format!("timeout tunnel {tunnel}"));
    Proxy::haproxy(authority, &config)
}

/// HAProxy as in `examples/many_machines`, in front of three gateways at these addresses.
pub fn shipped_balancer(addresses: &[String]) -> Proxy {
    let mut config = include_str!("../../examples/many_machines/haproxy.cfg")
        .replace("bind :8080", "bind 127.0.0.1:PORT");
    for (at, address) in addresses.iter().enumerate() {
        let name = format!("gateway-{}", at + 1);
        config = config.replace(&format!("{name}:8080"), address);
    }
    Proxy::haproxy(&Authority::new(), &config)
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // A SIGTERM makes nginx end its worker too.
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let start = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if start.elapsed() > Duration::from_secs(5) {
                let _ = self.process.kill();
                let _ = self.process.wait();
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}
