//! What management refuses, and what it says when it does not know.

use std::sync::atomic::Ordering;

use wasabi::{ServeError, cluster::Memory};

use super::{unreliable::Unreliable, *};

#[tokio::test]
// Long: a row for each refusal.
async fn invalid_requests_are_refused_with_their_reason() {
    let managed = Managed::with(&Cluster::memory(), |management| {
        management.max_body_size(100)
    })
    .await;
    let foreign = format!("/v1/connections/{}-1", "0123456789abcdef".repeat(2));
    let long = format!("/v1/groups/{}/presence", "a".repeat(513));
    let refused = [
        (
            "GET",
            "/v1/groups",
            "/v1/groups?limit=0",
            "",
            400,
            "bad_request",
        ),
        (
            "GET",
            "/v1/groups",
            "/v1/groups?limit=1001",
            "",
            400,
            "bad_request",
        ),
        (
            "GET",
            "/v1/groups",
            "/v1/groups?limit=x",
            "",
            400,
            "bad_request",
        ),
        (
            "GET",
            "/v1/groups",
            "/v1/groups?limi=1",
            "",
            400,
            "bad_request",
        ),
        (
            "GET",
            PRESENCE,
            "/v1/groups/a/presence?after=x",
            "",
            400,
            "bad_request",
        ),
        (
            "GET",
            HISTORY,
            "/v1/groups/kept:a/history?since=x",
            "",
            400,
            "bad_request",
        ),
        (
            "GET",
            HISTORY,
            "/v1/groups/kept:a/history?limit=0",
            "",
            400,
            "bad_request",
        ),
        (
            "GET",
            PRESENCE,
            "/v1/groups/%ff/presence",
            "",
            400,
            "bad_request",
        ),
        ("GET", PRESENCE, &long, "", 400, "bad_request"),
        (
            "GET",
            CONNECTION,
            "/v1/connections/1",
            "",
            400,
            "bad_request",
        ),
        (
            "DELETE",
            CONNECTION,
            &format!("{foreign}?code=1006"),
            "",
            400,
            "bad_request",
        ),
        (
            "DELETE",
            USER,
            "/v1/users/ada?code=99999",
            "",
            400,
            "bad_request",
        ),
        ("GET", CONNECTION, &foreign, "", 410, "gone"),
        (
            "POST",
            PUBLISH,
            "/v1/groups/a/publish",
            &"x".repeat(101),
            413,
            "too_large",
        ),
        (
            "GET",
            "/v1/info",
            "/v1/info?registry=",
            "",
            404,
            "no_registry",
        ),
    ];
    for (method, template, path, body, status, code) in refused {
        let answer = managed.ask(method, template, path, body).await;
        assert_eq!(answer.error(), (status, code), "{method} {path}");
        assert!(answer.body["error"]["message"].is_string(), "{path}");
    }
    let fits = managed
        .ask("POST", PUBLISH, "/v1/groups/a/publish", "x".repeat(100))
        .await;
    assert_eq!(fits.ok(), json!({"here": 0}));
    let no_text = managed
        .ask("POST", PUBLISH, "/v1/groups/a/publish", vec![0xff])
        .await;
    assert_eq!(no_text.error(), (400, "bad_request"));
    for (method, path, status, code) in [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("POST", "/v1/info", 405, "method_not_allowed"),
    ] {
        let answer = answer(managed.request(method, path)).await;
        assert_eq!(answer.error(), (status, code), "{path}");
    }
}

#[tokio::test]
async fn only_who_has_a_key_may_ask() {
    let keys = ["the-old-key-0123", "the-new-key-4567"];
    let keyed = |management: Management| management.key(keys[0]).key(keys[1]);
    let mut managed = Managed::with(&Cluster::memory(), keyed).await;
    for key in [None, Some("another-key-8901")] {
        managed.key = key;
        let refused = managed.get("/v1/info", "/v1/info").await;
        assert_eq!(refused.error(), (401, "unauthorized"));
        // Nobody learns what there is.
        for path in ["/v1/nothing", "/v1", "/v1/info"] {
            let refused = answer(managed.request("PATCH", path)).await;
            assert_eq!(refused.error(), (401, "unauthorized"), "{path}");
        }
    }
    let response = soon(managed.request("GET", "/v1/info").send())
        .await
        .expect("an answer");
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    for key in keys {
        managed.key = Some(key);
        managed.get("/v1/info", "/v1/info").await.ok();
        // A page that knows a key may ask.
        let by_page = managed
            .request("GET", "/v1/info")
            .header("origin", "http://a.test");
        answer(by_page).await.ok();
    }
    // Probes need no key.
    let probed = soon(managed.request("GET", "/livez").send())
        .await
        .expect("an answer");
    assert_eq!(probed.status(), 200);
}

#[tokio::test]
async fn a_web_page_cannot_manage_without_a_key() {
    let managed = Managed::of(&Cluster::memory()).await;
    let mut ada = managed.client("ada", "room").await;
    for (name, value) in [
        ("origin", "http://evil.test"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let by_page = managed
            .request("POST", "/v1/groups/room/publish")
            .body("spam");
        let refused = answer(by_page.header(name, value)).await;
        assert_eq!(refused.error(), (403, "forbidden"));
    }
    ada.silent().await;
}

#[tokio::test]
async fn a_listener_that_others_reach_needs_a_key() {
    let serve = async |admin: Admin| {
        let gateway = gateway!(channel("/", async |text: Text| text));
        let server = Server::bind("127.0.0.1:0").signals(false).admin(admin);
        let handle = server.handle();
        handle.stop();
        soon(server.serve(gateway)).await
    };
    let management = || Management::new(Registry::new());
    let open = serve(Admin::bind("0.0.0.0:0").manage(management())).await;
    let Err(ServeError::Mistakes(mistakes)) = open else {
        panic!("{open:?}");
    };
    assert!(
        mistakes[0].to_string().contains("Management::key"),
        "{mistakes:?}"
    );
    let keyed = Admin::bind("0.0.0.0:0").manage(management().key("0123456789abcdef"));
    serve(keyed).await.expect("no mistake");
    let taken = Admin::bind("127.0.0.1:0")
        .manage(management())
        .nest("/v1", axum::Router::new());
    assert!(matches!(serve(taken).await, Err(ServeError::Mistakes(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_told() {
    let managed = Managed::of(&Cluster::memory()).await;
    let _unread = managed.client("ada", "room").await;
    let registry = &managed.node.registry;
    let address = registry.address(&registry.connections()[0]);
    let path = format!("/v1/connections/{address}");
    let full = async {
        loop {
            let sent = managed
                .ask("POST", CONNECTION, &path, "x".repeat(500_000))
                .await;
            if sent.status != 204 {
                assert_eq!(sent.error(), (429, "overloaded"));
                break;
            }
        }
    };
    timeout(PATIENCE, full).await.expect("a full queue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_answer_is_named() {
    let memory = Memory::new();
    let (cut, is_cut) = Unreliable::connected(&memory);
    let here = Managed::of(&Cluster::new(memory)).await;
    let there = Managed::of(&Cluster::new(cut)).await;
    let met = async { while here.node.registry.nodes().await.nodes.len() != 2 {} };
    timeout(PATIENCE, met).await.expect("they meet");
    let _clients = [
        here.client("ada", "room").await,
        there.client("ada", "room").await,
    ];
    let registry = &there.node.registry;
    let address = registry.address(&registry.connections()[0]);
    is_cut.store(true, Ordering::SeqCst);
    let silent = json!([address.node().to_string()]);
    let present = here.get(PRESENCE, "/v1/groups/room/presence").await.ok();
    assert_eq!(
        (&present["total"], &present["silent"]),
        (&json!(1), &silent)
    );
    let path = format!("/v1/connections/{address}");
    let info = here.get(CONNECTION, &path).await;
    assert_eq!(info.error(), (503, "upstream_lost"));
    // It may have been done.
    for method in ["POST", "DELETE"] {
        let unknown = here.ask(method, CONNECTION, &path, "hello").await;
        assert_eq!(unknown.error(), (202, "upstream_lost"), "{method}");
    }
    let closed = here.ask("DELETE", USER, "/v1/users/ada", "").await;
    assert_eq!(
        (closed.status, closed.body),
        (202, json!({"connections": 1, "silent": silent}))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_engine_nothing_is_said_of_other_nodes() {
    let away = Unreliable::away();
    let registry = Registry::new();
    let gateway = gateway!(
        cluster = Cluster::new(away),
        channel("/", registry = registry.clone(), async |text: Text| text),
    );
    let admin = Admin::bind("127.0.0.1:0").manage(Management::new(registry.clone()));
    let server = serve_with(gateway, |server| server.admin(admin)).await;
    let managed = Managed {
        admin: soon(server.handle.admin_addr()).await.expect("an address"),
        node: Node {
            registry: registry.clone(),
            server,
        },
        key: None,
    };
    let mut client = managed.node.server.connect("/").await;
    wasabi_tests::until("it is listed", || registry.len() == 1).await;
    let connection = &registry.connections()[0];
    registry.join("room", connection);
    for (template, path) in [
        (PRESENCE, "/v1/groups/room/presence"),
        ("/v1/groups", "/v1/groups"),
        ("/v1/info", "/v1/info"),
        (USER, "/v1/users/ada"),
    ] {
        let answer = managed.get(template, path).await;
        assert_eq!(answer.error(), (503, "upstream_unreachable"), "{path}");
    }
    // The members here have it.
    let published = managed
        .ask("POST", PUBLISH, "/v1/groups/room/publish", "hello")
        .await;
    assert_eq!(published.error(), (202, "upstream_unreachable"));
    assert_eq!(published.body["here"], json!(1));
    assert_eq!(client.text().await, "hello");
    let own = format!("/v1/connections/{}", registry.address(connection));
    let sent = managed.ask("POST", CONNECTION, &own, "to you").await;
    assert_eq!(sent.status, 204);
    assert_eq!(client.text().await, "to you");
}
