//! Traces of the example `otel`, as a collector receives them.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use wasabi_tests::{broker::free_port, example::Example, soon};

/// Longer than anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

/// [Rotel](https://rotel.dev) on a private port. It prints what it receives.
struct Collector {
    process: Child,
    port: u16,
    dir: PathBuf,
}

impl Collector {
    fn start() -> Self {
        let tools = std::env::var_os("WASABI_TEST_TOOLS");
        let tools = PathBuf::from(tools.expect("WASABI_TEST_TOOLS is set by tests/run"));
        let dir = std::env::temp_dir().join(format!("wasabi-collector-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a temporary directory");
        let (http, grpc) = (free_port(), free_port());
        let process = Command::new(tools.join("rotel"))
            .args(["start", "--exporter", "blackhole"])
            .args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .args(["--pid-file", "pid", "--log-file", "log"])
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(File::create(dir.join("output")).expect("a file"))
            .spawn()
            .expect("the collector is installed: run tests/run");
        let collector = Self {
            process,
            port: http,
            dir,
        };
        wait_until("it listens", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, http)).is_ok()
        });
        collector
    }

    /// The spans that it has received: what it prints of each.
    fn spans(&self) -> Vec<String> {
        let output = fs::read_to_string(self.dir.join("output")).expect("text");
        let spans = output.split("Span #").skip(1);
        spans.map(str::to_owned).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
#[ignore = "needs the collector rotel: run tests/run"]
async fn a_collector_receives_the_span_of_each_request() {
    let collector = Collector::start();
    let mut command = Example::command("otel");
    command.args(["--addr", "127.0.0.1:0"]).env(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        format!("http://127.0.0.1:{}", collector.port),
    );
    let gateway = Example::run(command, "ws://");
    let connected = soon(tokio_tungstenite::connect_async(gateway.url())).await;
    let (mut socket, _) = connected.expect("handshake");
    let mut contexts = Vec::new();
    for (id, action) in ["context", "context", "nothing"].into_iter().enumerate() {
        let question = json!({"action": action, "id": id}).to_string();
        socket.send(question.into()).await.expect("send");
        let reply = soon(socket.next())
            .await
            .expect("a reply")
            .expect("a reply");
        let reply: Value = serde_json::from_slice(&reply.into_data()).expect("JSON");
        contexts.push(reply["traceparent"].as_str().map(str::to_owned));
    }
    socket.close(None).await.expect("close");
    // At its end it sends what it has.
    gateway.stop_and_read();
    wait_until("all spans are there", || collector.spans().len() >= 3);

    let spans = collector.spans();
    assert_eq!(spans.len(), 3, "{spans:?}");
    for (id, (route, outcome)) in [("context", "ok"), ("context", "ok"), ("_", "no_route")]
        .into_iter()
        .enumerate()
    {
        let own = format!("-> id: Str({id})\n");
        let mut found = spans.iter().filter(|span| span.contains(&own));
        let span = found.next().expect("a span for each request");
        for line in [
            format!("Name           : {route}\n"),
            "Kind           : SPAN_KIND_SERVER\n".to_owned(),
            format!("-> route: Str({route})\n"),
            "-> connection: Str(1)\n".to_owned(),
            format!("-> outcome: Str({outcome})\n"),
        ] {
            assert!(span.contains(&line), "{line:?} is not in {span}");
        }
        // What the HTTP service was told is what the collector knows.
        if let Some(context) = &contexts[id] {
            let ids: Vec<_> = context.split('-').collect();
            assert!(span.contains(&format!("Trace ID       : {}\n", ids[1])));
            assert!(span.contains(&format!("    ID             : {}\n", ids[2])));
        }
        assert_eq!(contexts[id].is_some(), outcome == "ok");
    }
}
