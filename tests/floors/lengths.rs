//! A file of more than 400 lines, or a function of more than 60, says in one line why it is that long: `// Long: ..`,
//! below the file's `//!` lines, or directly above the function.

use std::{fs, path::Path};

const FILE: usize = 400;
const FUNCTION: usize = 60;
const REASON: &str = "// Long: ";

/// The names of what is too long in a source and gives no reason.
fn unexplained(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let mut unexplained = Vec::new();
    let head = lines
        .iter()
        .take_while(|line| line.is_empty() || line.starts_with("//"));
    if lines.len() > FILE && !has_reason(head) {
        unexplained.push(format!("the file, {} lines", lines.len()));
    }
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let Some(length) = length(&lines[at..]) else {
            continue;
        };
        let above = lines[..at].iter().rev();
        let above = above.take_while(|line| !line.is_empty() && !line.ends_with(['{', '}', ';']));
        if length > FUNCTION && !has_reason(above) {
            unexplained.push(format!("`{name}`, line {}, {length} lines", at + 1));
        }
    }
    unexplained
}

fn has_reason<'a>(mut lines: impl Iterator<Item = &'a &'a str>) -> bool {
    lines.any(|line| line.trim_start().starts_with(REASON))
}

/// The name of the function that begins in this line.
fn function(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_word = |word: &str| {
        word.starts_with("pub") || matches!(word, "const" | "async" | "unsafe" | "default")
    };
    let name = after
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()?;
    before
        .replace("in ", "")
        .split_whitespace()
        .all(is_word)
        .then_some(name)
}

/// The number of lines of the function that begins in the first line; `None` if it has no body. The sources are as
/// rustfmt writes them.
fn length(lines: &[&str]) -> Option<usize> {
    let indent = lines[0].len() - lines[0].trim_start().len();
    let opens = lines
        .iter()
        .position(|line| line.ends_with(['{', ';', '}']))?;
    if !lines[opens].ends_with('{') {
        return None;
    }
    let is_end = |line: &&str| line.len() == indent + 1 && line.ends_with('}');
    Some(lines.iter().position(is_end)? + 1)
}

fn look(directory: &Path, wrong: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            look(&path, wrong);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let found = unexplained(&text);
            wrong.extend(
                found
                    .iter()
                    .map(|found| format!("{}: {found}", path.display())),
            );
        }
    }
}

#[test]
fn a_long_file_or_function_says_why() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut wrong = Vec::new();
    for crate_name in [
        "wasabi",
        "wasabi-macros",
        "wasabi-rules",
        "tests",
        "benches",
        "examples",
        "fuzz",
    ] {
        look(&root.join(crate_name), &mut wrong);
    }
    assert!(
        wrong.is_empty(),
        "split it, or write `{REASON}..`:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn what_is_long_is_found_unless_it_says_why() {
    let body = "        let x = 1;\n".repeat(70);
    let long = |above: &str| {
        format!(
            "impl A {{\n{above}    pub(in super::super) async fn long(\n        x: u8,\n    ) {{\n{body}    }}\n}}\n"
        )
    };
    assert_eq!(
        unexplained(&long("    /// Does.\n")),
        ["`long`, line 3, 74 lines"]
    );
    assert!(unexplained(&long("    // Long: a table.\n    #[test]\n")).is_empty());
    assert!(unexplained(&long("    // Long: another.\n    fn short() {}\n")).len() == 1);
    let declared = format!("trait A {{\n    fn long(\n        x: u8,\n    );\n{body}}}\n");
    assert_eq!(unexplained(&declared), [""; 0]);
    let text = "//! A file.\n\nstruct A;\n".to_owned() + &"\n".repeat(400);
    assert_eq!(unexplained(&text), ["the file, 403 lines"]);
    let explained = text.replace("\n\n", "\n// Long: one table.\n\n");
    assert_eq!(unexplained(&explained), [""; 0]);
}
