//! The example `many_machines`: gateways in processes of their own.

use serde_json::{Value, json};
use wasabi_tests::example::Example;

use super::super::*;

const PROCESSES: usize = 3;

/// A process that answers operators, with the base of their URLs.
fn managed(broker: &Broker) -> (Example, String) {
    let mut command = Example::command("many_machines");
    command
        .args(["127.0.0.1:0", "127.0.0.1:0"])
        .env("ENGINE", broker.url());
    let process = Example::run(command, "ws://");
    let printed = process.printed().split_whitespace();
    let mut urls = printed.filter(|word| word.starts_with("http://"));
    let url = urls.next().expect("an address for operators").to_owned();
    (process, url)
}

/// What the operators of a process see.
async fn sees(url: &str, path: &str) -> Value {
    // In a program with a gateway, that installs it.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let response = soon(wasabi::reqwest::get(format!("{url}{path}"))).await;
    let text = soon(response.expect("an answer").text()).await;
    serde_json::from_str(&text.expect("a body")).expect("JSON")
}

/// Who is in the room `blue`, and how many processes have not said so.
async fn present(url: &str) -> (Vec<String>, usize) {
    let present = sees(url, "/v1/groups/here:blue/presence").await;
    let members = present["members"]
        .as_array()
        .unwrap_or_else(|| panic!("{present}"));
    let names = members.iter().filter_map(|member| member["info"].as_str());
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort_unstable();
    (names, present["silent"].as_array().map_or(0, Vec::len))
}

/// Waits until these are in the room, and all processes say so.
async fn are_present(url: &str, names: &[&str]) {
    let all = async {
        while present(url).await != (names.iter().map(|name| (*name).to_owned()).collect(), 0) {}
    };
    timeout(PATIENCE, all)
        .await
        .unwrap_or_else(|_| panic!("never {names:?}"));
}

/// A process is killed, and another one is drained.
async fn members_of_processes_that_end_are_gone(broker: Broker) {
    let mut processes: Vec<_> = (0..PROCESSES).map(|_| managed(&broker)).collect();
    let mut clients = Vec::new();
    for (at, (process, _)) in processes.iter().enumerate() {
        clients.push(enters(process, &format!("client{at}")).await);
    }
    for (_, url) in &processes {
        are_present(url, &["client0", "client1", "client2"]).await;
    }
    let (killed, _) = processes.remove(0);
    let (_, here) = &processes[0];
    killed.signal("KILL");
    let began = std::time::Instant::now();
    // Its members are in no answer from then on, and after a while nobody misses it.
    loop {
        let (names, silent) = present(here).await;
        let has_been_killed = names != ["client0", "client1", "client2"];
        assert!(
            has_been_killed || began.elapsed() < Duration::from_secs(1),
            "{names:?}"
        );
        if has_been_killed && silent == 0 {
            assert_eq!(names, ["client1", "client2"]);
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(12), "{silent} silent");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Its clients are elsewhere.
    let _again = enters(&processes[1].0, "client0").await;
    for (_, url) in &processes {
        are_present(url, &["client0", "client1", "client2"]).await;
    }
    let (drained, _) = processes.remove(1);
    drained.signal("TERM");
    let (status, _) = drained.end();
    assert!(status.success());
    let began = std::time::Instant::now();
    let here = &processes[0].1;
    are_present(here, &["client1"]).await;
    let nodes = sees(here, "/v1/info").await;
    assert_eq!(nodes["nodes"].as_array().map(Vec::len), Some(1), "{nodes}");
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn members_of_processes_that_end_are_gone_over_redis() {
    built_with!("redis", {
        members_of_processes_that_end_are_gone(Broker::redis()).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn members_of_processes_that_end_are_gone_over_nats() {
    built_with!("nats", {
        members_of_processes_that_end_are_gone(Broker::nats()).await;
    });
}

fn start(broker: &Broker) -> Example {
    let mut command = Example::command("many_machines");
    command.arg("127.0.0.1:0").env("ENGINE", broker.url());
    Example::run(command, "ws://")
}

/// A client in the room `blue`.
async fn enters(process: &Example, name: &str) -> Client {
    let url = format!("{}/chat?name={name}", process.url());
    let mut client = Client::connect(url).await.expect("a handshake");
    let join = json!({"action": "join", "room": "blue"});
    let mut entered = client.ask_json(join).await;
    // Somebody in another process may come or go at the same time.
    while entered["from"].is_string() {
        entered = client.json().await;
    }
    assert_eq!(entered["joined"], "blue", "{entered}");
    client
}

/// What the client hears next, and from whom.
async fn hears(client: &mut Client) -> (String, String) {
    let line = client.json().await;
    let text = |key: &str| {
        line[key]
            .as_str()
            .unwrap_or_else(|| panic!("{line}"))
            .to_owned()
    };
    (text("from"), text("text"))
}

async fn says(client: &mut Client, text: &str) -> Value {
    let say = json!({"action": "say", "room": "blue", "text": text, "id": text});
    client.ask_json(say).await
}

async fn a_chat_in_three_processes(broker: Broker) {
    let mut processes: Vec<_> = (0..PROCESSES).map(|_| start(&broker)).collect();
    let mut clients: Vec<Client> = Vec::new();
    for (at, process) in processes.iter().enumerate() {
        let name = format!("client{at}");
        clients.push(enters(process, &name).await);
        // Those who were there before have heard it.
        for client in &mut clients[..at] {
            assert_eq!(
                hears(client).await,
                (name.clone(), "has come in".to_owned())
            );
        }
    }
    let mut said_to = std::collections::HashSet::new();
    for at in 0..PROCESSES {
        let line = says(&mut clients[at], &format!("hello {at}")).await;
        assert!(said_to.insert(line["process"].as_u64()), "{line}");
        for other in (0..PROCESSES).filter(|other| *other != at) {
            assert_eq!(clients[other].json().await, line);
        }
    }
    // Each has it once.
    for client in &mut clients {
        client.silent().await;
    }

    // One process is stopped. Its clients connect to another one.
    let (stopped, mut lost) = (processes.remove(0), clients.remove(0));
    stopped.signal("TERM");
    assert_eq!(lost.closed().await.0, 1012);
    let mut again = enters(&processes[1], "client0").await;
    for client in &mut clients {
        // One process says that it has left, and another one that it has come in: in either order.
        let mut heard = [hears(client).await, hears(client).await];
        heard.sort_unstable();
        let texts = ["has come in", "has left"];
        assert_eq!(
            heard,
            texts.map(|text| ("client0".to_owned(), text.to_owned()))
        );
    }
    let line = says(&mut clients[0], "welcome").await;
    // The first one may also hear that it has left.
    let heard = async { while again.json().await != line {} };
    timeout(PATIENCE, heard).await.expect("the line");
    assert_eq!(clients[1].json().await, line);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_chat_in_three_processes_over_redis() {
    built_with!("redis", {
        a_chat_in_three_processes(Broker::redis()).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_chat_in_three_processes_over_nats() {
    built_with!("nats", {
        a_chat_in_three_processes(Broker::nats()).await;
    });
}
