//! The page of the chat in several processes, behind a balancer.

use wasabi_tests::{authority::Authority, broker::Broker, proxy::Proxy};

use super::*;

/// HAProxy in front of these, which takes one after the other, and the next one for another that is not there.
fn balancer(authority: &Authority, processes: &[Example]) -> Proxy {
    let servers = processes.iter().enumerate().map(|(at, process)| {
        let address = process.url();
        let address = address.trim_start_matches("ws://");
        format!("  server gateway{at} {address}\n")
    });
    let servers: String = servers.collect();
    Proxy::haproxy(
        authority,
        &format!(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  \
             timeout tunnel 60s\n  retries 3\n  option redispatch 1\n\
             frontend clients\n  bind 127.0.0.1:PORT\n  default_backend gateways\n\
             backend gateways\n  balance roundrobin\n{servers}"
        ),
    )
}

fn nothing_is_missing_in_the_browser(broker: &Broker) {
    let start = |_| {
        let mut command = Example::command("many_machines");
        command.arg("127.0.0.1:0").env("ENGINE", broker.url());
        Example::run(command, "ws://")
    };
    let processes: Vec<_> = (0..3).map(start).collect();
    let balancer = balancer(&Authority::new(), &processes);
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
