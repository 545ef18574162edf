//! The tests that `docs/withstands.md` names exist, and the files that ARCHITECTURE.md does.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every Rust source beneath a directory.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in [
        "tests",
        "wasabi",
        "wasabi-macros",
        "wasabi-rules",
        "benches",
        "fuzz",
        "examples",
    ] {
        sources(&root.join(directory), &mut found);
    }
    found
}

/// Between backticks is every second part.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// `a/{b,c}.rs` stands for several files.
fn expanded(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else {
        return vec![path.to_owned()];
    };
    let (names, after) = rest.split_once('}').expect("a closing brace");
    let names = names.split(',').filter(|name| *name != "..");
    names.map(|name| format!("{before}{name}{after}")).collect()
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found = all_sources(&root);
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("the document");
    let (prose, map) = text.split_once("## Where things are").expect("the map");
    let prose = prose.split("```").step_by(2);
    let words = prose.flat_map(quoted).chain(map.split_whitespace());
    let words = words.map(|word| word.trim_matches([',', ';', '`', '.']));
    let named = words.filter(|word| word.ends_with(".rs") && !word.contains(' '));
    let named: Vec<_> = named.flat_map(expanded).collect();
    assert!(named.len() > 100, "{} files", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !found.iter().any(|path| path.ends_with(name)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_row_of_the_threat_table_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text: String = all_sources(&root)
        .iter()
        .map(|path| fs::read_to_string(path).expect("a source"))
        .collect();
    let table = fs::read_to_string(root.join("docs/withstands.md")).expect("the table");
    let rows = table.lines().filter(|line| line.starts_with("| R"));
    let named = rows.flat_map(|row| {
        let tests = row.trim_end_matches('|').rsplit('|').next();
        quoted(tests.unwrap_or_default())
    });
    let names: Vec<_> = named
        .filter(|name| !name.contains(['/', ' ', '.', ':']))
        .collect();
    assert!(names.len() > 100, "{} names", names.len());
    let missing: Vec<_> = names
        .into_iter()
        .filter(|name| !text.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
