use std::collections::{BTreeMap, BTreeSet};

use super::sources::{Arrows, Module, Sources};

/// The modules of `wasabi/src` from the ground up. A module uses those that come before it in this list, and never
/// those after it.
const FLOORS: &[&str] = &[
    // The ground: none of it knows what a gateway is.
    "sync",
    "time",
    "panics",
    "pieces",
    "digest",
    "sharded",
    "per_client",
    "mistakes",
    "backoff",
    "tcp",
    "log",
    "macros",
    "units",
    // What is said.
    "message",
    "error",
    // Handshakes within the process.
    "piped",
    // What is counted.
    "metrics",
    // A client's connection and the handle to it, and what it knows of the server.
    "connection",
    "turns",
    "runtime",
    "hosts",
    "upgrade",
    // The state of a gateway, as a type.
    "scope",
    // What types say of themselves.
    "schema",
    // A message on its way to its reply.
    "reply",
    "request",
    "extract",
    "error_format",
    "parser",
    "trace_context",
    // Who answers, and what is around it.
    "backend",
    "middleware",
    // Who asks.
    "client",
    // The other processes.
    "cluster",
    // A reader of messages that also writes replies around the chain.
    "protocol",
    // What is declared of a channel.
    "describe",
    "absent",
    "routes",
    "channel",
    // What runs while a connection lives: a message gets its route and goes through the chain.
    "dispatcher",
    "task",
    // What answers handshakes, what is declared beside channels, and what serves all of it.
    "endpoint",
    "gateway",
    "server",
    // What tests use in place of a server.
    "testing",
    // What the macros' expansions name.
    "private",
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|name| *name == module)
}

fn of_top(arrows: &Arrows) -> BTreeMap<(&str, &str), Vec<String>> {
    let mut top = BTreeMap::<_, Vec<_>>::new();
    for (from, to) in arrows.iter().filter(|(from, to)| from[0] != to[0]) {
        let arrow = format!("{} -> {}", from.join("/"), to.join("/"));
        top.entry((&*from[0], &*to[0])).or_default().push(arrow);
    }
    top
}

/// What is wrong about the arrows between the floors.
fn upward(arrows: &Arrows) -> Vec<String> {
    let of_top = of_top(arrows).into_iter();
    let upward = of_top.filter(|((from, to), _)| floor(to) >= floor(from));
    let told = upward.map(|((from, to), arrows)| {
        format!("{from} uses {to}, which is above it: {}", arrows.join(", "))
    });
    told.collect()
}

/// The arrows of circles among the modules of each folder, what is below a module counted as its own.
fn circles(arrows: &Arrows, modules: &BTreeSet<Module>) -> Vec<(String, String, String)> {
    let folders: BTreeSet<&[String]> = modules
        .iter()
        .flat_map(|module| (0..module.len()).map(|depth| &module[..depth]))
        .collect();
    let mut circles = Vec::new();
    for folder in folders {
        let depth = folder.len();
        let mut uses = BTreeMap::<&str, BTreeSet<&str>>::new();
        for (from, to) in arrows {
            let is_inside = |module: &Module| module.len() > depth && module.starts_with(folder);
            if is_inside(from) && is_inside(to) && from[depth] != to[depth] {
                uses.entry(&from[depth]).or_default().insert(&to[depth]);
            }
        }
        for (from, used) in &uses {
            for to in used.iter().filter(|to| reaches(&uses, to, from)) {
                circles.push((folder.join("/"), (*from).to_owned(), (*to).to_owned()));
            }
        }
    }
    circles
}

/// Whether there is a way from one module to another.
fn reaches(uses: &BTreeMap<&str, BTreeSet<&str>>, from: &str, to: &str) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        if module == to {
            return true;
        }
        if seen.insert(module) {
            next.extend(uses.get(module).into_iter().flatten().copied());
        }
    }
    false
}

#[test]
fn no_module_uses_one_above_it() {
    let sources = Sources::of("wasabi");
    for module in sources.modules().filter(|module| module.len() == 1) {
        assert!(floor(&module[0]).is_some(), "`{}` has no floor", module[0]);
    }
    let wrong = upward(&sources.arrows());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    let mut wrong = Vec::new();
    for name in ["wasabi", "wasabi-macros", "wasabi-rules"] {
        let sources = Sources::of(name);
        let modules = sources.modules().cloned().collect();
        let circles = circles(&sources.arrows(), &modules).into_iter();
        // Those between floors are arrows upward, which the other test finds.
        let inside = circles.filter(|(folder, ..)| name != "wasabi" || !folder.is_empty());
        wrong.extend(inside.map(|(folder, from, to)| format!("{name}/{folder}: {from} -> {to}")));
    }
    assert!(wrong.is_empty(), "arrows in circles:\n{}", wrong.join("\n"));
}

fn sources(texts: &[(&'static str, &'static str)]) -> Sources {
    Sources::from_texts(texts.iter().copied())
}

#[test]
fn a_use_is_found_in_every_spelling() {
    for text in [
        "use crate::server::Server;",
        "use crate::{Server, error::Error};",
        "use crate::Server as Other;",
        "fn f() -> crate::server::Server {}",
        "mod inner { use super::super::server::Server; }",
        "use super::server::{self};",
    ] {
        let sources = sources(&[
            ("", "pub use crate::server::Server;"),
            ("server", "pub use self::inner::Server;"),
            ("server/inner", "pub struct Server;"),
            ("error", text),
        ]);
        let wrong = upward(&sources.arrows());
        assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
    }
    for text in [
        "use http::server::Server;",
        "#[cfg(test)] mod tests { use crate::server::Server; }",
        "/// [`Server`](crate::server::Server)\nfn f() {}",
    ] {
        let sources = sources(&[("server", "pub struct Server;"), ("error", text)]);
        assert_eq!(upward(&sources.arrows()), [] as [String; 0], "{text}");
    }
}

#[test]
fn an_indirect_circle_is_found() {
    let sources = sources(&[
        ("backend", ""),
        ("backend/a", "use super::b::B;"),
        ("backend/b", "pub struct B; use super::c;"),
        ("backend/c/inner", "use crate::backend::a;"),
        ("backend/c", ""),
        ("backend/d", "use super::a;"),
    ]);
    let modules = sources.modules().cloned().collect();
    let circles = circles(&sources.arrows(), &modules);
    let arrows: Vec<_> = circles
        .iter()
        .map(|(_, from, to)| (&**from, &**to))
        .collect();
    assert_eq!(arrows, [("a", "b"), ("b", "c"), ("c", "a")]);
}
