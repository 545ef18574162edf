//! The keys of routes, as the router routes them.

use std::{
    str::FromStr,
    sync::atomic::{AtomicUsize, Ordering},
};

use wasabi::{prelude::*, schema::Operation};

fn keys(gateway: &Gateway) -> Vec<(&str, Vec<&str>)> {
    fn of(operation: &Operation) -> (&str, Vec<&str>) {
        let keys = operation.keys().iter().map(String::as_str);
        (operation.route(), keys.collect())
    }
    gateway.operations().iter().map(of).collect()
}

const LISTED: &str = "order.list";

#[test]
fn alternatives_and_constants_are_keys() {
    let gateway = gateway!(channel(
        "/",
        match key {
            "quote" | "ticks" => async || "a",
            "a | b" => async || "b",
            LISTED => async || "c",
            _ => NoRoute,
        },
    ));
    assert_eq!(
        keys(&gateway),
        [
            ("quote | ticks", vec!["quote", "ticks"]),
            ("a | b", vec!["a | b"]),
            ("LISTED", vec!["order.list"]),
            ("_", vec![]),
        ]
    );
}

#[test]
fn a_guard_before_a_literal_wins_in_the_document_as_well() {
    let gateway = gateway!(channel(
        "/",
        match key {
            key if key.starts_with("order.") => async || "guarded",
            "order.place" => async || "never",
            "quote" => async || "quote",
            _ => NoRoute,
        },
    ));
    let [guarded, never, ..] = gateway.operations() else {
        panic!("four routes")
    };
    assert_eq!(guarded.prefix(), Some("order."));
    assert_eq!(guarded.keys(), ["order.place"]);
    assert_eq!(never.keys(), [""; 0]);
}

#[derive(Clone, Copy)]
enum Action {
    BuyNow,
    Sell,
}

impl FromStr for Action {
    type Err = ();

    fn from_str(key: &str) -> Result<Self, ()> {
        match key {
            "buy-now" => Ok(Self::BuyNow),
            "sell" => Ok(Self::Sell),
            _ => Err(()),
        }
    }
}

#[test]
fn the_router_says_which_keys_are_variants() {
    let gateway = gateway!(channel(
        "/",
        match key.parse::<Action>() {
            Ok(Action::BuyNow) => async || "buy",
            Ok(Action::Sell) => async || "sell",
            Err(()) => NoRoute,
        },
    ));
    assert_eq!(
        keys(&gateway),
        [
            ("Ok(Action::BuyNow)", vec!["buy-now"]),
            ("Ok(Action::Sell)", vec!["sell"]),
            ("Err(())", vec![]),
        ]
    );
}

#[test]
fn a_guard_that_panics_takes_no_key() {
    let gateway = gateway!(channel(
        "/",
        match key {
            key if key
                .strip_prefix("n:")
                .is_some_and(|rest| rest.parse::<u8>().unwrap() > 1) =>
                async || "number",
            "n:one" => async || "never",
            "quote" => async || "quote",
            _ => NoRoute,
        },
    ));
    assert_eq!(gateway.operations()[2].keys(), ["quote"]);
    assert_eq!(gateway.operations()[1].keys(), [""; 0]);
}

#[test]
fn routes_inside_routes_have_the_keys_that_reach_them() {
    let gateway = gateway!(channel(
        "/",
        match key {
            "a" => async || "a",
            _ => with(
                [Timeout::new(1s)],
                match key {
                    key if key == "a" => async || "never",
                    "b" => async || "b",
                    _ => NoRoute,
                }
            ),
        },
    ));
    assert_eq!(
        keys(&gateway),
        [
            ("a", vec!["a"]),
            (r#"key if key == "a""#, vec![]),
            ("b", vec!["b"]),
            ("_", vec![])
        ]
    );
}

#[test]
fn a_guard_names_no_keys_and_a_literal_beside_it_does() {
    let gateway = gateway!(channel(
        "/",
        match key {
            "admin" | LISTED if std::env::var_os("PATH").is_some() => async || "admin",
            key if key.ends_with(".get") => async || "get",
            "a.get" => async || "never",
            _ => NoRoute,
        },
    ));
    let keys: Vec<_> = keys(&gateway).into_iter().map(|(_, keys)| keys).collect();
    assert_eq!(
        keys,
        [vec!["admin", "order.list"], vec!["a.get"], vec![], vec![]]
    );
}

#[test]
fn routes_inside_a_balanced_group_name_no_keys_of_the_arm_around_it() {
    let gateway = gateway!(channel(
        "/",
        match key {
            "a" | "b" => balance([
                (1, async || "one"),
                (
                    1,
                    match key {
                        "a" => async || "a",
                        _ => async || "b",
                    }
                ),
            ]),
            _ => NoRoute,
        },
    ));
    assert_eq!(
        keys(&gateway),
        [("a | b", vec!["a", "b"]), ("a", vec![]), ("_", vec![])]
    );
}

#[test]
fn a_router_is_asked_for_its_keys_when_somebody_wants_to_know_and_once() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    fn counts(_: &str) -> bool {
        ASKED.fetch_add(1, Ordering::SeqCst);
        false
    }
    let inner = gateway!(channel(
        "/a",
        match key {
            key if counts(key) => async || "never",
            "a" => async || "a",
            _ => NoRoute,
        },
    ));
    let gateway = gateway!(mount("/inner", inner));
    assert!(gateway.check().is_ok());
    assert_eq!(ASKED.load(Ordering::SeqCst), 0);
    assert_eq!(gateway.operations()[1].keys(), ["a"]);
    assert_eq!(gateway.operations()[1].path(), "/inner/a");
    let asked = ASKED.load(Ordering::SeqCst);
    assert!(asked > 0);
    let document = gateway.asyncapi().to_value();
    assert!(document["channels"]["inner_a"]["messages"]["a"].is_object());
    assert_eq!(ASKED.load(Ordering::SeqCst), asked);
}
