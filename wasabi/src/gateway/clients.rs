//! What the clients of a gateway need to know in every language: its channels and routes, with their schemas.

pub(super) mod kind;
pub(super) mod names;
pub(super) mod parts;
pub(super) mod path;
pub(super) mod pool;
pub(super) mod wire;
