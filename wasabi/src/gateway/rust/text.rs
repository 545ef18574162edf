//! Text of Rust: names, literals, comments.

/// A text as a literal.
pub(super) fn literal(text: &str) -> String {
    format!("{text:?}")
}

/// A list of literals, in static memory.
pub(super) fn list(items: &[String]) -> String {
    let items: Vec<_> = items.iter().map(|item| literal(item)).collect();
    format!("&[{}]", items.join(", "))
}

/// Words as the name of a function or a field: `place_order`.
pub(super) fn snake(text: &str) -> String {
    let mut name = String::new();
    let mut is_lower = false;
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() {
            is_lower = false;
            if !name.is_empty() && !name.ends_with('_') {
                name.push('_');
            }
            continue;
        }
        if c.is_ascii_uppercase() && is_lower {
            name.push('_');
        }
        is_lower = !c.is_ascii_uppercase();
        name.push(c.to_ascii_lowercase());
    }
    let name = name.trim_end_matches('_');
    match name.chars().next() {
        None => "unnamed".to_owned(),
        Some('0'..='9') => format!("_{name}"),
        Some(_) => name.to_owned(),
    }
}

/// A name that may be a word of the language.
pub(super) fn identifier(name: &str) -> String {
    const WORDS: &str = " abstract as async await become box break const continue do dyn else enum extern false final fn \
        for gen if impl in let loop macro match mod move mut override priv pub ref return static struct trait true try \
        type typeof unsafe unsized use virtual where while yield ";
    match name {
        "self" | "super" | "crate" => format!("{name}_"),
        _ if WORDS.contains(&format!(" {name} ")) => format!("r#{name}"),
        _ => name.to_owned(),
    }
}

/// A comment of these paragraphs, at this indentation; nothing if all are empty. Code in it is not run as a test of
/// the program that has the file.
pub(super) fn comment(paragraphs: &[String], indent: &str) -> String {
    let paragraphs = paragraphs.iter().map(|text| text.trim());
    let paragraphs: Vec<_> = paragraphs.filter(|text| !text.is_empty()).collect();
    let text = paragraphs
        .join("\n\n")
        .replace("```", "'''")
        .replace("~~~", "'''");
    // Four spaces are code as well.
    let lines = text.lines().map(|line| match line.trim() {
        "" => format!("{indent}///\n"),
        line => format!("{indent}/// {line}\n"),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_names_of_functions() {
        for (key, name) in [
            ("order.place", "order_place"),
            ("placeOrder", "place_order"),
            ("legacy.", "legacy"),
            ("HTTP", "http"),
            ("7", "_7"),
            ("??", "unnamed"),
        ] {
            assert_eq!(snake(key), name);
        }
        assert_eq!(identifier("type"), "r#type");
        assert_eq!(identifier("self"), "self_");
    }

    #[test]
    fn code_in_docs_is_text() {
        let docs = "One.\n\n```\npanic!()\n```\n    panic!()".to_owned();
        assert_eq!(
            comment(&[docs], "  "),
            "  /// One.\n  ///\n  /// '''\n  /// panic!()\n  /// '''\n  /// panic!()\n"
        );
        assert_eq!(comment(&[String::new()], ""), "");
    }
}
