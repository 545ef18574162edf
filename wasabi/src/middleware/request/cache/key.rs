//! How a cache tells requests apart.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use crate::Request;

/// How requests are told apart: by the whole request, or by the result of a function.
pub trait CacheKey: Send + Sync {
    /// Writes the key of a request; returns `false` if it has none.
    #[doc(hidden)]
    fn write(&self, req: &Request, to: &mut dyn Hasher) -> bool;

    #[doc(hidden)]
    const KNOWS_THE_CLIENT: bool;
}

/// The whole request as the key; the default of [`Cache`](super::Cache).
#[derive(Debug, Clone, Copy)]
pub struct WholeRequest;

impl CacheKey for WholeRequest {
    const KNOWS_THE_CLIENT: bool = false;

    fn write(&self, req: &Request, mut to: &mut dyn Hasher) -> bool {
        let opened_with = req.connection().uri().path_and_query();
        let parts = (
            opened_with.map_or("", |uri| uri.as_str()),
            req.route(),
            req.message().is_text(),
            req.key(),
            req.message().as_bytes(),
        );
        parts.hash(&mut to);
        true
    }
}

/// The result of a function as the key; the kind of a [`Cache`](super::Cache) with [`by`](super::Cache::by).
#[derive(Clone, Copy)]
pub struct By<F>(pub(super) F);

impl<K, F> CacheKey for By<F>
where
    K: Hash,
    F: Fn(&Request) -> Option<K> + Send + Sync,
{
    const KNOWS_THE_CLIENT: bool = true;

    fn write(&self, req: &Request, mut to: &mut dyn Hasher) -> bool {
        match (self.0)(req) {
            Some(key) => {
                key.hash(&mut to);
                true
            }
            None => false,
        }
    }
}

impl<F> fmt::Debug for By<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("By").finish_non_exhaustive()
    }
}
