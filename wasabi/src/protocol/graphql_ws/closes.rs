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
