//! Gateways that are one.

/// The name of a cluster: 1 to 64 bytes.
pub fn cluster_name(name: &str) -> Result<&str, String> {
    match name.len() {
        0 => Err("the name of a cluster cannot be empty".to_owned()),
        1..=64 => Ok(name),
        bytes => Err(format!(
            "the name of a cluster has at most 64 bytes, and this one has {bytes}"
        )),
    }
}

/// What the names of kept groups begin with: 1 to 512 bytes.
pub fn group_prefix(prefix: &str) -> Result<&str, String> {
    match prefix.len() {
        0 => Err("every name begins with an empty prefix; write `Kept::all()`".to_owned()),
        1..=512 => Ok(prefix),
        bytes => Err(format!(
            "the name of a group has at most 512 bytes, and this prefix has {bytes}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_some_bytes_and_not_many() {
        let longest = "a".repeat(64);
        assert_eq!(cluster_name(&longest), Ok(&*longest));
        assert_eq!(cluster_name("a.b *"), Ok("a.b *"));
        for name in ["", &"é".repeat(33)] {
            assert!(cluster_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_prefix_has_some_bytes_and_not_more_than_a_name() {
        let longest = "a".repeat(512);
        assert_eq!(group_prefix(&longest), Ok(&*longest));
        for prefix in ["", &"é".repeat(257)] {
            assert!(group_prefix(prefix).is_err(), "{prefix}");
        }
    }
}
