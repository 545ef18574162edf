//! The example `many_machines`: gateways in processes of their own.

use serde_json::{Value, json};
use wasabi_tests::example::Example;

use super::super::*;

const PROCESSES: usize = 3;

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
    let line = client.ask_json(join).await;
    assert_eq!(line["text"], "has come in", "{line}");
    assert_eq!(line["from"], name);
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
    let say = json!({"action": "say", "room": "blue", "text": text});
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
        let line = says(&mut clients[at], "hello").await;
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
        assert_eq!(hears(client).await.0, "client0");
    }
    let line = says(&mut clients[0], "welcome").await;
    assert_eq!(again.json().await, line);
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
