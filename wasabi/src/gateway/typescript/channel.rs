//! A channel as a type, and the function that connects to it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    events::Events,
    path,
    posts::{Posts, posts},
    route::{Writer, Written},
    text::{comment, list, literal, member},
    types::Types,
};
use crate::{
    ErrorFormat,
    gateway::clients::{
        kind::{Kind, Style},
        names::{camel, unused},
        parts::{ChannelParts, Route},
        pool::Known,
        wire,
    },
    schema::{Form, Language},
};

/// The names of a channel in the file.
pub(super) struct Names {
    channel: String,
    function: String,
}

impl Names {
    pub(super) fn of(parts: &ChannelParts<'_>, taken: &mut BTreeSet<String>) -> Self {
        let path = &parts.facts.path;
        let channel = unused(&format!("{}Channel", camel(path, true)), taken);
        Self {
            channel,
            function: unused(&camel(path, false), taken),
        }
    }
}

/// What is written of a channel.
pub(super) fn write(
    parts: &ChannelParts<'_>,
    names: &Names,
    known: &Known,
    types: &Types,
) -> String {
    let facts = parts.facts;
    if let Some(unspoken) = wire::unspoken(facts) {
        return unspoken;
    }
    let style = Style::of(facts);
    let mut events = Events::default();
    let (mut routes, mut posted) = (Routes::default(), Posts::default());
    match &style {
        Some(style) => {
            let writer = Writer {
                known,
                types,
                style,
            };
            routes = Routes::of(parts, |route| writer.write(route, "        ", &mut events));
        }
        None => posted = posts(parts, known, types, &mut events),
    }
    for (sent, gives) in &parts.sends {
        events.sent(sent, gives, known, types);
    }
    let query = match parts.query {
        Some(slot) => types.of(known.get(slot), "  ").text,
        None => "Record<string, string>".to_owned(),
    };
    let path = path::Parameters::of(&facts.path, &parts.path, known, types);
    let Names { channel, function } = names;
    let docs = comment(&docs(parts, &events), "");
    let members = [
        ("path", path.declared()),
        ("query", query),
        ("routes", routes.declared(&routes.named)),
        ("prefixes", routes.declared(&routes.prefixes)),
        ("others", routes.others()),
        ("events", events.declared()),
        ("posts", posted.of),
    ];
    let members = members.map(|(name, of)| format!("  {name}: {of};\n"));
    let declared = format!("export interface {channel} {{\n{}}}\n", members.concat());

    let options = options(&facts.subprotocols);
    let style = style.as_ref();
    let wire = written_wire(parts, style, &routes, &events, posted.is_plain, known);
    let arguments = format!(
        "base: string, {}options: Options<{channel}> = {{}}",
        path.argument(channel)
    );
    let made = format!("new Client({}, {wire}, {options})", path.url());
    format!(
        "\n{docs}{declared}{docs}export function {function}({arguments}): Client<{channel}> {{\n  return {made};\n}}\n"
    )
}

/// The options of the client: those of the caller, who may offer other subprotocols.
fn options(offered: &[String]) -> String {
    match offered {
        [] => "options".to_owned(),
        offered => format!("{{ protocols: () => {}, ...options }}", list(offered)),
    }
}

/// The routes, by how their keys are known.
#[derive(Default)]
struct Routes {
    named: BTreeMap<String, Shown>,
    prefixes: BTreeMap<String, Shown>,
    others: Vec<Shown>,
    maybe: Vec<String>,
}

/// A route's comment and its type.
struct Shown(Vec<String>, String);

impl Routes {
    fn of(parts: &ChannelParts<'_>, mut write: impl FnMut(&Route<'_>) -> Written) -> Self {
        let mut routes = Self::default();
        for route in &parts.routes {
            let operation = route.operation;
            let is_named = operation.prefix().is_none()
                && !operation.is_open()
                && !operation.keys().is_empty();
            let mut written = write(route);
            if !is_named && written.kind == Kind::Maybe {
                written.kind = Kind::Any;
            }
            let is_maybe = written.kind == Kind::Maybe;
            let Written {
                kind,
                takes,
                gives,
                codes,
                docs,
            } = written;
            let shown = || {
                let of = format!(
                    "{{\n      kind: {}; takes: {}; gives: {};\n      codes: {codes};\n    }}",
                    literal(kind.name()),
                    takes.text,
                    gives.text
                );
                Shown(docs.clone(), of)
            };
            match operation.prefix() {
                _ if is_named => {
                    for key in operation.keys() {
                        routes.named.insert(key.clone(), shown());
                        routes.maybe.extend(is_maybe.then(|| key.clone()));
                    }
                }
                Some(prefix) => {
                    routes
                        .prefixes
                        .entry(prefix.to_owned())
                        .or_insert_with(shown);
                }
                None => routes.others.push(shown()),
            }
        }
        routes
    }

    fn declared(&self, routes: &BTreeMap<String, Shown>) -> String {
        if routes.is_empty() {
            return "{}".to_owned();
        }
        let lines = routes.iter().map(|(key, Shown(docs, of))| {
            format!("{}    {}: {of};\n", comment(docs, "    "), member(key))
        });
        format!("{{\n{}  }}", lines.collect::<String>())
    }

    fn others(&self) -> String {
        match &self.others[..] {
            [] => "never".to_owned(),
            [Shown(_, of)] => of.clone(),
            // Only their guards know which of them a key leads to.
            _ => "{ kind: \"any\"; takes: object; gives: unknown; codes: Other }".to_owned(),
        }
    }
}

/// What is said of a channel.
fn docs(parts: &ChannelParts<'_>, events: &Events) -> Vec<String> {
    let facts = parts.facts;
    let is_json = matches!(facts.places.language, Language::Json);
    let errors = match &facts.errors {
        _ if matches!(facts.places.language, Language::JsonRpc { .. }) => "",
        ErrorFormat::Json(_) => "",
        ErrorFormat::Silent => "The gateway sends no errors here.",
        ErrorFormat::Text if events.has_text() => {
            "Errors are text, `code: message`, which nothing tells from other text: they are the event `text`."
        }
        ErrorFormat::Text => "Errors are text, `code: message`, which `onMessage` gets.",
        ErrorFormat::With(_) => {
            "Errors have a form of the gateway's own, and come like other messages."
        }
    };
    let end = match is_json && !errors.is_empty() {
        true => "A request that fails ends at its deadline.",
        false => "",
    };
    let note = format!("{errors} {end}");
    vec![facts.docs.to_owned(), format!("`{}`", facts.path), note]
}

/// How messages are written, as a value.
fn written_wire(
    parts: &ChannelParts<'_>,
    style: Option<&Style>,
    routes: &Routes,
    events: &Events,
    is_plain: bool,
    known: &Known,
) -> String {
    let facts = parts.facts;
    let mut wire = Vec::new();
    let mut add = |name: &str, value: String| wire.push(format!("{name}: {value}"));
    if let Some(style) = style {
        match style.is_rpc {
            true => {
                add("rpc", "true".to_owned());
                add("id", list(&["id".to_owned()]));
            }
            false => {
                add("key", list(&style.key));
                if !style.id.is_empty() {
                    add("id", list(&style.id));
                }
            }
        }
        if let Some(place) = wire::error_id(parts, style) {
            add("errorId", list(&place));
        }
        if wire::has_text_ids(parts, style, known) {
            add("text", "true".to_owned());
        }
        if let Some(stop) = wire::unsubscribe(parts).filter(|_| style.is_rpc) {
            add("stop", literal(stop));
        }
    }
    if !routes.maybe.is_empty() {
        add("maybe", list(&routes.maybe));
    }
    let gives = parts.routes.iter().flat_map(|route| &route.backends);
    let gives = gives.map(|backend| &backend.gives);
    let mut gives = gives.chain(parts.sends.iter().map(|(_, gives)| gives));
    let has_json_errors = matches!(facts.errors, ErrorFormat::Json(_));
    if style.is_some() || has_json_errors || gives.any(|gives| gives.form == Form::Json) {
        add("json", "true".to_owned());
    }
    if is_plain {
        add("plain", "true".to_owned());
    }
    add("events", events.tests());
    format!("{{ {} }}", wire.join(", "))
}
