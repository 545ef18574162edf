//! A server that is being measured.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    build::Built,
    plan::{Contender, Program},
};

/// A running server; killed when it is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) addr: SocketAddr,
}

const START_LIMIT: Duration = Duration::from_secs(10);

impl Server {
    /// Starts a server and waits until it listens.
    pub(super) fn start(
        built: &Built,
        contender: &Contender,
        upstream: Option<String>,
        tls: Option<&Path>,
    ) -> Result<Self, String> {
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| format!("no free port: {error}"))?;
        let mut command = built.command(contender);
        match contender.program {
            Program::Redis => command.arg("--port").arg(addr.port().to_string()),
            _ => command.arg("--addr").arg(addr.to_string()),
        };
        if let Some(upstream) = upstream {
            command.arg("--upstream").arg(upstream);
        }
        if let Some(folder) = tls {
            command.arg("--tls").arg(folder);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", contender.name))?;
        let mut server = Self { child, addr };
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(addr).is_err() {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("{} ended: {status}", contender.name));
            }
            if Instant::now() > deadline {
                return Err(format!("{} does not listen", contender.name));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
