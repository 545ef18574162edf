//! A loom model: a drain and connections that arrive at the same time, in every order.

use loom::thread;

use crate::runtime::{Runtime, restart};
use crate::testing;

#[test]
fn a_connection_that_comes_during_a_drain_is_closed() {
    loom::model(|| {
        let runtime = Runtime::default();
        let connection = testing::connection(1, "/");
        let comes = {
            let (runtime, connection) = (runtime.clone(), connection.clone());
            thread::spawn(move || runtime.list(&connection))
        };
        runtime.start_draining();
        for connection in runtime.live().connections() {
            connection.close(restart());
        }
        let entry = comes.join().expect("no panic");
        assert!(connection.is_closed());
        drop(entry);
        assert!(runtime.live().connections().is_empty());
    });
}
