use http::StatusCode;
use proptest::{collection::vec, prelude::*};
use tokio::time::advance;

use super::*;
use crate::{NoRoute, testing::request};

fn answer(balancer: &Balancer, result: Result<Reply>) -> usize {
    let picked = balancer.pick();
    let index = picked.index();
    picked.finish(&result);
    index
}

fn ok(balancer: &Balancer) -> usize {
    answer(balancer, Ok(Reply::none()))
}

fn down() -> Result<Reply> {
    Err(Error::UpstreamUnreachable("refused".into()))
}

/// Makes node 1 of two fail until it is left out.
fn break_node_1(balancer: &Balancer) {
    let mut failures = 0;
    while failures < 5 {
        let picked = balancer.pick();
        if picked.index() == 1 {
            failures += 1;
            picked.finish(&down());
        } else {
            picked.finish(&Ok(Reply::none()));
        }
    }
}

#[test]
fn requests_in_sequence_come_out_by_weight() {
    let balancer = Balancer::new([1, 9]);
    let picks: Vec<_> = (0..100).map(|_| ok(&balancer)).collect();
    assert_eq!(picks.iter().filter(|&&index| index == 0).count(), 10);
    for ten in picks.chunks(10) {
        assert_eq!(ten.iter().filter(|&&index| index == 0).count(), 1);
    }
}

#[test]
fn requests_in_flight_are_shared_by_weight() {
    let balancer = Balancer::new([1, 9]);
    let picks: Vec<_> = (0..100).map(|_| balancer.pick()).collect();
    assert_eq!(
        picks.iter().filter(|picked| picked.index() == 0).count(),
        10
    );
}

#[test]
fn a_little_concurrency_does_not_spoil_the_weights() {
    let balancer = Balancer::new([1, 9]);
    let mut last = balancer.pick();
    let mut first_node = 0;
    for _ in 0..1000 {
        let picked = balancer.pick();
        first_node += usize::from(picked.index() == 0);
        last = picked; // the one before is done
    }
    drop(last);
    assert!((90..=110).contains(&first_node), "{first_node} of 1000");
}

#[test]
fn a_slow_node_gets_no_more_than_its_share_of_what_is_in_flight() {
    let balancer = Balancer::new([1, 1]);
    let mut stuck = Vec::new();
    for _ in 0..100 {
        let picked = balancer.pick();
        if picked.index() == 0 {
            stuck.push(picked);
        }
    }
    assert_eq!(stuck.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_keeps_failing_pauses_and_is_then_tried_with_one_request() {
    let balancer = Balancer::new([1, 1]);
    break_node_1(&balancer);
    assert!((0..100).all(|_| ok(&balancer) == 0));

    advance(Duration::from_secs(10)).await;
    let trial = balancer.pick();
    assert_eq!(trial.index(), 1);
    assert!((0..100).all(|_| ok(&balancer) == 0), "one trial at a time");
    trial.finish(&down());
    assert!((0..100).all(|_| ok(&balancer) == 0));

    advance(Duration::from_secs(10)).await;
    assert_eq!(ok(&balancer), 1);
    assert_eq!((0..100).map(|_| ok(&balancer)).sum::<usize>(), 50);
}

#[test]
fn occasional_failures_exclude_no_node() {
    let balancer = Balancer::new([1, 1]);
    let mut picks = [0, 0];
    for n in 0..100 {
        let picked = balancer.pick();
        picks[picked.index()] += 1;
        let fails = picked.index() == 1 && n % 4 == 0;
        picked.finish(&if fails { down() } else { Ok(Reply::none()) });
    }
    assert_eq!(picks, [50, 50]);
}

#[tokio::test(start_paused = true)]
async fn an_endless_pause_is_valid() {
    let balance = Balance::new([(1, ()), (1, ())]);
    let balancer = balance.pause(Duration::MAX).balancer;
    break_node_1(&balancer);
    advance(Duration::from_secs(100_000_000)).await;
    assert!((0..100).all(|_| ok(&balancer) == 0));
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_cancelled_is_repeated() {
    let balancer = Balancer::new([1, 1]);
    break_node_1(&balancer);
    advance(Duration::from_secs(10)).await;
    drop(balancer.pick());
    assert_eq!(ok(&balancer), 1);
}

#[tokio::test(start_paused = true)]
async fn when_no_node_is_healthy_all_are_used() {
    let balancer = Balancer::new([1, 1]);
    for _ in 0..20 {
        answer(&balancer, down());
    }
    let picks: usize = (0..20).map(|_| answer(&balancer, down())).sum();
    assert_eq!(picks, 10);
}

#[test]
fn only_failures_of_the_upstream_count() {
    let balancer = Balancer::new([1, 1]);
    for _ in 0..100 {
        answer(&balancer, Err(Error::bad_request("no")));
        answer(&balancer, Err(Error::RateLimited { retry_after: None }));
        answer(&balancer, Err(Error::UpstreamUnfit("too large".into())));
        answer(
            &balancer,
            Err(Error::upstream_status(StatusCode::UNAUTHORIZED)),
        );
        drop(balancer.pick());
    }
    assert!(balancer.lock().iter().all(|node| node.health == Health::Up));
    assert!(balancer.lock().iter().all(|node| node.in_flight == 0));
}

#[test]
fn all_mistakes_in_nodes_and_weights_are_collected() {
    let mistakes = |weights: &[u32]| of(weights).mistakes.as_slice().to_vec();
    let few = |count| wasabi_rules::nodes(count).expect_err("too few");
    let zero = |node| format!("{WEIGHT}; node {node} of `balance`, counted from 0, has 0");
    assert_eq!(mistakes(&[]), [few(0)]);
    assert_eq!(mistakes(&[0]), [few(1), zero(0)]);
    assert_eq!(mistakes(&[1, 0, 0]), [zero(1), zero(2)]);
    assert_eq!(mistakes(&[1, u32::MAX]), [""; 0]);
    assert_eq!(ok(&Balancer::new([0, 0])), 0, "and no panic");
}

#[tokio::test]
async fn a_group_without_nodes_that_is_served_unchecked_answers_an_error() {
    let none = Balance::<NoRoute>::new([]);
    let reply = none.call(request("k", ""), &()).await;
    assert!(matches!(reply, Err(Error::UpstreamUnreachable(_))));
}

fn of(weights: &[u32]) -> Balancer {
    Balancer::of(weights.iter().copied())
}

proptest! {
    #[test]
    fn each_round_of_requests_in_sequence_gives_every_node_its_weight(weights in vec(1_u32..20, 2..6), rounds in 1..4) {
        let balancer = of(&weights);
        for _ in 0..rounds {
            let mut counts = vec![0; weights.len()];
            for _ in 0..weights.iter().sum() {
                counts[ok(&balancer)] += 1;
            }
            prop_assert_eq!(&counts, &weights);
        }
    }

    #[test]
    fn no_request_goes_to_a_node_that_has_its_share(
        weights in vec(prop_oneof![1_u32..10, Just(u32::MAX)], 2..6),
        ends in vec(any::<Option<prop::sample::Index>>(), 1..200),
    ) {
        let balancer = of(&weights);
        let sum: f64 = weights.iter().copied().map(f64::from).sum();
        let mut picks: Vec<Picked<'_>> = Vec::new();
        for end in ends {
            if let Some(end) = end && !picks.is_empty() {
                picks.swap_remove(end.index(picks.len())).finish(&Ok(Reply::none()));
                continue;
            }
            let picked = balancer.pick();
            let index = picked.index();
            let before = picks.iter().filter(|other| other.index() == index).count();
            picks.push(picked);
            let share = picks.len() as f64 * f64::from(weights[index]) / sum;
            prop_assert!((before as f64) < share, "{before} of {share} at {index}");
        }
    }
}

fn drain(balancer: &Balancer, index: usize, drained: bool) {
    balancer.lock()[index].drained = drained;
}

#[test]
fn a_drained_node_gets_no_requests_and_no_trials() {
    let balancer = Balancer::new([1, 1, 1]);
    drain(&balancer, 1, true);
    assert!((0..30).all(|_| ok(&balancer) != 1));
    drain(&balancer, 1, false);
    assert_eq!((0..30).filter(|_| ok(&balancer) == 1).count(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_fails_its_requests_is_used_before_one_that_fails_its_checks() {
    let balancer = Balancer::new([1, 1]);
    break_node_1(&balancer);
    drain(&balancer, 0, true);
    assert!((0..10).all(|_| ok(&balancer) == 1));
    break_node_1(&balancer);
    drain(&balancer, 1, true);
    // All nodes fail their checks, so all are used.
    let used: std::collections::HashSet<_> = (0..10).map(|_| ok(&balancer)).collect();
    assert_eq!(used.len(), 2);
}
