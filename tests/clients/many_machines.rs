//! The page of the chat in several processes, behind a balancer.

use wasabi_tests::{broker::Broker, proxy::shipped_balancer};

use super::*;

fn nothing_is_missing_in_the_browser(broker: &Broker) {
    let start = |_| {
        let mut command = Example::command("many_machines");
        command.arg("127.0.0.1:0").env("ENGINE", broker.url());
        Example::run(command, "ws://")
    };
    let processes: Vec<_> = (0..3).map(start).collect();
    let addresses = processes.iter().map(|process| {
        let url = process.url();
        url.trim_start_matches("ws://").to_owned()
    });
    let balancer = shipped_balancer(&addresses.collect::<Vec<_>>());
    let mut node = Command::new("node");
    node.arg(clients().join("many_machines.mjs"))
        .arg(format!("http://{}/", balancer.addr))
        .args(processes.iter().map(|process| process.id().to_string()));
    assert_ok(node);
}

#[test]
#[ignore = "needs Redis, HAProxy, Chromium and npm's playwright-core: run tests/run"]
fn nothing_is_missing_in_the_browser_after_a_reload_and_two_stops_over_redis() {
    nothing_is_missing_in_the_browser(&Broker::redis());
}

#[test]
#[ignore = "needs NATS, HAProxy, Chromium and npm's playwright-core: run tests/run"]
fn nothing_is_missing_in_the_browser_after_a_reload_and_two_stops_over_nats() {
    nothing_is_missing_in_the_browser(&Broker::nats());
}
