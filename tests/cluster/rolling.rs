//! A rolling restart: three processes behind HAProxy, over NATS, each of them drained and started again.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use futures_util::{StreamExt, future::join_all};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use wasabi_tests::{broker::free_port, example::Example, proxy::Proxy};

use super::super::*;

fn start(broker: &Broker, port: u16) -> Example {
    let mut command = Example::command("many_machines");
    command.arg(format!("127.0.0.1:{port}"));
    command.env("ENGINE", broker.url());
    Example::run(command, "ws://")
}

/// A client that connects again, to whichever process, from where it is.
struct Guest {
    url: String,
    client: Option<Client>,
    since: Option<String>,
    heard: Vec<String>,
    connected: usize,
}

/// What has happened to a guest.
#[derive(PartialEq)]
enum Event {
    /// It is in the room, for the first time or again.
    Entered,
    /// Somebody has said this.
    Line(String),
    /// Its last request has failed.
    Refused,
    Other,
}

impl Guest {
    fn new(balancer: &Proxy, name: &str) -> Self {
        Self {
            url: format!("ws://{}/chat?name={name}", balancer.addr),
            client: None,
            since: None,
            heard: Vec::new(),
            connected: 0,
        }
    }

    async fn next(&mut self) -> Event {
        let Some(client) = &mut self.client else {
            return self.connect().await;
        };
        let next = timeout(PATIENCE, client.socket.next()).await;
        let Some(Ok(Message::Text(text))) = next.expect("a message") else {
            self.client = None;
            return Event::Other;
        };
        let message: Value = serde_json::from_str(&text).expect("JSON");
        if let Some(position) = message["position"].as_str() {
            let was_here = self.since.replace(position.to_owned()).is_some();
            if message["joined"].is_string() {
                assert_eq!(message["recovered"], was_here, "{message}");
                return Event::Entered;
            }
            let text = message["text"].as_str().expect("a line").to_owned();
            self.heard.push(text.clone());
            return Event::Line(text);
        }
        match message["error"].is_object() {
            true => Event::Refused,
            false => Event::Other,
        }
    }

    async fn connect(&mut self) -> Event {
        match Client::connect(self.url.clone()).await {
            Ok(mut client) => {
                let join = json!({"action": "join", "room": "blue", "since": self.since});
                client.send(join.to_string()).await;
                self.connected += 1;
                self.client = Some(client);
            }
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
        Event::Other
    }

    async fn enter(&mut self) {
        while self.next().await != Event::Entered {}
    }

    /// Says a line until it has heard it.
    async fn say(&mut self, text: &str) {
        let say = json!({"action": "say", "room": "blue", "text": text, "id": text}).to_string();
        let mut is_said = false;
        loop {
            if let Some(client) = self.client.as_mut().filter(|_| !is_said) {
                // Fails if the connection has just ended.
                is_said = futures_util::SinkExt::send(&mut client.socket, say.clone().into())
                    .await
                    .is_ok();
                self.client.take_if(|_| !is_said);
            }
            match self.next().await {
                Event::Line(line) if line == text => return,
                Event::Entered => is_said = false,
                Event::Refused => {
                    sleep(Duration::from_millis(200)).await;
                    is_said = false;
                }
                Event::Line(_) | Event::Other => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS and HAProxy: run tests/run"]
// Long: one story.
async fn every_process_is_replaced_and_nothing_is_missing() {
    const SPEAKERS: usize = 3;
    const LISTENERS: usize = 6;
    /// The lines between two stops.
    const LINES: usize = 12;
    let broker = Broker::nats();
    let ports = [free_port(), free_port(), free_port()];
    let mut processes: Vec<_> = ports.map(|port| start(&broker, port)).into();
    let balancer = Proxy::balancer(ports.map(|port| format!("127.0.0.1:{port}")));
    let mut guests: Vec<_> = (0..SPEAKERS + LISTENERS)
        .map(|at| Guest::new(&balancer, &format!("guest{at}")))
        .collect();
    join_all(guests.iter_mut().map(Guest::enter)).await;
    let (said, is_over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let talking = guests.into_iter().enumerate().map(|(at, mut guest)| {
        let (said, is_over) = (Arc::clone(&said), Arc::clone(&is_over));
        tokio::spawn(async move {
            if at < SPEAKERS {
                let mut number = 0;
                while !is_over.load(Ordering::SeqCst) {
                    guest.say(&format!("{at}: {number}")).await;
                    said.fetch_add(1, Ordering::SeqCst);
                    number += 1;
                }
                guest.say(&format!("{at}: end")).await;
            }
            let ends = |heard: &[String]| heard.iter().filter(|line| line.ends_with("end")).count();
            while ends(&guest.heard) < SPEAKERS {
                guest.next().await;
            }
            guest
        })
    });
    let talking: Vec<_> = talking.collect();
    for port in ports {
        let until = said.load(Ordering::SeqCst) + LINES;
        wasabi_tests::until("more lines", || said.load(Ordering::SeqCst) >= until).await;
        let drained = processes.remove(0);
        let (drained, _) = tokio::task::spawn_blocking(move || {
            drained.signal("TERM");
            drained.end()
        })
        .await
        .expect("it ends");
        assert!(drained.success());
        processes.push(start(&broker, port));
    }
    is_over.store(true, Ordering::SeqCst);
    let mut orders = Vec::new();
    let mut connected = 0;
    for talking in talking {
        let guest = timeout(PATIENCE, talking).await.expect("the end");
        let guest = guest.expect("no panic");
        connected += guest.connected - 1;
        orders.push(guest.heard);
    }
    let lines = &orders[0];
    assert!(orders.iter().all(|order| order == lines));
    for at in 0..SPEAKERS {
        let own = lines
            .iter()
            .filter_map(|line| line.strip_prefix(&format!("{at}: ")));
        let mut own: Vec<_> = own.map(str::to_owned).collect();
        assert_eq!(own.pop().as_deref(), Some("end"));
        assert!(
            own.iter()
                .map(|number| number.parse())
                .eq((0..own.len()).map(Ok))
        );
    }
    // All have moved, and some of them several times.
    assert!(connected >= SPEAKERS + LISTENERS, "{connected}");
    eprintln!("{} lines, {connected} connections again", lines.len());
}
