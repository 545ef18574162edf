//! WebSocket close codes (RFC 6455, section 7.4, and the IANA registry).

/// Whether a close frame may carry this code: 1000 to 1003, 1007 to 1014 and 3000 to 4999.
pub const fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// What to write instead of a code that is not [sendable](is_sendable).
pub const SENDABLE: &str =
    "use 1000 to 1003, 1007 to 1014 or 3000 to 4999 (4000 and above are for applications)";

/// The message for a code that is not [sendable](is_sendable).
pub fn not_sendable(code: u64) -> String {
    format!("close code {code} cannot be sent; {SENDABLE}")
}

/// A code that a close frame may carry.
pub fn close_code(code: u64) -> Result<u16, String> {
    match u16::try_from(code) {
        Ok(code) if is_sendable(code) => Ok(code),
        _ => Err(not_sendable(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_be_sent_are_accepted_and_no_others() {
        for code in [1000, 1003, 1007, 1012, 1014, 3000, 4401, 4999] {
            assert_eq!(close_code(u64::from(code)), Ok(code));
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65536] {
            assert!(close_code(code).is_err(), "{code}");
        }
    }
}
