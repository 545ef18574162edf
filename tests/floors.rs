//! Which module may use which, held to what the sources say in their `use` lines and paths.

mod floors {
    mod sources;
    mod tests;
}
