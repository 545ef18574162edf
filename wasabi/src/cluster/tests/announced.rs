//! What members hear of each other when nodes come, go and are cut off.

use std::{thread, time::Duration};

use tokio::time::sleep;

use super::{
    faulty::{Faulty, Member},
    nodes::Cut,
};
use crate::{ConnectionAddress, cluster::Memory};

const UNSURE: &str = r#"{"group":"room","unsure":true}"#;

/// More than the time until a change is told.
async fn soon() {
    sleep(Duration::from_millis(1500)).await;
}

fn gone(address: ConnectionAddress) -> String {
    format!(r#"{{"group":"room","gone":"{}"}}"#, address.node())
}

fn left(address: ConnectionAddress) -> String {
    format!(r#"{{"group":"room","left":["{address}"]}}"#)
}

/// Members of the room who know each other and have heard all that there is to hear.
async fn members<const COUNT: usize>(memory: &Memory) -> [Member; COUNT] {
    let members = [(); COUNT].map(|()| Member::announced(memory.clone()));
    settled(&members).await;
    members
}

async fn settled(members: &[Member]) {
    soon().await;
    members.iter().for_each(|member| member.joins("room"));
    soon().await;
    for member in members {
        assert!(!member.heard().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn one_node_that_goes_is_named_and_of_several_members_are_told_once_to_ask() {
    let memory = Memory::new();
    let [here, first, second, third] = members(&memory).await;
    let address = first.address();
    let first = first.disconnected();
    soon().await;
    assert_eq!(here.heard(), [left(address)]);
    first.node.leave().await;
    soon().await;
    assert_eq!(here.heard(), [gone(address)]);
    let others = [second, third].map(Member::disconnected);
    soon().await;
    assert_eq!(here.heard().len(), 2);
    for other in &others {
        other.node.leave().await;
    }
    soon().await;
    assert_eq!(here.heard(), [UNSURE]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_makes_nobody_ask() {
    let memory = Memory::new();
    let [here] = members(&memory).await;
    let others = [(); 2].map(|()| Member::announced(memory.clone()));
    for other in &others {
        other.joins("room");
    }
    sleep(Duration::from_secs(10)).await;
    for member in [&here, &others[0], &others[1]] {
        let heard = member.heard();
        assert!(
            !heard.is_empty() && !heard.contains(&UNSURE.to_owned()),
            "{heard:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_only_one_side_has_noticed_makes_members_of_both_ask() {
    let memory = Memory::new();
    let cut = Cut::of(&memory);
    let members = [
        Member::announced(memory.clone()),
        Member::announced(cut.clone()),
    ];
    settled(&members).await;
    let [here, there] = members;
    // Nobody hears what it says, and it hears everybody.
    cut.set(true);
    sleep(Duration::from_secs(15)).await;
    assert_eq!(here.heard(), [gone(there.address())]);
    assert!(there.heard().is_empty());
    cut.set(false);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(here.heard(), [UNSURE]);
    assert_eq!(there.heard(), [UNSURE]);
}

#[tokio::test(start_paused = true)]
async fn what_a_drained_node_announces_does_not_bring_it_back() {
    let memory = Memory::new();
    let [here, there] = members(&memory).await;
    let address = there.address();
    let there = there.disconnected();
    there.node.leave().await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(here.heard(), [gone(address)]);
    assert_eq!(here.registry.nodes().await.nodes.len(), 1);
    drop(there);
}

#[tokio::test(start_paused = true)]
async fn without_the_engine_members_hear_once_of_changes_here() {
    let engine = Faulty::new();
    engine.0.is_down.send_replace(true);
    let member = Member::announced(engine);
    member.joins("room");
    sleep(Duration::from_secs(60)).await;
    let heard = member.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    member.leaves("room");
    member.joins("room");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(member.heard(), heard);
}

#[tokio::test(start_paused = true)]
async fn a_change_by_a_thread_outside_of_the_runtime_is_told() {
    let [here, there] = members(&Memory::new()).await;
    let address = there.address();
    thread::scope(|scope| {
        let leaving = scope.spawn(|| there.leaves("room"));
        leaving.join().expect("no panic");
    });
    soon().await;
    assert_eq!(here.heard(), [left(address)]);
}
