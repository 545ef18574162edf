//! How a cache tells requests apart.

use std::hash::{Hash, Hasher};

use super::super::key::{By, WholeRequest};
use crate::Request;

/// How requests are told apart: by the whole request, or by the result of a function.
pub trait CacheKey: Send + Sync {
    /// Writes the key of a request; returns `false` if it has none.
    #[doc(hidden)]
    fn write(&self, req: &Request, to: &mut dyn Hasher) -> bool;

    #[doc(hidden)]
    const KNOWS_THE_CLIENT: bool;
}

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
