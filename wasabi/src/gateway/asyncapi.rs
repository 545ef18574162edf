//! A gateway as an AsyncAPI document.

mod channel;
mod close_codes;
mod components;
mod envelope;
mod examples;
pub(super) mod facts;
mod graphql_ws;
pub(super) mod handshake;
mod json_rpc;
mod keys;
mod logins;
mod message;
pub(super) mod names;
pub(super) mod schemas;
mod shapes;
mod text;
mod wire;

use serde_json::{Map, Value, json};

pub(crate) use self::facts::ChannelFacts;
use self::{components::Components, names::Names, schemas::Schemas};
use super::Gateway;
use crate::describe::EndpointInfo;

/// A gateway as an [AsyncAPI 3.0](https://www.asyncapi.com/docs/reference/specification/v3.0.0) document, which
/// [`Gateway::asyncapi`] makes.
///
/// The declaration is the source: channels, keys, messages, replies, error codes, limits and logins are what the gateway
/// itself uses. What AsyncAPI has no place for is in `x-wasabi`. The text is the same, to the byte, for the same
/// declaration: keep it in a file beside the program, and compare the two in a test.
///
/// ```
/// use wasabi::prelude::*;
///
/// let gateway = gateway!(
///     /// Says what it is told.
///     channel("/echo", async |text: Text| text),
/// );
/// let document = gateway.asyncapi().title("Echo").version("1.0.0");
/// let document = document.server("production", "wss://api.example.com");
/// assert!(document.to_yaml().starts_with("asyncapi: \"3.0.0\"\n"));
/// assert_eq!(document.to_value()["channels"]["echo"]["address"], "/echo");
/// ```
#[derive(Debug, Clone)]
#[must_use = "a document is written with `to_json` or `to_yaml`"]
pub struct AsyncApi {
    title: String,
    version: String,
    description: Option<String>,
    servers: Vec<(String, String)>,
    channels: Vec<ChannelFacts>,
    endpoints: Vec<EndpointInfo>,
}

impl Gateway {
    /// The gateway as an AsyncAPI document.
    pub fn asyncapi(&self) -> AsyncApi {
        let (title, version) = self.package;
        AsyncApi {
            title: title.to_owned(),
            version: version.to_owned(),
            description: None,
            servers: Vec::new(),
            channels: self.told.channels().to_vec(),
            endpoints: self.description.endpoints.clone(),
        }
    }
}

impl AsyncApi {
    /// The title; by default the name of the package that declares the gateway, as Cargo says it, or `gateway`.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// The version of the interface; by default that of the package, or `0.0.0`.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// A description, in Markdown; none by default.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds a server on which clients reach the gateway, by a name and a URL such as `wss://api.example.com/base`.
    pub fn server(mut self, name: impl Into<String>, url: impl Into<String>) -> Self {
        self.servers.push((name.into(), url.into()));
        self
    }

    /// The document as a JSON value.
    pub fn to_value(&self) -> Value {
        let mut schemas = Schemas::new();
        let mut parts = Parts {
            operations: Map::new(),
            correlation_ids: Components::new("correlationIds"),
            security_schemes: Components::new("securitySchemes"),
        };
        let mut names = Names::default();
        let channels = self.channels.iter().map(|facts| {
            let id = names.unused(&facts.path);
            let channel = channel::write(&id, facts, &mut schemas, &mut parts);
            (id, channel)
        });
        let channels: Map<String, Value> = channels.collect();
        let mut document = json!({
            "asyncapi": "3.0.0",
            "info": {
                "title": self.title,
                "version": self.version,
                "x-generator": concat!("wasabi ", env!("CARGO_PKG_VERSION")),
            },
            "channels": channels,
            "operations": parts.operations,
            "components": {},
        });
        if let Some(description) = &self.description {
            document["info"]["description"] = json!(description);
        }
        if !self.servers.is_empty() {
            document["servers"] = self.servers();
        }
        let endpoints = self.endpoints.iter().map(endpoint);
        let endpoints: Vec<_> = endpoints.collect();
        if !endpoints.is_empty() {
            document["x-wasabi"] = json!({ "endpoints": endpoints });
        }
        let components = &mut document["components"];
        parts.correlation_ids.finish(components);
        parts.security_schemes.finish(components);
        let definitions = schemas.finish(&mut document);
        let definitions = schemas::used(definitions, &document);
        document["components"]["schemas"] = definitions.into();
        document
    }

    fn servers(&self) -> Value {
        let servers = self.servers.iter().map(|(name, url)| {
            let (protocol, rest) = url.split_once("://").unwrap_or(("wss", url));
            let (host, path) = match rest.split_once('/') {
                Some((host, path)) => (host, Some(format!("/{path}"))),
                None => (rest, None),
            };
            let mut server = json!({ "host": host, "protocol": protocol });
            if let Some(path) = path.filter(|path| path != "/") {
                server["pathname"] = json!(path);
            }
            (name.clone(), server)
        });
        Value::Object(servers.collect())
    }

    /// The document as JSON, in lines.
    pub fn to_json(&self) -> String {
        text::json(&self.to_value())
    }

    /// The document as YAML.
    pub fn to_yaml(&self) -> String {
        text::yaml(&self.to_value())
    }
}

/// As YAML.
impl std::fmt::Display for AsyncApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_yaml())
    }
}

/// What channels write into the document outside of themselves.
struct Parts {
    operations: Map<String, Value>,
    correlation_ids: Components,
    security_schemes: Components,
}

fn endpoint(endpoint: &EndpointInfo) -> Value {
    let EndpointInfo { method, path, docs } = endpoint;
    let mut written = json!({ "method": method, "path": path });
    if let Some(summary) = docs.lines().next() {
        written["summary"] = json!(summary.trim());
    }
    written
}
