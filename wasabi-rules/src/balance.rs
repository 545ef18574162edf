//! Nodes that share requests.

/// What a weight must be.
pub const WEIGHT: &str = "a weight must be a whole number above zero";

/// How many nodes share requests: two or more.
pub fn nodes(count: usize) -> Result<usize, String> {
    match count {
        0 | 1 => Err(format!(
            "`balance` needs at least two nodes, but has {count}; for a single node, write its target itself"
        )),
        _ => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_are_enough() {
        assert_eq!(
            [0, 1, 2].map(|count| nodes(count).is_ok()),
            [false, false, true]
        );
    }
}
