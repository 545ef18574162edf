//! The tests that `docs/withstands.md` names exist.

use std::{fs, path::Path};

/// The text of every Rust source beneath these directories.
fn sources(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_row_of_the_threat_table_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut text = String::new();
    for directory in ["tests", "wasabi", "wasabi-macros", "wasabi-rules"] {
        sources(&root.join(directory), &mut text);
    }
    let table = fs::read_to_string(root.join("docs/withstands.md")).expect("the table");
    let rows = table.lines().filter(|line| line.starts_with("| R"));
    let named = rows.flat_map(|row| {
        let tests = row.trim_end_matches('|').rsplit('|').next();
        // Between backticks is every second part.
        tests.unwrap_or_default().split('`').skip(1).step_by(2)
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
