//! The dashboard asks for metrics that are there.

use std::{collections::BTreeSet, time::Duration};

use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use wasabi::{prelude::*, queue::Memory};
use wasabi_tests::{http_service, soon, websocket_upstream::Upstream};

use super::admin::{Measured, no_change};

const GUIDE: &str = include_str!("../../docs/guide/09-production.md");

const DASHBOARD: &str = include_str!("../../examples/production/dashboard.json");

/// The metrics of the guide with their types.
fn rows() -> impl Iterator<Item = (String, &'static str)> {
    let rows = GUIDE.lines().filter(|line| line.starts_with("| `wasabi_"));
    rows.map(|row| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let name = cells.next().unwrap_or_default().trim_matches('`');
        (name.to_owned(), cells.next().unwrap_or_default())
    })
}

/// Everything that a panel or a variable asks for.
fn queries(dashboard: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = vec![dashboard];
    while let Some(value) = rest.pop() {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text)
                            if matches!(&**name, "expr" | "query") && text != "prometheus" =>
                        {
                            found.push(text.clone());
                        }
                        value => rest.push(value),
                    }
                }
            }
            Value::Array(values) => rest.extend(values),
            _ => {}
        }
    }
    found
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let word = |char: char| !(char.is_ascii_alphanumeric() || char == '_');
    let words = text.split(word);
    words
        .filter(|word| word.starts_with("wasabi_"))
        .map(str::to_owned)
        .collect()
}

/// A scrape of a server where everything has happened once.
async fn scrape_after_traffic() -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let mut upstream = Upstream::start().await;
    let broker = Memory::new();
    let mut worker = broker.worker("orders");
    let failing = http_service(axum::Router::new().route(
        "/",
        axum::routing::post(async || axum::http::StatusCode::BAD_GATEWAY),
    ))
    .await;
    let policy = Backoff::constant(Duration::from_millis(10));
    let gateway = gateway!(
        cluster = wasabi::Cluster::memory(),
        middleware = [Measure::metrics()],
        channel(
            "/",
            max_connections = 1,
            parser = JsonKey::at("/do"),
            match key {
                "order" => Queue::new(broker.clone(), "orders"),
                "sell" => with([CircuitBreaker::new(1, 1min)], Http::post(&failing)),
                "up" => WebSocket::connect(upstream.url("/")).reconnect(policy),
                _ => async || "ok",
            },
        ),
    );
    let it = Measured::serve(&recorder, gateway, no_change).await;
    let mut client = it.server.connect("/").await;
    assert!(it.server.connect_with("/", &[]).await.is_err());
    assert_eq!(client.ask(r#"{"do":"hello"}"#).await, "ok");
    client.ask(r#"{"do":"sell"}"#).await;
    client.send(r#"{"do":"up"}"#).await;
    upstream.accept().await.crash();
    let _peer = upstream.accept().await;
    client.send(r#"{"do":"order"}"#).await;
    soon(worker.next()).await.reply("done");
    client.text().await;
    client.close(1000, "").await;
    let closed = r#"wasabi_closed_connections_total{channel="/",code="1000"}"#;
    it.shows(closed, 1.0).await;
    it.scrape().await
}

#[tokio::test]
async fn every_metric_of_the_dashboard_is_there_after_traffic() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(panel["targets"][0]["expr"].is_string(), "{panel}");
    }
    let queries = queries(&dashboard);
    assert!(queries.len() > 15, "{queries:?}");
    let scraped = scrape_after_traffic().await;
    let shown = names(&scraped);
    for query in &queries {
        let asked = names(query);
        assert!(!asked.is_empty(), "{query} asks for nothing of ours");
        for name in asked {
            assert!(shown.contains(&name), "{query}: no {name} in\n{scraped}");
        }
    }
}

#[tokio::test]
async fn every_metric_is_described_and_the_guide_lists_exactly_these() {
    let scraped = scrape_after_traffic().await;
    let types = scraped.lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some((name.to_owned(), kind))
    });
    let rows: BTreeSet<String> = rows().map(|(name, _)| name).collect();
    let mut shown = BTreeSet::new();
    for (name, kind) in types {
        let kind = if kind == "summary" { "histogram" } else { kind };
        let row = format!("| `{name}` | {kind} |");
        assert!(GUIDE.contains(&row), "no {row} in the guide");
        let help = format!("# HELP {name} ");
        assert!(scraped.contains(&help), "{name} is not described");
        shown.insert(name);
    }
    assert_eq!(rows, shown);
}

#[test]
fn the_dashboard_shows_every_metric_of_the_guide() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let queries = queries(&dashboard);
    let asked: BTreeSet<String> = queries.iter().flat_map(|query| names(query)).collect();
    for (name, kind) in rows() {
        let series = match kind {
            "histogram" => format!("{name}_sum"),
            _ => name,
        };
        assert!(asked.contains(&series), "no panel shows {series}");
    }
}
