//! Text of TypeScript: literals, names, comments.

use std::fmt::Write;

/// A text as a literal.
pub(super) fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The name of a member, quoted if it is not a word.
pub(super) fn member(name: &str) -> String {
    match is_word(name) {
        true => name.to_owned(),
        false => literal(name),
    }
}

/// The name of a member in a value. An unquoted or quoted `__proto__` there is no member.
pub(super) fn member_of_value(name: &str) -> String {
    match name {
        "__proto__" => r#"["__proto__"]"#.to_owned(),
        name => member(name),
    }
}

/// How to reach a member of a value.
pub(super) fn access(name: &str) -> String {
    match is_word(name) {
        true => format!(".{name}"),
        false => format!("[{}]", literal(name)),
    }
}

fn is_word(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

/// A list of literals.
pub(super) fn list(items: &[String]) -> String {
    let items: Vec<_> = items.iter().map(|item| literal(item)).collect();
    format!("[{}]", items.join(", "))
}

/// A comment of these paragraphs, at this indentation; nothing if all are empty. What is written in them stays text: it
/// neither ends the comment nor is a tag.
pub(super) fn comment(paragraphs: &[String], indent: &str) -> String {
    let paragraphs: Vec<_> = paragraphs.iter().map(|text| text.trim()).collect();
    let paragraphs: Vec<_> = paragraphs
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    let text = paragraphs.join("\n\n");
    let text = text.replace("*/", "*\\/").replace("{@", "{\\@");
    let lines: Vec<_> = text
        .lines()
        .map(|line| match line.trim_start().starts_with('@') {
            true => line.replacen('@', "\\@", 1),
            false => line.to_owned(),
        })
        .collect();
    match &lines[..] {
        [] => String::new(),
        [line] => format!("{indent}/** {} */\n", line.trim()),
        lines => {
            let mut comment = format!("{indent}/**\n");
            for line in lines {
                let line = format!("{indent} * {line}");
                // Writing into a string does not fail.
                let _ = writeln!(comment, "{}", line.trim_end());
            }
            comment + indent + " */\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_docs_is_text() {
        let docs = "Ends */ here.\n\n@deprecated {@link x}\n<b>bold</b>".to_owned();
        assert_eq!(
            comment(&[docs], "  "),
            "  /**\n   * Ends *\\/ here.\n   *\n   * \\@deprecated {\\@link x}\n   * <b>bold</b>\n   */\n"
        );
        assert_eq!(
            comment(&[String::new(), "One.".to_owned()], ""),
            "/** One. */\n"
        );
    }

    #[test]
    fn odd_names_are_quoted() {
        assert_eq!(member("req_id"), "req_id");
        assert_eq!(member("order.place"), r#""order.place""#);
        assert_eq!(member("7"), r#""7""#);
        assert_eq!(member("say \"x\"\n"), r#""say \"x\"\n""#);
        assert_eq!(member_of_value("__proto__"), r#"["__proto__"]"#);
        assert_eq!(access("a-b"), r#"["a-b"]"#);
    }
}
