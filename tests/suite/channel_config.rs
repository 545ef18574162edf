//! The settings of channels in a configuration.

use std::time::Duration;

use wasabi::{ChannelConfig, prelude::*};
use wasabi_tests::serve;

fn config(text: &str) -> ChannelConfig {
    serde_json::from_str(text).expect(text)
}

#[tokio::test]
async fn a_configuration_sets_what_settings_set_and_what_comes_later_replaces_it() {
    let all = config(r#"{"max_message_size": "1KiB", "origins": ["https://a.example"]}"#);
    let own = config(r#"{"max_message_size": 8}"#);
    let server = serve(gateway!(
        config = &all,
        channel("/all", async |text: Text| text),
        channel("/own", config = own, async |text: Text| text),
        channel("/later", max_message_size = 4B, async |text: Text| text),
    ))
    .await;
    for (path, allowed) in [("/all", 1024), ("/own", 8), ("/later", 4)] {
        let text = "x".repeat(allowed);
        let mut client = server.connect(path).await;
        assert_eq!(client.ask(&text).await, text, "{path}");
        client.send(format!("{text}x")).await;
        assert_eq!(client.closed().await.0, 1009, "{path}");
    }
    let origin = [("origin", "https://a.example")];
    assert!(server.connect_with("/all", &origin).await.is_ok());
    // A channel's configuration says nothing of origins: those of the gateway's stay.
    assert!(server.connect_with("/own", &origin).await.is_ok());
    let foreign = [("origin", "https://b.example")];
    assert!(server.connect_with("/own", &foreign).await.is_err());
}

#[tokio::test]
async fn hosts_of_a_gateways_configuration_are_those_of_its_endpoints_too() {
    let all = config(r#"{"hosts": ["a.example"]}"#);
    let server = serve(gateway!(
        config = all,
        get("/name", async || "the gateway"),
        channel("/", async |text: Text| text),
    ))
    .await;
    for path in ["/name", "/"] {
        assert_eq!(server.get(path).await, 421, "{path}");
    }
    let host = [("host", "a.example")];
    assert!(server.connect_with("/", &host).await.is_ok());
}

#[test]
fn times_and_sizes_have_units() {
    let read = config(r#"{"ping": "off", "idle_timeout": "5min", "max_connections": 7}"#);
    assert_eq!(read.ping, Some(None));
    assert_eq!(read.idle_timeout, Some(Some(Duration::from_secs(300))));
    assert_eq!(read.max_connections, Some(Some(7)));
    assert_eq!(read.send_timeout, None);
    for (text, expected) in [
        (r#"{"pin": "2s"}"#, "unknown field `pin`"),
        (r#"{"ping": "soon"}"#, "`soon` is not a duration"),
        (r#"{"max_message_size": "5s"}"#, "`5s` is not a size"),
    ] {
        let error = serde_json::from_str::<ChannelConfig>(text).expect_err(text);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn senseless_values_of_a_configuration_keep_the_gateway_from_being_served() {
    let config = config(r#"{"concurrency": 0, "ping": "0s", "origins": ["a.example"]}"#);
    let gateway = gateway!(channel("/", config = config, async |text: Text| text));
    let mistakes = gateway.check().unwrap_err();
    let texts: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    for name in ["`concurrency`", "`ping`", "`a.example`"] {
        assert!(texts.iter().any(|text| text.contains(name)), "{texts:?}");
    }
}
