//! With the cargo feature `schema`: how routers describe their arms. A call for each, and no closure: checking hundreds of
//! closures takes a while.

use crate::{
    Backend,
    schema::{Arm, Describer},
};

/// Describes an arm of a router, by its number from 1 and the number of bits that the router takes of a path.
pub fn describe_arm<S, B: Backend<S>>(
    to: &mut Describer,
    number: u64,
    bits: u32,
    arm: &Arm<'_>,
    inner: &B,
) {
    to.arm(number, bits, arm, &|to| inner.describe(to));
}

/// Describes an arm that takes one key, which is its name too. Most are so, and the compiler checks a literal in less time
/// than a struct with a list in it.
pub fn describe_key<S, B: Backend<S>>(
    to: &mut Describer,
    number: u64,
    bits: u32,
    key: &'static str,
    docs: &'static str,
    target: &'static str,
    inner: &B,
) {
    let arm = Arm {
        name: key,
        docs,
        keys: &[key],
        target,
        ..Arm::NONE
    };
    describe_arm(to, number, bits, &arm, inner);
}

/// Describes a set of routes among others.
pub fn describe_set<S, B: Backend<S>>(to: &mut Describer, number: u64, bits: u32, inner: &B) {
    to.set(number, bits, &|to| inner.describe(to));
}

/// Describes what answers the keys that no set has.
pub fn describe_rest<S, B: Backend<S>>(
    to: &mut Describer,
    number: u64,
    bits: u32,
    target: &'static str,
    inner: &B,
) {
    to.rest(number, bits, target, &|to| inner.describe(to));
}

/// Describes a node of a balanced group.
pub fn describe_node<S, B: Backend<S>>(to: &mut Describer, target: &'static str, inner: &B) {
    to.node(target, &|to| inner.describe(to));
}
