//! The search for two values of a JSON text in one pass.

use std::ops::Range;

use super::{
    pointer::Path,
    scan::{Invalid, Scanner},
};

/// The remaining paths to the key and to the id; `None` if this part of the text is not on the way there.
pub(super) type Wanted<'p> = [Option<Path<'p>>; 2];

/// The result of a search.
#[derive(Default)]
pub(super) struct Found {
    /// The ranges of the values.
    pub(super) values: [Option<Range<usize>>; 2],
    /// A member on the way to the key is repeated, or written in another case. Only a strict search checks for that.
    pub(super) is_ambiguous: bool,
}

#[inline]
pub(super) fn find(text: &str, wanted: Wanted<'_>) -> Result<Found, Invalid> {
    search::<false>(text, wanted)
}

#[inline(never)]
pub(super) fn find_strictly(text: &str, wanted: Wanted<'_>) -> Result<Found, Invalid> {
    search::<true>(text, wanted)
}

#[inline(always)]
fn search<const STRICT: bool>(text: &str, wanted: Wanted<'_>) -> Result<Found, Invalid> {
    let mut search = Search::<STRICT> {
        len: text.len(),
        found: Found::default(),
    };
    search.walk(Scanner::new(text), wanted)?.end()?;
    Ok(search.found)
}

struct Search<const STRICT: bool> {
    /// Length of the text.
    len: usize,
    found: Found,
}

impl<const STRICT: bool> Search<STRICT> {
    /// Reads one value. It recurses only along a path, so no deeper than the pointers are long.
    fn walk<'t>(
        &mut self,
        scanner: Scanner<'t>,
        wanted: Wanted<'_>,
    ) -> Result<Scanner<'t>, Invalid> {
        let start = scanner.skip_space();
        let on_the_way = wanted.iter().flatten().any(|path| !path.is_empty());
        let end = if on_the_way && let Some(inside) = start.after(b'{') {
            let mut is_there = false;
            inside.members(|scanner, name| {
                let inner = wanted.map(|path| path?.member(&name));
                if STRICT && let Some(to_key) = wanted[0] {
                    if inner[0].is_some() {
                        self.found.is_ambiguous |= is_there;
                        is_there = true;
                    } else {
                        self.found.is_ambiguous |= to_key.differs_in_case_only(&name);
                    }
                }
                self.descend(scanner, inner)
            })?
        } else if on_the_way && let Some(inside) = start.after(b'[') {
            inside.elements(|scanner, index| {
                self.descend(scanner, wanted.map(|path| path?.element(index)))
            })?
        } else {
            start.value()?
        };
        for (value, path) in self.found.values.iter_mut().zip(wanted) {
            if path.is_some_and(|path| path.is_empty()) {
                *value = Some(self.len - start.left()..self.len - end.left());
            }
        }
        Ok(end)
    }

    #[inline(always)]
    fn descend<'t>(
        &mut self,
        scanner: Scanner<'t>,
        wanted: Wanted<'_>,
    ) -> Result<Scanner<'t>, Invalid> {
        if let [None, None] = wanted {
            return scanner.value();
        }
        // A repeated member replaces the value of the earlier one.
        for (value, path) in self.found.values.iter_mut().zip(wanted) {
            if path.is_some() {
                *value = None;
            }
        }
        self.walk(scanner, wanted)
    }
}
