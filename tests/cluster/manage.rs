//! Management over HTTP: from any node, for all nodes.

mod curl;
mod histories;
mod refusals;
mod unreliable;

use std::net::SocketAddr;

use serde_json::{Value, json};
use wasabi::{Admin, Kept, Management, reqwest};
use wasabi_tests::serve_with;

use super::super::*;

const PRESENCE: &str = "/v1/groups/{group}/presence";
const HISTORY: &str = "/v1/groups/{group}/history";
const PUBLISH: &str = "/v1/groups/{group}/publish";
const USERS_IN: &str = "/v1/groups/{group}/users/{user}";
const CONNECTION: &str = "/v1/connections/{connection}";
const USER: &str = "/v1/users/{user}";

fn user_of(connection: &Connection) -> Option<String> {
    let name = connection.headers().get("x-user")?.to_str().ok()?;
    Some(name.to_owned())
}

/// A node that is managed over HTTP.
struct Managed {
    node: Node,
    admin: SocketAddr,
    key: Option<&'static str>,
}

/// An answer of the management.
struct Answer {
    status: u16,
    body: Value,
}

impl Managed {
    async fn of(cluster: &Cluster) -> Self {
        Self::with(cluster, |management| management).await
    }

    async fn with(cluster: &Cluster, change: impl FnOnce(Management) -> Management) -> Self {
        let registry =
            Registry::named("rooms").info(|connection| user_of(connection).map(|name| name.len()));
        let gateway = gateway!(
            state = registry.clone(),
            cluster = cluster.clone(),
            channel(
                "/",
                registry = registry.clone(),
                user = user_of,
                groups = [Kept::prefix("kept:").size(3)],
                max_waiting_messages = 4,
                join,
            ),
        );
        let admin = Admin::bind("127.0.0.1:0").manage(change(Management::new(registry.clone())));
        let server = serve_with(gateway, |server| server.admin(admin)).await;
        Self {
            admin: soon(server.handle.admin_addr()).await.expect("an address"),
            node: Node { registry, server },
            key: None,
        }
    }

    /// Two that know each other.
    async fn two(cluster: &Cluster) -> [Self; 2] {
        let both = [Self::of(cluster).await, Self::of(cluster).await];
        for managed in &both {
            let met = async { while managed.node.registry.nodes().await.nodes.len() != 2 {} };
            timeout(PATIENCE, met).await.expect("they meet");
        }
        both
    }

    async fn client(&self, user: &str, group: &str) -> Client {
        let headers = [("x-user", user)];
        let client = self.node.server.connect_with("/", &headers).await;
        let mut client = client.expect("a handshake");
        assert_eq!(client.ask(group).await, "joined");
        client
    }

    /// Asks at this path, which is one of those that the document has under `template`, and compares the answer with it.
    async fn ask(
        &self,
        method: &str,
        template: &str,
        path: &str,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let request = self.request(method, path).body(body.into());
        self.documented(method, template, request).await
    }

    /// Asks, and compares the answer with what the document has under `template`.
    async fn documented(
        &self,
        method: &str,
        template: &str,
        request: reqwest::RequestBuilder,
    ) -> Answer {
        let answer = answer(request).await;
        let document: Value =
            serde_json::from_str(include_str!("../../wasabi/src/server/manage/openapi.json"))
                .expect("JSON");
        let operation = &document["paths"][template][method.to_lowercase()];
        let documented = &operation["responses"][answer.status.to_string()];
        assert!(
            documented.is_object(),
            "{method} {template}: {} is not documented",
            answer.status
        );
        answer
    }

    /// Publishes with a key.
    async fn publish_once(&self, path: &str, key: &str, text: &str) -> Answer {
        let request = self.request("POST", path).header("idempotency-key", key);
        let request = request.body(text.to_owned());
        self.documented("POST", PUBLISH, request).await
    }

    async fn get(&self, template: &str, path: &str) -> Answer {
        self.ask("GET", template, path, "").await
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let url = format!("http://{}{path}", self.admin);
        let request = reqwest::Client::new().request(method, url);
        match self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = soon(request.send()).await.expect("an answer");
    let status = response.status().as_u16();
    let text = soon(response.text()).await.expect("a body");
    let body = match text.is_empty() {
        true => Value::Null,
        false => serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")),
    };
    Answer { status, body }
}

impl Answer {
    /// The body of a success.
    #[track_caller]
    fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// The status and the code of an error.
    fn error(&self) -> (u16, &str) {
        (
            self.status,
            self.body["error"]["code"].as_str().unwrap_or_default(),
        )
    }
}

over_each_engine! {
    groups_are_managed_from_every_node
    connections_are_managed_from_every_node
    users_are_managed_from_every_node
}

// Long: one request after the other, of one story.
async fn groups_are_managed_from_every_node(cluster: Cluster) {
    let [one, other] = Managed::two(&cluster).await;
    let mut ada = one.client("ada", "a/b é").await;
    let mut bob = other.client("bob", "a/b é").await;
    let _cyd = one.client("cyd", "c").await;
    // A path contains no name with a slash.
    let publish = "/v1/groups/_/publish?group=a%2Fb%20%C3%A9";
    let presence = "/v1/groups/_/presence?group=a%2Fb%20%C3%A9";
    for (at, managed) in [&one, &other].into_iter().enumerate() {
        let text = format!("é {at}");
        let published = managed.ask("POST", PUBLISH, publish, text.clone()).await;
        assert_eq!(published.ok(), json!({"here": 1}));
        let binary = managed.request("POST", publish).body(vec![0xff, at as u8]);
        let binary = answer(binary.header("content-type", "application/octet-stream")).await;
        assert_eq!(binary.ok(), json!({"here": 1}));
        for client in [&mut ada, &mut bob] {
            assert_eq!(client.text().await, text);
            assert_eq!(client.binary().await, [0xff, at as u8]);
        }
        let present = managed.get(PRESENCE, presence).await.ok();
        assert_eq!(
            (&present["total"], &present["silent"]),
            (&json!(2), &json!([]))
        );
        let members = present["members"].as_array().expect("members");
        let mut users: Vec<_> = members
            .iter()
            .map(|member| member["user"].as_str())
            .collect();
        users.sort_unstable();
        assert_eq!(users, [Some("ada"), Some("bob")]);
        assert_eq!(members[0]["info"], json!(3));
        let first = managed
            .get(PRESENCE, &format!("{presence}&limit=1"))
            .await
            .ok();
        let next = first["next"].as_str().expect("a next page");
        assert_eq!(first["members"], json!([members[0]]));
        let second = format!("{presence}&limit=1&after={next}");
        let second = managed.get(PRESENCE, &second).await.ok();
        assert_eq!(
            (&second["members"], &second["next"]),
            (&json!([members[1]]), &Value::Null)
        );

        let groups = managed.get("/v1/groups", "/v1/groups").await.ok();
        let all = json!([{"name": "a/b é", "members": 2}, {"name": "c", "members": 1}]);
        assert_eq!(groups, json!({"groups": all, "next": null, "silent": []}));
        let groups = managed.get("/v1/groups", "/v1/groups?limit=1").await.ok();
        assert_eq!(
            (&groups["groups"], &groups["next"]),
            (&json!([all[0]]), &json!("a/b é"))
        );
        let after = managed
            .get("/v1/groups", "/v1/groups?after=a/b%20%C3%A9")
            .await
            .ok();
        let by_prefix = managed.get("/v1/groups", "/v1/groups?prefix=c").await.ok();
        assert_eq!(
            (&after["groups"], &by_prefix["groups"]),
            (&json!([all[1]]), &json!([all[1]]))
        );

        let info = managed.get("/v1/info", "/v1/info").await.ok();
        let nodes = info["nodes"].as_array().expect("nodes");
        let connections: u64 = nodes
            .iter()
            .filter_map(|node| node["connections"].as_u64())
            .sum();
        assert_eq!((nodes.len(), connections), (2, 3));
    }
}

async fn connections_are_managed_from_every_node(cluster: Cluster) {
    let [one, other] = Managed::two(&cluster).await;
    let mut ada = one.client("ada", "room").await;
    let present = other.get(PRESENCE, "/v1/groups/room/presence").await.ok();
    let address = present["members"][0]["connection"]
        .as_str()
        .expect("an address")
        .to_owned();
    let path = format!("/v1/connections/{address}");
    for managed in [&one, &other] {
        let info = managed.get(CONNECTION, &path).await.ok();
        assert_eq!(info["connection"], json!(address));
        assert_eq!(
            (&info["user"], &info["groups"]),
            (&json!("ada"), &json!(["room"]))
        );
        assert_eq!((&info["path"], &info["info"]), (&json!("/"), &json!(3)));
        let sent = managed.ask("POST", CONNECTION, &path, "hello").await;
        assert_eq!(sent.status, 204);
        assert_eq!(ada.text().await, "hello");
    }
    let close = format!("{path}?code=4403&reason=%C3%A9");
    let closed = other.ask("DELETE", CONNECTION, &close, "").await;
    assert_eq!(closed.status, 204);
    assert_eq!(ada.closed().await, (4403, "é".to_owned()));
    wasabi_tests::until("it has gone", || one.node.registry.is_empty()).await;
    for managed in [&one, &other] {
        for method in ["GET", "POST", "DELETE"] {
            let gone = managed.ask(method, CONNECTION, &path, "").await;
            assert_eq!(gone.error(), (410, "gone"), "{method}");
        }
    }
}

async fn users_are_managed_from_every_node(cluster: Cluster) {
    let [one, other] = Managed::two(&cluster).await;
    let mut ada = [
        one.client("ada", "room").await,
        other.client("ada", "room").await,
    ];
    for managed in [&one, &other] {
        let user = managed.get(USER, "/v1/users/ada").await.ok();
        assert_eq!(user["total"], json!(2));
        let sent = managed
            .ask("POST", USER, "/v1/users/ada", "hello")
            .await
            .ok();
        assert_eq!(sent, json!({"here": 1}));
        for client in &mut ada {
            assert_eq!(client.text().await, "hello");
        }
        let path = "/v1/groups/news/users/ada";
        for _ in 0..2 {
            let put = managed.ask("PUT", USERS_IN, path, "").await.ok();
            assert_eq!(put, json!({"connections": 2, "silent": []}));
        }
        let present = managed.get(PRESENCE, "/v1/groups/news/presence").await.ok();
        assert_eq!(present["total"], json!(2));
        for connections in [2, 0] {
            let taken = managed.ask("DELETE", USERS_IN, path, "").await.ok();
            assert_eq!(taken["connections"], json!(connections));
        }
        let nobody = managed
            .ask("PUT", USERS_IN, "/v1/groups/news/users/nobody", "")
            .await;
        assert_eq!(nobody.ok()["connections"], json!(0));
    }
    let closed = one
        .ask("DELETE", USER, "/v1/users/ada?code=4403&reason=banned", "")
        .await;
    assert_eq!(closed.ok(), json!({"connections": 2, "silent": []}));
    for client in &mut ada {
        assert_eq!(client.closed().await, (4403, "banned".to_owned()));
    }
}

#[tokio::test]
async fn registries_are_managed_by_name() {
    let (first, second) = (Registry::new(), Registry::new());
    let gateway = gateway!(
        channel("/first", registry = first.clone(), async |text: Text| text),
        channel("/second", registry = second.clone(), async |text: Text| {
            text
        }),
    );
    let admin = Admin::bind("127.0.0.1:0")
        .manage(Management::new(first).registry("second", second.clone()));
    let server = serve_with(gateway, |server| server.admin(admin)).await;
    let managed = Managed {
        admin: soon(server.handle.admin_addr()).await.expect("an address"),
        node: Node {
            registry: second.clone(),
            server,
        },
        key: None,
    };
    let mut client = managed.node.server.connect("/second").await;
    wasabi_tests::until("it is listed", || second.len() == 1).await;
    second.join("room", &second.connections()[0]);
    let publish = "/v1/groups/room/publish";
    let in_first = managed.ask("POST", PUBLISH, publish, "lost").await;
    assert_eq!(in_first.ok(), json!({"here": 0}));
    let in_second = format!("{publish}?registry=second");
    let in_second = managed.ask("POST", PUBLISH, &in_second, "hello").await;
    assert_eq!(in_second.ok(), json!({"here": 1}));
    assert_eq!(client.text().await, "hello");
    let nowhere = managed.get("/v1/info", "/v1/info?registry=third").await;
    assert_eq!(nowhere.error(), (404, "no_registry"));
}
