//! What the compiler says to a wrong declaration, and that right ones compile.
//!
//! One mistake a file, named after it. `TRYBUILD=overwrite cargo test -p wasabi-tests --test ui` writes the expected
//! output anew: read the difference before it is committed.
//!
//! An extractor's `impl FromRequest` carries `#[diagnostic::do_not_recommend]`: without it, every error about a wrong
//! extractor lists the new one, and its expected output changes.

#[test]
fn every_mistake_is_reported_at_its_place() {
    trybuild::TestCases::new().compile_fail("ui/fail/*.rs");
}

#[test]
fn what_is_right_compiles() {
    trybuild::TestCases::new().pass("ui/pass/*.rs");
}

#[test]
fn the_readme_shows_what_the_compiler_says() {
    let said = include_str!("ui/fail/readme.stderr").replace("ui/fail/readme.rs", "src/main.rs");
    assert!(include_str!("../README.md").contains(said.trim_end()));
}
