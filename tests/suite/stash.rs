//! Values that belong to a connection.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use wasabi::{Close, middleware::http::StashLayer, prelude::*};
use wasabi_tests::{serve, until};

struct Visits(AtomicU64);

struct Page(String);

fn visits() -> StashLayer<impl Fn(&http::request::Parts) -> Visits + Send + Sync + 'static> {
    Stash::new(|_| Visits(AtomicU64::new(0)))
}

async fn count(visits: Stash<Visits>, page: Stash<Page>) -> String {
    format!("{} of {}", visits.0.fetch_add(1, Ordering::SeqCst), page.0)
}

#[tokio::test]
async fn each_connection_has_its_own_values_made_from_the_handshake() {
    let page = Stash::new(|head| Page(head.uri.to_string()));
    let server = serve(gateway!(channel("/", http = [visits(), page], count))).await;
    let mut one = server.connect("/?one").await;
    let mut two = server.connect("/?two").await;
    assert_eq!(one.ask("").await, "0 of /?one");
    assert_eq!(one.ask("").await, "1 of /?one");
    assert_eq!(two.ask("").await, "0 of /?two");
}

#[tokio::test]
async fn a_value_is_freed_after_on_disconnect_even_if_handles_remain() {
    struct Loud(Arc<AtomicU64>);
    impl Drop for Loud {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let freed = Arc::new(AtomicU64::new(0));
    let kept = Arc::new(Mutex::new(None));
    let stash = {
        let freed = freed.clone();
        Stash::new(move |_| Loud(freed.clone()))
    };
    let (in_hook, keep) = (freed.clone(), kept.clone());
    let server = serve(gateway!(channel(
        "/",
        http = [stash],
        on_disconnect = move |connection: Connection, _: Close| {
            let there = connection.stash::<Loud>().is_some();
            let freed = in_hook.load(Ordering::SeqCst);
            *keep.lock().unwrap() = Some((connection, there, freed));
            async {}
        },
        async |_: Stash<Loud>| "here",
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("").await, "here");
    client.close(1000, "").await;
    until("it is freed", || freed.load(Ordering::SeqCst) == 1).await;
    let (connection, there, before) = kept.lock().unwrap().take().unwrap();
    assert!(there && before == 0, "the hook had it still");
    assert!(connection.stash::<Loud>().is_none());
    // A refused handshake leaves nothing behind either.
    assert_eq!(server.get("/").await, 426);
    until("it is freed", || freed.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test]
async fn a_stash_that_nobody_fills_is_an_internal_error() {
    let server = serve(gateway!(channel("/", http = [visits()], count))).await;
    let answer = server.connect("/").await.ask("").await;
    assert!(answer.starts_with("internal"), "{answer}");
}
