//! Names in a document.

use std::collections::BTreeSet;

/// Names that are taken.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A name that reads like the text and is not taken yet.
    pub(super) fn unused(&mut self, text: &str) -> String {
        let name = identifier(text);
        let numbered = (2_u32..).map(|n| format!("{name}_{n}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        let free = names.find(|name| !self.0.contains(name)).unwrap_or(name);
        self.0.insert(free.clone());
        free
    }
}

/// Letters, digits, `.`, `-` and `_`, which a name may consist of.
fn identifier(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        match c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
            true => name.push(c),
            false if name.is_empty() || name.ends_with('_') => {}
            false => name.push('_'),
        }
    }
    match name.trim_end_matches('_') {
        "" if text == "_" => "other".to_owned(),
        "" => "root".to_owned(),
        name => name.to_owned(),
    }
}

/// The last word of a type's name, without its parameters: `Order` of `shop::Order`.
pub(in crate::gateway) fn of_type(name: &str) -> String {
    let name = name.split('<').next().unwrap_or_default();
    name.rsplit("::").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_unique_and_readable() {
        let mut names = Names::default();
        let given = [
            "/v1/{tenant}",
            "/v1/tenant",
            "/",
            "_",
            "Ok(Action::Buy)",
            "order.place",
        ];
        assert_eq!(
            given.map(|text| names.unused(text)),
            [
                "v1_tenant",
                "v1_tenant_2",
                "root",
                "other",
                "Ok_Action_Buy",
                "order.place"
            ]
        );
        assert_eq!(of_type("shop::Page<shop::Order>"), "Page");
    }
}
