//! The closes of the protocol.

use crate::{Close, CloseCode, RequestId};

pub(super) fn invalid(why: impl AsRef<str>) -> Close {
    let reason = format!("Invalid message: {}", why.as_ref());
    Close::new(CloseCode::new::<4400>(), reason)
}

pub(super) fn unauthorized() -> Close {
    Close::new(CloseCode::new::<4401>(), "Unauthorized")
}

pub(super) fn forbidden() -> Close {
    Close::new(CloseCode::new::<4403>(), "Forbidden")
}

pub(super) fn late() -> Close {
    let reason = "Connection initialisation timeout";
    Close::new(CloseCode::new::<4408>(), reason)
}

pub(super) fn exists(id: &RequestId) -> Close {
    let reason = format!("Subscriber for {id} already exists");
    Close::new(CloseCode::new::<4409>(), reason)
}

pub(super) fn begun_twice() -> Close {
    let reason = "Too many initialisation requests";
    Close::new(CloseCode::new::<4429>(), reason)
}

pub(super) fn failed() -> Close {
    Close::new(CloseCode::new::<4500>(), "Internal server error")
}

/// The codes of the protocol, and why. A function that acknowledges clients may fail.
#[cfg(feature = "schema")]
pub(super) fn all(has_function: bool) -> Vec<(u16, &'static str)> {
    let mut all = vec![
        (4400, "A message is not one of the protocol."),
        (4401, "An operation came before `connection_ack`."),
        (4408, "`connection_init` did not come in time."),
        (4409, "An operation has the id of another in flight."),
        (4429, "`connection_init` came twice."),
    ];
    if has_function {
        all.push((4500, "The gateway could not decide about the client."));
    }
    all
}
