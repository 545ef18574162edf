//! Components that several channels refer to.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::names::Names;

/// The components of one kind.
pub(super) struct Components {
    /// The section of the document.
    section: &'static str,
    names: Names,
    /// Their names, by what they are about.
    known: BTreeMap<String, String>,
    written: Map<String, Value>,
}

impl Components {
    pub(super) fn new(section: &'static str) -> Self {
        Self {
            section,
            names: Names::default(),
            known: BTreeMap::new(),
            written: Map::new(),
        }
    }

    /// A reference to the component about this, which has a name that reads like it.
    pub(super) fn reference(&mut self, about: &str, component: impl FnOnce() -> Value) -> Value {
        let Self {
            names,
            known,
            written,
            ..
        } = self;
        let name = known.entry(about.to_owned()).or_insert_with(|| {
            let name = names.unused(about);
            written.insert(name.clone(), component());
            name
        });
        json!({ "$ref": format!("#/components/{}/{name}", self.section) })
    }

    /// Writes the section, if it has anything.
    pub(super) fn finish(self, components: &mut Value) {
        if !self.written.is_empty() {
            components[self.section] = self.written.into();
        }
    }
}
