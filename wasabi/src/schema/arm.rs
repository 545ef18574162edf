//! An arm of a router, in words.

/// An arm, as the macro describes it.
#[derive(Debug, Clone, Copy, Default)]
#[doc(hidden)]
pub struct Arm<'a> {
    /// The name of the route.
    pub name: &'static str,
    /// The documentation comment.
    pub docs: &'static str,
    /// The keys in its pattern, if it has no guard.
    pub keys: &'a [&'static str],
    /// Words of its pattern that may be keys, if a guard or the application's own type decides.
    pub hints: &'a [&'static str],
    /// Whether only its guard, or the application's own type, knows its keys.
    pub is_open: bool,
    /// The argument of its guard `key.starts_with("..")`.
    pub prefix: Option<&'static str>,
    /// The target as written; empty if it has routes.
    pub target: &'static str,
}

impl Arm<'_> {
    /// Nothing.
    pub const NONE: Self = Self {
        name: "",
        docs: "",
        keys: &[],
        hints: &[],
        is_open: false,
        prefix: None,
        target: "",
    };
}
