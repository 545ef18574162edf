//! A channel as a type.

use std::collections::BTreeSet;

use super::{
    events::Events,
    routes::Writer,
    text::{comment, identifier, list, literal, snake},
    types::{ANY, Types},
};
use crate::{
    ErrorFormat,
    gateway::clients::{
        kind::Style,
        names::{camel, unused},
        parts::ChannelParts,
        path::{Piece, pieces},
        wire,
    },
    schema::{Count, Source},
};

/// The name of a channel's type.
pub(super) fn name(parts: &ChannelParts<'_>, types: &mut Types<'_>) -> String {
    types.unused(&camel(&parts.facts.path, true))
}

/// The methods that clients have besides those of their routes.
const METHODS: [&str; 6] = [
    "client",
    "clone",
    "connect",
    "events",
    "post",
    "with_timeout",
];

/// What a client that waits for replies has.
const WITH_TIMEOUT: &str = "
    /// The same connection, with another deadline for requests.
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { client: self.client.with_timeout(timeout) }
    }
";

/// What is written of a channel.
// Long: one text.
pub(super) fn write(parts: &ChannelParts<'_>, name: &str, types: &mut Types<'_>) -> String {
    let facts = parts.facts;
    if let Some(unspoken) = wire::unspoken(facts) {
        return unspoken;
    }
    let style = Style::of(facts);
    let mut events = Events::default();
    let methods = match &style {
        Some(style) => {
            let writer = Writer {
                style,
                channel: name,
            };
            let mut names: BTreeSet<_> = METHODS.iter().map(|it| (*it).to_owned()).collect();
            let routes = parts.routes.iter();
            routes
                .map(|route| writer.write(route, &mut names, types, &mut events))
                .collect()
        }
        None => post(parts, types, &mut events),
    };
    let waits = methods.contains("pub async fn ");
    let with_timeout = if waits { WITH_TIMEOUT } else { "" };
    for (sent, gives) in &parts.sends {
        events.sent(sent, gives, types);
    }
    let event = types.unused(&format!("{name}Event"));
    let wire = written_wire(parts, style.as_ref(), types);
    let (arguments, url) = path(&facts.path);
    let docs = comment(
        &[
            facts.docs.to_owned(),
            format!("`{}`", facts.path),
            errors(&facts.errors, style.as_ref()),
        ],
        "",
    );
    format!(
        "
{docs}#[derive(Debug, Clone)]
pub struct {name} {{
    client: Client,
}}

impl {name} {{
    /// Begins to connect; `base` is the URL of the server, such as `wss://api.example.com`.
    pub fn connect(base: &str, {arguments}options: Options) -> Result<Self, InvalidUrl> {{
        const WIRE: Wire = {wire};
        let client = Client::connect(Url::new(base){url}, WIRE, options)?;
        Ok(Self {{ client }})
    }}

    /// The connection, which also asks with any other key.
    pub fn client(&self) -> &Client {{
        &self.client
    }}

    /// What the gateway sends without being asked, from now on.
    pub fn events(&self) -> Events<{event}> {{
        self.client.events()
    }}
{with_timeout}{methods}}}
{}",
        events.declared(&event)
    )
}

/// What is said of the errors of a channel.
fn errors(format: &ErrorFormat, style: Option<&Style>) -> String {
    let errors = match format {
        _ if style.is_some_and(|style| style.has_errors) => return String::new(),
        ErrorFormat::Json(_) => return String::new(),
        ErrorFormat::Silent => "The gateway sends no errors here.",
        ErrorFormat::Text => {
            "Errors are text, `code: message`, which nothing tells from other text: they are events."
        }
        ErrorFormat::With(_) => "Errors have a form of the gateway's own: they are events.",
    };
    match style {
        Some(_) => format!("{errors} A request that fails ends at its deadline."),
        None => errors.to_owned(),
    }
}

/// The arguments that a path needs, and what makes the URL of them.
fn path(path: &str) -> (String, String) {
    let mut taken = BTreeSet::from(["base".to_owned(), "options".to_owned()]);
    let (mut arguments, mut url) = (String::new(), String::new());
    for piece in pieces(path) {
        url += &match piece {
            Piece::Text("") => continue,
            Piece::Text(text) => format!(".text({})", literal(text)),
            Piece::Parameter(name, is_rest) => {
                let name = identifier(&unused(&snake(name), &mut taken));
                arguments += &format!("{name}: &str, ");
                match is_rest {
                    true => format!(".rest({name})"),
                    false => format!(".segment({name})"),
                }
            }
        };
    }
    (arguments, url)
}

/// How messages are written, as an expression.
fn written_wire(parts: &ChannelParts<'_>, style: Option<&Style>, types: &Types<'_>) -> String {
    let mut wire = match style {
        None => "Wire::plain()".to_owned(),
        Some(style) if style.is_rpc => "Wire::json_rpc()".to_owned(),
        Some(style) => format!("Wire::keyed({}, {})", list(&style.key), list(&style.id)),
    };
    if let Some(style) = style {
        if let Some(place) = wire::error_id(parts, style) {
            wire += &format!(".error_id({})", list(&place));
        }
        if wire::has_text_ids(parts, style, types.known) {
            wire += ".text_ids()";
        }
        if let Some(stop) = wire::unsubscribe(parts).filter(|_| style.is_rpc) {
            wire += &format!(".stop({})", literal(stop));
        }
    }
    match &parts.facts.subprotocols[..] {
        [] => wire,
        offered => format!("{wire}.subprotocols({})", list(offered)),
    }
}

/// The method of a channel without keys, for whichever function gets the message. What they answer are events.
fn post(parts: &ChannelParts<'_>, types: &mut Types<'_>, events: &mut Events) -> String {
    let mut bodies = BTreeSet::new();
    for backend in parts.routes.iter().flat_map(|route| &route.backends) {
        if !matches!(backend.gives.count, Count::None | Count::OnlyErrors) {
            events.reply(&backend.gives, types);
        }
        let mut json = backend
            .takes
            .iter()
            .filter(|taking| taking.source == Source::Json);
        let slot = json.next().and_then(|taking| taking.schema);
        let known = types.known;
        bodies.insert(slot.map(|slot| types.of(known.get(slot), "Body")));
    }
    let bodies: Vec<_> = bodies.into_iter().collect();
    match &bodies[..] {
        [Some(of)] if of != ANY => format!(
            "
    /// Sends a message, and waits for nothing.
    pub fn post(&self, message: &{of}) -> Result<(), NotSent> {{
        self.client.post_json(message)
    }}
"
        ),
        _ => "
    /// Sends a message, and waits for nothing.
    pub fn post(&self, message: impl Into<Message>) -> Result<(), NotSent> {
        self.client.post(message)
    }
"
        .to_owned(),
    }
}
