//! Settings with their values. Only those with a valid name and level get here.

use proc_macro2::Ident;
use syn::Attribute;
use wasabi_rules::Setting as Known;

use crate::fragment::Fragment;

/// The settings of a gateway or of a channel in source order, since each value may move what the next ones use.
#[derive(Default)]
pub(crate) struct Settings(Vec<Setting>);

/// `name = value`.
pub(crate) struct Setting {
    pub(crate) known: Known,
    pub(crate) name: Ident,
    pub(crate) cfg: Vec<Attribute>,
    pub(crate) value: Value,
}

pub(crate) enum Value {
    State(Fragment),
    Http(Vec<Fragment>),
    Middleware(Vec<Fragment>),
    One(Fragment, Role),
}

/// What a single value is for.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    /// Belongs to the gateway itself, and is no default of its channels.
    Own,
    /// Applies to channels, and to the gateway's other sections.
    Hosts,
    Origins,
    /// A parser or a hook: its type must meet a bound, and need not be `Clone`.
    Checked,
    /// Like `Checked`, but never a closure.
    Protocol,
    /// A format of error replies.
    Errors,
    /// A format that needs no path.
    Named(Named),
    Other,
}

#[derive(Clone, Copy)]
pub(crate) enum Named {
    Silent,
    Text,
    Json,
}

impl Settings {
    pub(crate) fn push(&mut self, setting: Setting) {
        self.0.push(setting);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.iter()
    }

    /// The setting, if it is set without `#[cfg]`.
    pub(crate) fn unconditional(&self, known: Known) -> Option<&Setting> {
        self.iter()
            .find(|setting| setting.known == known && setting.cfg.is_empty())
    }

    /// Whether the setting, or one that takes its place, is set without `#[cfg]`.
    pub(crate) fn replace(&self, known: Known) -> bool {
        self.iter().any(|setting| {
            let own = setting.known;
            let is_same = own == known && !known.is_layered();
            (is_same || own.replaces().contains(&known.name)) && setting.cfg.is_empty()
        })
    }

    /// The setting of this name, if it is set without `#[cfg]`.
    pub(crate) fn named(&self, name: &str) -> Option<&Setting> {
        self.unconditional(Known::find(name)?)
    }

    /// The values of the state; more than one only with `#[cfg]`.
    pub(crate) fn states(&self) -> impl Iterator<Item = (&[Attribute], &Fragment)> {
        self.iter().filter_map(|setting| match &setting.value {
            Value::State(state) => Some((&*setting.cfg, state)),
            _ => None,
        })
    }

    pub(crate) fn http(&self) -> impl Iterator<Item = (&[Attribute], &Fragment)> {
        self.each(|value| match value {
            Value::Http(list) => list,
            _ => &[],
        })
    }

    pub(crate) fn middleware(&self) -> impl Iterator<Item = (&[Attribute], &Fragment)> {
        self.each(|value| match value {
            Value::Middleware(list) => list,
            _ => &[],
        })
    }

    /// The elements of lists, each with the `#[cfg]` of its setting.
    fn each(
        &self,
        list: fn(&Value) -> &[Fragment],
    ) -> impl Iterator<Item = (&[Attribute], &Fragment)> {
        self.iter().flat_map(move |setting| {
            let elements = list(&setting.value).iter();
            elements.map(|element| (&*setting.cfg, element))
        })
    }

    pub(crate) fn origins(&self) -> Option<&Fragment> {
        self.iter().find_map(|setting| match &setting.value {
            Value::One(origins, Role::Origins) => Some(origins),
            _ => None,
        })
    }
}
