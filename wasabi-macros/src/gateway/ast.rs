//! A gateway or a set of routes as written, before any rule is checked.

use proc_macro2::{Ident, Span};
use syn::{Attribute, LitStr, Pat, Path, Type};

use super::settings::Settings;
use crate::fragment::Fragment;

#[derive(Default)]
pub(crate) struct Gateway {
    /// The path to the `wasabi` crate, from `crate = path`.
    pub(crate) krate: Option<Path>,
    pub(crate) settings: Settings,
    pub(crate) sections: Vec<Section>,
}

pub(crate) struct Section {
    pub(crate) attrs: Attrs,
    pub(crate) path: Fragment,
    pub(crate) kind: SectionKind,
}

/// The HTTP method of an endpoint, by the name of its section: `get`, .. or `any`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndpointMethod(&'static str);

impl EndpointMethod {
    pub(crate) const ALL: [Self; 8] = [
        Self("get"),
        Self("post"),
        Self("put"),
        Self("patch"),
        Self("delete"),
        Self("head"),
        Self("options"),
        Self("any"),
    ];

    pub(crate) const ANY: Self = Self("any");

    pub(crate) fn name(self) -> &'static str {
        self.0
    }
}

pub(crate) enum SectionKind {
    Channel(Channel),
    /// `get("/path", handler)`.
    Endpoint {
        method: EndpointMethod,
        handler: Fragment,
    },
    /// `mount("/path", service)`.
    Mount {
        service: Fragment,
    },
}

#[derive(Default)]
pub(crate) struct Channel {
    pub(crate) settings: Settings,
    /// `routes = [..]`.
    pub(crate) sets: Vec<Listed>,
    pub(crate) target: Target,
}

/// An element of `routes = [..]`.
pub(crate) struct Listed {
    pub(crate) cfg: Vec<Attribute>,
    /// A set of routes as an expression, or a `match` of its own, with or without middleware.
    pub(crate) target: Target,
}

/// `routes!(..)`.
#[derive(Default)]
pub(crate) struct Set {
    pub(crate) krate: Option<Path>,
    pub(crate) state: Option<Type>,
    /// Each with the `#[cfg]` of its setting.
    pub(crate) middleware: Vec<(Vec<Attribute>, Fragment)>,
    pub(crate) sets: Vec<Listed>,
    /// Its own routes, if it has some.
    pub(crate) target: Target,
}

/// What answers: written as an expression or as a form of the macro.
#[derive(Default)]
pub(crate) enum Target {
    /// Missing, which is reported already.
    #[default]
    Missing,
    Expr(Fragment),
    With {
        middleware: Vec<Fragment>,
        target: Box<Target>,
    },
    Balance {
        keyword: Span,
        nodes: Vec<Node>,
    },
    Match(Match),
}

pub(crate) struct Node {
    pub(crate) weight: Fragment,
    pub(crate) target: Target,
    /// The health check.
    pub(crate) check: Option<Fragment>,
}

pub(crate) struct Match {
    pub(crate) keyword: Span,
    pub(crate) scrutinee: Fragment,
    pub(crate) arms: Vec<Arm>,
    /// Whether every arm could be read.
    pub(crate) is_whole: bool,
}

pub(crate) struct Arm {
    pub(crate) attrs: Attrs,
    pub(crate) pattern: Pat,
    pub(crate) guard: Option<Fragment>,
    pub(crate) target: Target,
    /// The place of its last token: the compiler suggests further arms behind it.
    pub(crate) end: Span,
}

/// The attributes of a section or an arm.
#[derive(Default)]
pub(crate) struct Attrs {
    /// The `///` lines.
    pub(crate) docs: String,
    /// Where they begin.
    pub(crate) documented_at: Option<Span>,
    pub(crate) cfg: Vec<Attribute>,
}

impl Target {
    /// The `match` inside of middleware.
    pub(crate) fn routes(&self) -> Option<&Match> {
        match self {
            Self::With { target, .. } => target.routes(),
            Self::Match(routes) => Some(routes),
            Self::Missing | Self::Expr(_) | Self::Balance { .. } => None,
        }
    }

    /// Adds every expression in it that is a target.
    pub(crate) fn expressions<'a>(&'a self, found: &mut Vec<&'a Fragment>) {
        match self {
            Self::Missing => {}
            Self::Expr(target) => found.push(target),
            Self::With { target, .. } => target.expressions(found),
            Self::Balance { nodes, .. } => {
                nodes.iter().for_each(|node| node.target.expressions(found));
            }
            Self::Match(Match { arms, .. }) => {
                arms.iter().for_each(|arm| arm.target.expressions(found));
            }
        }
    }
}

impl Set {
    pub(crate) fn middleware(&self) -> impl Iterator<Item = (&[Attribute], &Fragment)> {
        let middleware = self.middleware.iter();
        middleware.map(|(cfg, middleware)| (&**cfg, middleware))
    }
}

impl Channel {
    /// Its targets: those of the sets, and its own.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        let sets = self.sets.iter().map(|set| &set.target);
        sets.chain([&self.target])
    }
}

impl Match {
    /// The argument of the closure that reads the key: the scrutinee itself, or the `key` in it.
    pub(crate) fn key(&self) -> Option<Ident> {
        fn find(tokens: &proc_macro2::TokenStream) -> Option<Ident> {
            tokens.clone().into_iter().find_map(|tree| match tree {
                proc_macro2::TokenTree::Ident(ident) if ident == "key" => Some(ident),
                proc_macro2::TokenTree::Group(group) => find(&group.stream()),
                _ => None,
            })
        }
        self.scrutinee
            .ident()
            .or_else(|| find(self.scrutinee.tokens()))
    }

    /// Whether the arms match the key itself.
    pub(crate) fn is_on_key(&self) -> bool {
        self.scrutinee.ident().is_some()
    }

    /// Whether the arms match strings. The compiler would then say that `&_` is not covered, which helps nobody.
    pub(crate) fn is_on_text(&self) -> bool {
        self.is_on_key() || self.arms.iter().any(|arm| has_text(&arm.pattern))
    }

    /// Whether an arm takes every remaining key.
    pub(crate) fn has_catch_all(&self) -> bool {
        self.arms
            .iter()
            .any(|arm| arm.is_catch_all() && arm.attrs.cfg.is_empty())
            || (self.arms.iter().any(Arm::is_catch_all)
                && self.arms.iter().any(|arm| !arm.attrs.cfg.is_empty()))
    }
}

impl Arm {
    pub(crate) fn is_catch_all(&self) -> bool {
        self.guard.is_none() && is_irrefutable(&self.pattern)
    }

    /// Alternatives that are names: `quote` in `"order" | quote`. Such a name matches everything.
    pub(crate) fn bare_alternatives(&self) -> Vec<&Ident> {
        let Pat::Or(or) = &self.pattern else {
            return Vec::new();
        };
        or.cases.iter().filter_map(bare_name).collect()
    }
}

/// A key that a pattern takes.
pub(crate) enum KeyPattern<'a> {
    Literal(&'a LitStr),
    Constant(&'a Pat),
}

/// The keys that the pattern takes, in the order of the text.
pub(crate) fn keys(pattern: &Pat) -> Vec<KeyPattern<'_>> {
    match pattern {
        Pat::Lit(literal) => match &literal.lit {
            syn::Lit::Str(key) => vec![KeyPattern::Literal(key)],
            _ => Vec::new(),
        },
        Pat::Or(or) => or.cases.iter().flat_map(keys).collect(),
        Pat::Paren(inner) => keys(&inner.pat),
        Pat::Ident(binding) => match &binding.subpat {
            Some((_, pattern)) => keys(pattern),
            None if is_capital(&binding.ident) => vec![KeyPattern::Constant(pattern)],
            None => Vec::new(),
        },
        // An item cannot name the `Self` around it.
        Pat::Path(path) if path.qself.is_none() && !path.path.segments[0].ident.eq("Self") => {
            vec![KeyPattern::Constant(pattern)]
        }
        _ => Vec::new(),
    }
}

/// The name, if the pattern is only a name.
pub(crate) fn bare_name(pattern: &Pat) -> Option<&Ident> {
    match pattern {
        Pat::Ident(binding) if is_irrefutable(pattern) && binding.subpat.is_none() => {
            Some(&binding.ident)
        }
        _ => None,
    }
}

fn is_irrefutable(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) => true,
        // A name with a capital is a constant or a variant.
        Pat::Ident(binding) => match &binding.subpat {
            Some((_, pattern)) => is_irrefutable(pattern),
            None => !is_capital(&binding.ident),
        },
        Pat::Or(or) => or.cases.iter().any(is_irrefutable),
        Pat::Paren(inner) => is_irrefutable(&inner.pat),
        _ => false,
    }
}

/// Whether the name is that of a constant or a variant, and not of a binding.
pub(crate) fn is_capital(name: &Ident) -> bool {
    name.to_string().starts_with(char::is_uppercase)
}

fn has_text(pattern: &Pat) -> bool {
    match pattern {
        Pat::Lit(literal) => matches!(literal.lit, syn::Lit::Str(_)),
        Pat::Or(or) => or.cases.iter().any(has_text),
        Pat::Paren(inner) => has_text(&inner.pat),
        Pat::Ident(binding) => binding
            .subpat
            .as_ref()
            .is_some_and(|(_, pattern)| has_text(pattern)),
        _ => false,
    }
}
