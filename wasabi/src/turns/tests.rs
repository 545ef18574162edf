use futures_util::{FutureExt, task::noop_waker_ref};

use super::*;

fn line() -> SharedLine {
    SharedLine::default()
}

fn place(line: &SharedLine, connection: u64, limit: usize) -> Permit<SharedLine> {
    match enter(
        line.clone(),
        ConnectionId(connection),
        limit,
        Rule::BelowShare,
    ) {
        Entered::Place(permit) => permit,
        _ => panic!("there is room"),
    }
}

fn turn(line: &SharedLine, connection: u64, limit: usize, rule: Rule) -> Turn<SharedLine> {
    match enter(line.clone(), ConnectionId(connection), limit, rule) {
        Entered::Turn(turn) => turn,
        Entered::Place(_) => panic!("a place was free"),
        Entered::Full => panic!("it may not wait"),
    }
}

fn is_full(line: &SharedLine, connection: u64, limit: usize, rule: Rule) -> bool {
    let entered = enter(line.clone(), ConnectionId(connection), limit, rule);
    matches!(entered, Entered::Full)
}

const ALL: Rule = Rule::Everybody(1000);

#[test]
fn waiting_connections_get_places_in_turn() {
    let line = line();
    let held = place(&line, 9, 1);
    let mut turns: Vec<_> = [1, 1, 1, 1, 2, 2, 3]
        .into_iter()
        .map(|connection| (connection, turn(&line, connection, 1, ALL)))
        .collect();
    drop(held);
    let mut order = Vec::new();
    while !turns.is_empty() {
        let mut cx = Context::from_waker(noop_waker_ref());
        let at = turns
            .iter_mut()
            .position(|(_, turn)| turn.poll_unpin(&mut cx).is_ready());
        order.push(turns.remove(at.expect("one has a place")).0);
    }
    assert_eq!(order, [1, 2, 3, 1, 2, 1, 1]);
    assert!(line.line(|line| line.is_empty() && line.taken() == 0));
}

#[test]
fn giving_up_a_turn_loses_no_place() {
    let line = line();
    let held = place(&line, 1, 1);
    let (first, mut second) = (turn(&line, 2, 1, ALL), turn(&line, 3, 1, ALL));
    let third = turn(&line, 4, 1, ALL);
    drop(third);
    drop(held); // the place is the first one's
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    assert!((&mut second).now_or_never().is_some());
    assert!(line.line(|line| line.is_empty() && line.taken() == 0 && line.turns.is_empty()));
}

#[test]
fn nobody_overtakes_waiting_requests() {
    let line = line();
    let held = place(&line, 1, 1);
    let waits = turn(&line, 2, 1, ALL);
    drop(held);
    assert!(is_full(&line, 1, 1, Rule::Everybody(0)));
    drop(waits);
    drop(place(&line, 1, 1));
}

#[test]
fn only_a_connection_below_its_share_waits() {
    let (line, rule) = (line(), Rule::BelowShare);
    let held: Vec<_> = (0..4).map(|_| place(&line, 1, 4)).collect();
    assert!(is_full(&line, 1, 4, rule), "alone, it has everything");
    let _two = [turn(&line, 2, 4, rule), turn(&line, 2, 4, rule)];
    assert!(is_full(&line, 2, 4, rule), "two of four for two");
    let _one = turn(&line, 3, 4, rule);
    assert!(is_full(&line, 3, 4, rule), "one of four for three");
    let _last = turn(&line, 4, 4, rule);
    assert!(
        is_full(&line, 5, 4, rule),
        "as many wait as there are places"
    );
    drop(held);
    assert!(is_full(&line, 1, 0, rule));
}

#[test]
fn the_number_of_waiting_requests_is_bounded() {
    let line = line();
    let _held = place(&line, 1, 1);
    let _waits = [
        turn(&line, 1, 1, Rule::Everybody(2)),
        turn(&line, 2, 1, Rule::Everybody(2)),
    ];
    assert!(is_full(&line, 3, 1, Rule::Everybody(2)));
}

#[test]
fn a_place_goes_to_the_first_one_whose_limit_allows_it() {
    let line = line();
    let mut held: Vec<_> = (0..3).map(|_| place(&line, 1, 3)).collect();
    let (mut small, mut large) = (turn(&line, 2, 1, ALL), turn(&line, 2, 3, ALL));
    drop(held.pop());
    assert!((&mut small).now_or_never().is_none());
    let large = (&mut large).now_or_never().expect("a place");
    drop((held, large));
    assert!((&mut small).now_or_never().is_some());
}

#[test]
fn the_memory_of_a_burst_of_connections_is_freed() {
    let line = line();
    let held: Vec<_> = (0..5000).map(|id| place(&line, id, 5000)).collect();
    assert_eq!(line.line(|line| line.taken()), 5000);
    drop(held);
    assert!(line.line(|line| line.is_empty() && line.others.capacity() <= 1024));
}
