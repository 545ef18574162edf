//! Names in the files of clients.

use std::collections::BTreeSet;

/// Words as a name: `v1Tenant`, or `V1Tenant` for types.
pub(in crate::gateway) fn camel(text: &str, is_type: bool) -> String {
    let mut name = String::new();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    for word in words.filter(|word| !word.is_empty()) {
        let (first, rest) = word.split_at(1);
        match name.is_empty() && !is_type {
            true => name += &first.to_ascii_lowercase(),
            false => name += &first.to_ascii_uppercase(),
        }
        name += rest;
    }
    if name.is_empty() {
        name += if is_type { "Root" } else { "root" };
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// A name that is not taken yet.
pub(in crate::gateway) fn unused(name: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2_u32..).map(|n| format!("{name}{n}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let free = names.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_names_that_are_not_taken() {
        assert_eq!(camel("/v1/{tenant}/{*rest}", false), "v1TenantRest");
        assert_eq!(
            (camel("/", true), camel("/7a", false)),
            ("Root".to_owned(), "_7a".to_owned())
        );
        let mut taken = BTreeSet::new();
        let names = ["Tick", "Tick", "Tick"].map(|name| unused(name, &mut taken));
        assert_eq!(names, ["Tick", "Tick2", "Tick3"]);
    }
}
