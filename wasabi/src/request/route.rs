//! The way of a request through the routers of its channel.

use super::Request;

/// The arms that a request takes, found before the first middleware runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Route {
    /// The arm of each router, counted from 1, that of the outermost router in the lowest bits. A router that finds 0
    /// there looks for its arm itself: it is behind something that does not say where a key leads, such as `balance`
    /// or a backend of the user's.
    pub path: u64,
    /// The name of the innermost arm.
    pub name: &'static str,
}

impl Route {
    /// The route through an arm of a router that uses `bits` of the path, and on to `inner` if the arm leads to
    /// another router.
    #[inline]
    pub fn through(arm: u64, bits: u32, name: &'static str, inner: Option<Self>) -> Self {
        match inner {
            None => Self { path: arm, name },
            Some(inner) => Self {
                path: arm | inner.above(bits),
                name: inner.name,
            },
        }
    }

    /// The path, moved up. An inner router looks for its arm itself if there is no room for it.
    fn above(self, bits: u32) -> u64 {
        match self.path.leading_zeros() >= bits {
            true => self.path << bits,
            false => 0,
        }
    }
}

/// The arm of a router that uses `bits` of a path, and the path of the routers inside.
#[inline]
pub fn split(path: u64, bits: u32) -> (u64, u64) {
    (path & ((1 << bits) - 1), path >> bits)
}

impl Request {
    /// Takes the arm of the next router from the path; `find` finds it if the path does not say it. 0 means that there
    /// is no arm.
    #[inline]
    pub(crate) fn take_arm(&mut self, bits: u32, find: impl FnOnce(&str) -> Option<Route>) -> u64 {
        let (mut arm, mut rest) = split(self.0.route.path, bits);
        if arm == 0 {
            let found = find(self.key()).unwrap_or_default();
            (arm, rest) = split(found.path, bits);
        }
        self.0.route.path = rest;
        arm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_through_all_routers() {
        let innermost = Route::through(3, 2, "c", None);
        let inside = Route::through(1, 1, "b", Some(innermost));
        let route = Route::through(200, 8, "a", Some(inside));
        assert_eq!(route.name, "c");
        let (arm, rest) = split(route.path, 8);
        let (next, rest) = split(rest, 1);
        assert_eq!((arm, next, split(rest, 2)), (200, 1, (3, 0)));
    }

    #[test]
    fn a_router_that_the_path_has_no_room_for_looks_itself() {
        let inside = Route::through(1 << 60, 61, "b", None);
        let route = Route::through(5, 4, "a", Some(inside));
        assert_eq!((split(route.path, 4), route.name), ((5, 0), "b"));
    }
}
