//! All connections of a user, wherever they are.

use wasabi::{CloseCode, LeftGroups};

use super::super::*;

/// Says who it is, in words of its own.
fn user_of(connection: &Connection) -> Option<String> {
    let name = connection.headers().get("x-user")?.to_str().ok()?;
    assert_ne!(name, "panic");
    Some(name.to_owned())
}

struct Office {
    node: Node,
    left: tokio::sync::mpsc::UnboundedReceiver<Vec<std::sync::Arc<str>>>,
}

impl Office {
    async fn of(cluster: &Cluster) -> Self {
        let registry = Registry::new();
        let (tell, left) = tokio::sync::mpsc::unbounded_channel();
        let gateway = gateway!(
            state = registry.clone(),
            cluster = cluster.clone(),
            channel(
                "/",
                registry = registry.clone(),
                user = user_of,
                on_disconnect = move |LeftGroups(groups): LeftGroups| {
                    let _ = tell.send(groups);
                    std::future::ready(())
                },
                join,
            ),
        );
        let server = serve(gateway).await;
        let node = Node { registry, server };
        Self { node, left }
    }

    /// A client of this user, in the group `room`.
    async fn client(&self, user: &str) -> Client {
        let headers = [("x-user", user)];
        let client = self.node.server.connect_with("/", &headers).await;
        let mut client = client.expect("a handshake");
        assert_eq!(client.ask("room").await, "joined");
        let attached = soon(self.node.registry.user(user).attached()).await;
        attached.expect("attached");
        client
    }
}

over_each_engine! {
    a_message_to_a_user_reaches_all_connections_of_the_user
    a_user_is_closed_everywhere
    a_user_is_no_group
}

async fn a_message_to_a_user_reaches_all_connections_of_the_user(cluster: Cluster) {
    let (one, other) = (Office::of(&cluster).await, Office::of(&cluster).await);
    let third = Office::of(&cluster).await;
    let mut ada = [
        one.client("ada").await,
        one.client("ada").await,
        other.client("ada").await,
    ];
    let mut bob = other.client("bob").await;
    let registry = &third.node.registry;
    assert!(registry.user("ada").is_empty());
    assert_eq!(one.node.registry.user("ada").len(), 2);
    for office in [&one, &other, &third] {
        let published = office.node.registry.user("ada").publish("hello").await;
        published.elsewhere.expect("an engine");
        for client in &mut ada {
            assert_eq!(client.text().await, "hello");
        }
    }
    bob.silent().await;
    let nobody = registry.user("nobody").publish("hello").await;
    nobody.elsewhere.expect("an engine");
}

async fn a_user_is_closed_everywhere(cluster: Cluster) {
    let (one, other) = (Office::of(&cluster).await, Office::of(&cluster).await);
    let mut ada = [one.client("ada").await, other.client("ada").await];
    let mut bob = other.client("bob").await;
    let close = wasabi::Close::new(CloseCode::new::<4403>(), "banned: é");
    let closed = one.node.registry.user("ada").close(close).await;
    closed.elsewhere.expect("an engine");
    assert_eq!(closed.here, 1);
    for client in &mut ada {
        assert_eq!(client.closed().await, (4403, "banned: é".to_owned()));
    }
    let user = one.node.registry.user("ada");
    wasabi_tests::until("the user has gone", || user.is_empty()).await;
    bob.silent().await;
}

async fn a_user_is_no_group(cluster: Cluster) {
    let (one, mut other) = (Office::of(&cluster).await, Office::of(&cluster).await);
    let mut room = other.client("room").await;
    let mut group = other.client("ada").await;
    let registry = &one.node.registry;
    let to_user = registry.user("room").publish("to the user").await;
    to_user.elsewhere.expect("an engine");
    assert_eq!(room.text().await, "to the user");
    group.silent().await;
    assert_eq!(one.node.says("room", "to the group").await, 0);
    assert_eq!(room.text().await, "to the group");
    assert_eq!(group.text().await, "to the group");
    let own = &other.node.registry;
    assert_eq!(own.groups().len(), 1);
    for connection in own.connections() {
        assert_eq!(own.groups_of(&connection).len(), 1);
    }
    room.close(1000, "").await;
    let left = soon(other.left.recv()).await.expect("a hook");
    assert_eq!((left.len(), &*left[0]), (1, "room"));
}

#[tokio::test]
async fn a_connection_whose_user_cannot_be_told_is_closed() {
    let office = Office::of(&Cluster::memory()).await;
    let server = &office.node.server;
    let client = server.connect_with("/", &[("x-user", "panic")]).await;
    let mut client = client.expect("a handshake");
    assert_eq!(client.closed().await.0, 1011);
    let mut nobody = server.connect("/").await;
    assert_eq!(nobody.ask("room").await, "joined");
    assert!(office.node.registry.user("").is_empty());
}
