//! RFC 6455 as Autobahn's cases see it: of the gateway as a server, and as a client of its upstreams.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt, stream};
use wasabi::WebSocket;
use wasabi_tests::{Client, serve, soon};

use crate::{compressing, tools};

fn reports(name: &str) -> PathBuf {
    tools().join("kosoku-reports").join(name)
}

/// Of the cases with compression, those with a thousand messages of 128 KiB take half of the time. They run for text
/// (12.1), for binary data (12.2) and for the simplest offer (13.1); in these groups only with `WASABI_AUTOBAHN=all`. What
/// their groups are about, other data and other offers, smaller messages show as well.
const SMALLER: [&str; 9] = [
    "12.3", "12.4", "12.5", "13.2", "13.3", "13.4", "13.5", "13.6", "13.7",
];
const LARGEST: [&str; 5] = ["10", "15", "16", "17", "18"];

fn runs_all() -> bool {
    std::env::var("WASABI_AUTOBAHN").is_ok_and(|which| which == "all")
}

/// How many cases there are, if so many groups are among [`SMALLER`].
fn cases(all: usize, smaller: usize) -> usize {
    match runs_all() {
        true => all,
        false => all - smaller * LARGEST.len(),
    }
}

/// Runs groups of Autobahn's cases against a server, and tells how many there were. Each run has a `name` of its own.
async fn autobahn(name: &str, url: String, groups: &[&str]) -> usize {
    let reports = reports(name);
    let mut kosoku = Command::new(tools().join("python/bin/kosoku"));
    kosoku.args(["-m", "fuzzingclient", "-p", "4"]);
    for group in groups {
        kosoku.args(["-i", &format!("{group}.*")]);
    }
    let left_out = SMALLER.iter().filter(|_| !runs_all());
    for (group, case) in left_out.flat_map(|group| LARGEST.map(|case| (group, case))) {
        kosoku.args(["-x", &format!("{group}.{case}")]);
    }
    kosoku.arg("-o").arg(&reports).arg(url);
    let run = tokio::task::spawn_blocking(move || kosoku.output());
    let output = run.await.expect("it runs").expect("kosoku is installed");
    assert_passed(&reports, &SLOW, &String::from_utf8_lossy(&output.stderr))
}

/// Fails for the cases of a report that did, and tells how many there are. Those whose ids begin with one of `lenient`
/// need not be as strict as the suite likes it best.
fn assert_passed(reports: &Path, lenient: &[&str], output: &str) -> usize {
    let index =
        std::fs::read(reports.join("index.json")).unwrap_or_else(|_| panic!("no report: {output}"));
    let index: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    let agents = index.as_object().expect("agents");
    let cases: Vec<_> = agents
        .values()
        .flat_map(|agent| agent.as_object().expect("cases"))
        .collect();
    let failed: Vec<_> = cases
        .iter()
        .filter(|(id, case)| {
            let may_be_lenient = lenient.iter().any(|prefix| id.starts_with(prefix));
            let good = |what: &str, also: &[&str]| {
                let verdict = case[what].as_str().unwrap_or_default();
                verdict == "OK" || also.contains(&verdict)
            };
            let is_good = good("behavior", &["INFORMATIONAL"])
                || may_be_lenient && good("behavior", &["NON-STRICT"]);
            !is_good || !good("behaviorClose", &["INFORMATIONAL"])
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    cases.len()
}

const BASE: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "9", "10"];
/// A mistake in the middle of a text may be seen at its end, which a busy machine may read at once.
const SLOW: [&str; 1] = ["6.4"];
/// A message is followed by a mistake: the gateway ends the connection before its client can answer the message.
const LATE: [&str; 3] = ["3.", "4.", "5.15"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs kosoku: run tests/run"]
async fn every_case_of_the_autobahn_suite_passes() {
    let server = serve(wasabi::gateway!(channel(
        "/",
        max_message_size = 16MiB,
        async |message: wasabi::Message| message,
    )))
    .await;
    let count = autobahn("plain", server.url("/"), &BASE).await;
    assert!(count >= 301, "only {count} cases ran");
}

/// kosoku does not understand replies that are not compressed: the threshold is 0.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs kosoku: run tests/run"]
async fn cases_of_the_autobahn_suite_about_compressed_messages_pass() {
    let server = serve(compressing(0)).await;
    let count = autobahn("deflate", server.url("/"), &["12"]).await;
    assert!(count >= cases(90, 3), "only {count} cases ran");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs kosoku: run tests/run"]
async fn cases_of_the_autobahn_suite_about_offers_of_compression_pass() {
    let server = serve(compressing(0)).await;
    let count = autobahn("deflate-offers", server.url("/"), &["13"]).await;
    assert!(count >= cases(126, 6), "only {count} cases ran");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs kosoku: run tests/run"]
async fn cases_of_the_autobahn_suite_pass_where_the_compressor_is_kept() {
    let server = serve(compressing(0)).await;
    // Text, a small window, several offers.
    let some = ["12.1", "13.3", "13.7"];
    let count = autobahn("deflate-kept", server.url("/kept"), &some).await;
    assert!(count >= cases(54, 2), "only {count} cases ran");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs kosoku: run tests/run"]
async fn every_case_of_the_autobahn_suite_passes_where_messages_are_compressed() {
    let server = serve(compressing(0)).await;
    let count = autobahn("deflate-base", server.url("/"), &BASE).await;
    assert!(count >= 301, "only {count} cases ran");
}

/// Autobahn's cases as a server, each for one client that connects.
struct FuzzingServer {
    child: Child,
    stderr: BufReader<ChildStderr>,
    url: String,
    reports: PathBuf,
}

impl FuzzingServer {
    /// Each run has a `name` of its own.
    fn start(name: &str, groups: &[&str]) -> Self {
        let reports = reports(name);
        let _ = std::fs::remove_dir_all(&reports);
        let mut kosoku = Command::new(tools().join("python/bin/kosoku"));
        kosoku.args(["-m", "fuzzingserver", "127.0.0.1:0"]);
        for group in groups {
            kosoku.args(["-i", &format!("{group}.*")]);
        }
        kosoku.arg("-o").arg(&reports).stdout(Stdio::null());
        let mut child = kosoku
            .stderr(Stdio::piped())
            .spawn()
            .expect("kosoku is installed");
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("text");
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("ws://"));
        let url = url
            .unwrap_or_else(|| panic!("no URL in {line:?}"))
            .to_owned();
        Self {
            child,
            stderr,
            url,
            reports,
        }
    }

    async fn case_count(&self) -> usize {
        let url = format!("{}/getCaseCount", self.url);
        let mut client = Client::connect(url).await.expect("handshake");
        client.text().await.parse().expect("a number")
    }

    /// Ends it, and tells how many cases have passed.
    async fn finish(mut self) -> usize {
        let url = format!("{}/updateReports?agent=wasabi", self.url);
        Client::connect(url)
            .await
            .expect("handshake")
            .closed()
            .await;
        let end = tokio::task::spawn_blocking(move || {
            let mut output = String::new();
            self.stderr.read_to_string(&mut output).expect("text");
            self.child.wait().expect("it ends");
            (output, self)
        });
        let (output, ended) = soon(end).await.expect("it ends");
        assert_passed(&ended.reports, &[&SLOW[..], &LATE].concat(), &output)
    }
}

impl Drop for FuzzingServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The client answers each message with itself: to the server it and the gateway are one client.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs kosoku: run tests/run"]
async fn every_case_of_the_autobahn_suite_passes_as_the_client_of_an_upstream() {
    let fuzzer = FuzzingServer::start("upstream", &BASE);
    let gateway = serve(wasabi::gateway!(channel(
        "/",
        max_message_size = 16MiB,
        WebSocket::connect(format!("{}/runCase?agent=wasabi", fuzzer.url))
            .forward_query(["case"])
            .eager(),
    )))
    .await;
    let echo = async |case: usize| {
        let url = gateway.url(&format!("/?case={case}"));
        let mut client = Client::connect(url).await.expect("handshake");
        while let Some(Ok(message)) = client.socket.next().await {
            let is_echoed = message.is_text() || message.is_binary();
            if is_echoed && client.socket.send(message).await.is_err() {
                break;
            }
        }
    };
    let count = fuzzer.case_count().await;
    let cases = stream::iter(1..=count).map(echo);
    let running = cases.buffer_unordered(8).for_each(async |()| {});
    tokio::time::timeout(Duration::from_secs(120), running)
        .await
        .expect("every case ends");
    assert_eq!(fuzzer.finish().await, count);
    assert!(count >= 301, "only {count} cases ran");
}
