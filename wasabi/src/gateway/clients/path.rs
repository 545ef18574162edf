//! The pieces of a channel's path.

pub(in crate::gateway) enum Piece<'a> {
    Text(&'a str),
    /// A parameter, and whether it is the rest of the path.
    Parameter(&'a str, bool),
}

pub(in crate::gateway) fn pieces(path: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        pieces.push(Piece::Text(before));
        pieces.push(match name.strip_prefix('*') {
            Some(name) => Piece::Parameter(name, true),
            None => Piece::Parameter(name, false),
        });
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces
}
