//! Builds the servers.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::plan::{Contender, Program};

/// The paths of the built programs.
pub(super) struct Built {
    gateway: PathBuf,
    peers: PathBuf,
    /// The program that serves with `ws`, next to which that is installed.
    node: Option<PathBuf>,
    /// The program that serves with `socket.io`, next to which that is installed.
    socket_io: Option<PathBuf>,
    has_redis: bool,
}

/// Builds the gateway and the peers with cargo, showing its progress, and installs `ws` and `socket.io` if npm is
/// available.
pub(super) fn all() -> Result<Built, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = &target_dir()?;
    let manifest = here.join("Cargo.toml");
    cargo(&manifest, target, &["--bin", "gateway"])?;
    let peers = target.join("peers");
    cargo(&here.join("peers/Cargo.toml"), &peers, &["--locked"])?;
    Ok(Built {
        gateway: target.join("release/gateway"),
        peers: peers.join("release/wasabi-bench-peers"),
        node: node("ws", "echo.js", &here.join("peers/ws"), &target.join("ws")),
        socket_io: node(
            "socket.io",
            "room.js",
            &here.join("peers/socketio"),
            &target.join("socketio"),
        ),
        has_redis: has_redis(),
    })
}

/// The target directory that contains this program, whatever its name.
pub(crate) fn target_dir() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| error.to_string())?;
    // It contains `release/wasabi-bench`.
    let target = own.ancestors().nth(2);
    target
        .map(Path::to_owned)
        .ok_or("this program is not in a target directory".to_owned())
}

fn cargo(manifest: &Path, target: &Path, more: &[&str]) -> Result<(), String> {
    let status = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--release", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(target)
        .args(more)
        .status()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{} cannot be built", manifest.display())),
    }
}

/// Returns `None` without Node.js or a registry; the comparison then continues without the package.
fn node(package: &str, program: &str, source: &Path, target: &Path) -> Option<PathBuf> {
    std::fs::create_dir_all(target).ok()?;
    for file in ["package.json", program] {
        std::fs::copy(source.join(file), target.join(file)).ok()?;
    }
    let installed = target.join("node_modules").join(package).exists()
        || Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--silent"])
            .current_dir(target)
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
    if !installed {
        eprintln!("`{package}` cannot be installed with npm: it takes no part");
    }
    installed.then(|| target.join(program))
}

fn has_redis() -> bool {
    let version = Command::new("redis-server").arg("--version").output();
    let found = version.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("there is no `redis-server`: nothing is measured over Redis");
    }
    found
}

impl Built {
    pub(super) fn has(&self, contender: &Contender) -> bool {
        let is_there = match contender.program {
            Program::Gateway(_) | Program::Peer(_) => true,
            Program::Node(_) => self.node.is_some(),
            Program::SocketIo(_) => self.socket_io.is_some(),
            Program::Redis => self.has_redis,
        };
        is_there && (self.has_redis || !contender.redis)
    }

    pub(super) fn command(&self, contender: &Contender) -> Command {
        let threads = contender.threads.to_string();
        match contender.program {
            Program::Gateway(kind) => {
                let mut command = Command::new(&self.gateway);
                command.arg(kind).arg("--threads").arg(threads);
                command
            }
            Program::Peer(name) => {
                let mut command = Command::new(&self.peers);
                command.arg(name).arg("--threads").arg(threads);
                command
            }
            Program::Node(options) => {
                let mut command = Command::new("node");
                command
                    .arg(self.node.clone().unwrap_or_default())
                    .args(options);
                command
            }
            Program::SocketIo(adapter) => {
                let mut command = Command::new("node");
                command
                    .arg(self.socket_io.clone().unwrap_or_default())
                    .arg(adapter);
                command
            }
            Program::Redis => {
                let mut command = Command::new("redis-server");
                command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
                command
            }
        }
    }
}
