//! What sources and documents say of each other: which module may use which, and that named tests exist.

mod floors {
    mod documents;
    mod forwarding;
    mod lengths;
    mod sources;
    mod tests;
}
