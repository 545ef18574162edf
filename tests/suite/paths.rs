//! What functions read from the path of their channel.

use serde::Deserialize;
use wasabi::{GatewayError, Routes, prelude::*};
use wasabi_tests::{log::Log, serve};

#[derive(Deserialize)]
#[allow(dead_code)]
struct Room {
    tenant: String,
    room: u32,
    lang: Option<String>,
}

async fn pair(Path(_): Path<(String, u32)>) {}

async fn room(Text(_): Text, Path(_): Path<Room>) {}

fn mistakes(gateway: &Gateway) -> Vec<String> {
    let mistakes = gateway.check().err().unwrap_or_default();
    let texts = mistakes.iter().map(|mistake| match mistake {
        GatewayError::Setting(text) => text.clone(),
        other => panic!("{other}"),
    });
    texts.collect()
}

const PAIR: &str = "`suite::suite::paths::pair`: `Path<(String, u32)>` takes 2 parameters, but the path has one: `tenant`";

const ROOM: &str = "`suite::suite::paths::room`: `Path<Room>` has the field `room`, but the path has no such parameter; these are: `tenant`";

#[test]
fn a_function_that_reads_other_parameters_than_the_path_has_keeps_the_gateway_from_being_served() {
    let gateway = gateway!(channel("/v1/{tenant}", pair));
    assert_eq!(mistakes(&gateway), [format!("`/v1/{{tenant}}`: {PAIR}")]);
    let gateway = gateway!(channel("/v1/{tenant}", room));
    assert_eq!(mistakes(&gateway), [format!("`/v1/{{tenant}}`: {ROOM}")]);
}

#[test]
fn every_function_of_a_channel_is_checked_wherever_it_stands() {
    fn set() -> impl Routes<()> {
        routes!(
            (),
            match key {
                "set" => pair,
            }
        )
    }
    let gateway = gateway!(channel(
        "/v1/{tenant}",
        parser = key,
        middleware = [Trace::new()],
        routes = [set()],
        match key {
            "a" => with([Throttle::new(1)], balance([(1, room), (1, async || ())])),
            "b" => match key {
                _ => room,
            },
            _ => pair,
        },
    ));
    let mut found = mistakes(&gateway);
    found.sort();
    let at = |what| format!("`/v1/{{tenant}}`: {what}");
    assert_eq!(found, [at(PAIR), at(PAIR), at(ROOM), at(ROOM)]);
}

#[test]
fn the_parameters_of_a_mount_count() {
    let inner = gateway!(channel("/{room}", room));
    assert_eq!(mistakes(&inner).len(), 1);
    assert_eq!(mistakes(&gateway!(mount("/{tenant}", inner))).len(), 0);
    let inner = gateway!(channel("/{room}", async |Path(_): Path<u32>| ()));
    assert_eq!(mistakes(&inner).len(), 0);
    assert_eq!(mistakes(&gateway!(mount("/{tenant}", inner))).len(), 1);
}

#[tokio::test]
async fn parameters_that_no_client_could_give_are_the_fault_of_the_gateway_and_logged() {
    let log = Log::of(tracing::Level::WARN);
    let server = serve(gateway!(channel(
        "/v1/{tenant}",
        parser = key,
        match key {
            "pair" => async |connection: Connection| connection.path::<(String, u32)>().map(|_| ()),
            "room" => async |connection: Connection| connection.path::<Room>().map(|_| ()),
            _ => async |Path(number): Path<u32>| number.to_string(),
        },
    )))
    .await;
    let mut client = server.connect("/v1/7").await;
    assert_eq!(client.ask("pair").await, "internal: internal error");
    assert_eq!(client.ask("room").await, "internal: internal error");
    assert_eq!(client.ask("number").await, "7");
    assert_eq!(
        log.lines("takes 2 parameters, but the path has one").len(),
        1
    );
    assert_eq!(log.lines("has the field `room`").len(), 1);

    let mut client = server.connect("/v1/seven").await;
    let answer = client.ask("number").await;
    assert!(answer.starts_with("bad_request: "), "{answer}");
    let mut client = server.connect("/v1/%FF").await;
    let answer = client.ask("number").await;
    assert!(answer.starts_with("bad_request: "), "{answer}");
}

/// The whole message is the key.
fn key(message: &Message) -> Result<Option<Envelope<'_>>> {
    Ok(Some(Envelope::new(message.as_text().unwrap_or_default())))
}
