//! What the compiler says to a wrong declaration, and that right ones compile.
//!
//! One mistake a file, named after it. `TRYBUILD=overwrite cargo test -p wasabi-ui` writes the expected
//! output anew: read the difference before it is committed. What must compile is in `pass`, as modules of this crate.
//!
//! An extractor's `impl FromRequest` carries `#[diagnostic::do_not_recommend]`: without it, every error about a wrong
//! extractor lists the new one, and its expected output changes. Those that serde or the state has to allow do not carry
//! it: the error would be about the extractor, and not name what is missing.

#[test]
fn every_mistake_is_reported_at_its_place() {
    trybuild::TestCases::new().compile_fail("fail/*.rs");
}

/// What is right compiles.
#[cfg(test)]
mod pass {
    mod arms_in_braces;
    mod closures;
    mod conditional_parts;
    mod every_form;
    mod inside_a_generic_function;
    mod renamed_dependency;
    mod shadowed_names;
    mod two_hundred_routes;
}

#[test]
fn the_readme_shows_what_the_compiler_says() {
    let said = include_str!("fail/readme.stderr").replace("fail/readme.rs", "src/main.rs");
    assert!(include_str!("../../README.md").contains(said.trim_end()));
}
