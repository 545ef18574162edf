use futures_util::FutureExt;

use super::*;
use crate::CloseCode;

#[tokio::test]
async fn the_list_of_those_who_wait_is_made_for_the_first_and_freed_once_nobody_waits() {
    let outbox = Outbox::new(1, 1024);
    let is_made = || outbox.lock().waiters.is_some();
    outbox.send("room".into()).await.expect("open");
    assert!(!is_made());
    let mut sending = Box::pin(outbox.send("full".into()));
    assert!(sending.as_mut().now_or_never().is_none());
    outbox.give_back();
    assert!(is_made());
    outbox.release(1, 4);
    sending.await.expect("open");
    outbox.give_back();
    assert!(!is_made());
}

#[tokio::test]
async fn those_who_wait_for_the_requests_too_wait_longer_than_for_the_connection() {
    let outbox = Outbox::new(1, 1024);
    let (mut closed, mut finished) = (Box::pin(outbox.closed()), Box::pin(outbox.finished()));
    assert!(closed.as_mut().now_or_never().is_none());
    assert!(finished.as_mut().now_or_never().is_none());
    outbox.end(CloseCode::GOING_AWAY.into());
    outbox.end(CloseCode::NORMAL.into());
    assert_eq!(closed.await.code, CloseCode::GOING_AWAY);
    assert!(finished.as_mut().now_or_never().is_none());
    outbox.finish();
    assert_eq!(finished.await.code, CloseCode::GOING_AWAY);
}
