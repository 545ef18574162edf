//! Loom models of places that are taken, passed on and given up at the same time, in every order.

use loom::{future::block_on, thread};

use super::*;

fn wait(line: &SharedLine, connection: u64) -> Option<Permit<SharedLine>> {
    match enter(
        line.clone(),
        ConnectionId(connection),
        1,
        Rule::Everybody(9),
    ) {
        Entered::Place(permit) => Some(permit),
        Entered::Turn(turn) => Some(block_on(turn)),
        Entered::Full => None,
    }
}

#[test]
fn waiting_requests_are_woken_and_no_place_is_given_twice() {
    loom::model(|| {
        let line = SharedLine::default();
        let inside = Arc::new(Mutex::new(()));
        let threads = [1, 2].map(|connection| {
            let (line, inside) = (line.clone(), Arc::clone(&inside));
            thread::spawn(move || {
                let permit = wait(&line, connection).expect("it may wait");
                drop(inside.try_lock().expect("nobody else has a place"));
                drop(permit);
            })
        });
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert!(line.line(|line| line.is_empty() && line.taken() == 0));
    });
}

#[test]
fn a_turn_given_up_while_it_arrives_goes_to_the_next_request() {
    loom::model(|| {
        let line = SharedLine::default();
        let held = wait(&line, 1).expect("a place");
        let Entered::Turn(given_up) = enter(line.clone(), ConnectionId(2), 1, Rule::Everybody(9))
        else {
            panic!("there is no place");
        };
        let next = {
            let line = line.clone();
            thread::spawn(move || drop(wait(&line, 3).expect("it may wait")))
        };
        let gives_up = thread::spawn(move || drop(given_up));
        drop(held);
        gives_up.join().expect("no panic");
        next.join().expect("no panic");
        assert!(line.line(|line| line.is_empty() && line.taken() == 0));
    });
}
