//! What the engine refuses.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::{Instant, sleep};

use super::faulty::{Faulty, Member, moment};
use crate::sync::Unpoisoned;

#[tokio::test(start_paused = true)]
async fn a_refused_subscription_is_asked_for_again() {
    let engine = Faulty::new();
    engine.0.refuses.store(true, Ordering::SeqCst);
    let member = Member::of(engine.clone());
    member.joins("room");
    let attached = member.attached("room").await;
    assert_eq!(
        attached.expect_err("refused").code(),
        "upstream_unreachable"
    );
    engine.0.refuses.store(false, Ordering::SeqCst);
    let began = Instant::now();
    member.attached("room").await.expect("attached");
    assert!(began.elapsed() <= Duration::from_secs(1));
    assert_eq!(
        (engine.asked(), engine.sessions()),
        (vec!["+room".to_owned()], 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_group_keeps_no_other_group_waiting() {
    let engine = Faulty::new();
    engine
        .0
        .forbids
        .lock()
        .unpoisoned()
        .extend(["bad", "worse"]);
    let member = Member::of(engine.clone());
    for room in ["bad", "a", "worse", "b"] {
        member.joins(room);
    }
    let began = Instant::now();
    for room in ["a", "b"] {
        member.attached(room).await.expect("attached");
    }
    for room in ["c", "d"] {
        member.joins(room);
        member.attached(room).await.expect("attached");
    }
    assert!(began.elapsed() <= Duration::from_secs(1));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(engine.asked(), ["+a", "+b", "+c", "+d"]);
    // One of them is allowed now, while the other one is not.
    engine.0.forbids.lock().unpoisoned().remove(1);
    member.attached("worse").await.expect("attached");
    assert!(member.attached("bad").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_refused_leaves_nothing_at_the_engine() {
    let engine = Faulty::new();
    engine.0.forbids.lock().unpoisoned().push("bad");
    let member = Member::of(engine.clone());
    member.joins("bad");
    moment().await;
    member.leaves("bad");
    sleep(Duration::from_secs(6)).await;
    // The session may know a part of what it has refused.
    assert_eq!(engine.asked(), ["-bad"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_library_that_gives_up_first_is_no_answer() {
    let engine = Faulty::new();
    let member = Member::of(engine.clone());
    member.joins("room");
    member.attached("room").await.expect("attached");
    engine.0.is_hesitant.store(true, Ordering::SeqCst);
    member.joins("another room");
    sleep(Duration::from_secs(12)).await;
    assert_eq!(engine.sessions(), 2);
}
