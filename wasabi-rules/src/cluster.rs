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
}
