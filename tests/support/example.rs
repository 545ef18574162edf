//! The example programs, run as processes.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::Once,
};

/// A running example; dropping it kills the process.
pub struct Example {
    child: Child,
    stdout: BufReader<ChildStdout>,
    printed: String,
    url: String,
}

impl Example {
    /// Starts an example and waits until it prints the `ws://` URL that it listens on.
    pub fn start(name: &str, args: &[&str]) -> Self {
        Self::start_until("ws://", name, args)
    }

    /// Starts an example and waits until it prints a word with this prefix.
    pub fn start_until(word: &str, name: &str, args: &[&str]) -> Self {
        let mut command = Self::command(name);
        command.args(args);
        Self::run(command, word)
    }

    /// Starts a program and waits until it prints a word with this prefix.
    pub fn run(mut command: Command, word: &str) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut printed = String::new();
        let url = loop {
            let start = printed.len();
            let read = stdout.read_line(&mut printed).expect("text");
            assert!(read > 0, "it ended, and said\n{printed}");
            let mut words = printed[start..].split_whitespace();
            if let Some(url) = words.find(|found| found.starts_with(word)) {
                break url.trim_end_matches('/').to_owned();
            }
        };
        Self {
            child,
            stdout,
            printed,
            url,
        }
    }

    /// The command of an example, which is built if necessary.
    pub fn command(name: &str) -> Command {
        let mut path: PathBuf = std::env::current_exe().expect("a path");
        path.pop();
        path.pop();
        path.push("examples");
        path.push(name);
        // `tests/run` has built it; otherwise it may be missing or outdated.
        static BUILD: Once = Once::new();
        BUILD.call_once(|| {
            if std::env::var_os("WASABI_TEST_TOOLS").is_none() {
                let status = Command::new(env!("CARGO"))
                    .args(["build", "-q", "--workspace", "--examples"])
                    .status();
                assert!(status.expect("cargo runs").success());
            }
        });
        Command::new(path)
    }

    /// The `ws://` URL that it listens on.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// What it had printed when it listened.
    pub fn printed(&self) -> &str {
        &self.printed
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `TERM`, `INT`, ..
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for the program to end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// Stops the program and returns everything that it has printed.
    pub fn stop_and_read(self) -> String {
        self.signal("TERM");
        self.end().1
    }

    /// Waits for the program to end; returns its exit status and everything that it has printed.
    pub fn end(mut self) -> (ExitStatus, String) {
        self.stdout.read_to_string(&mut self.printed).expect("text");
        (self.wait(), self.printed.clone())
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
