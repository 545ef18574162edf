//! Times that a declaration writes down.

use std::time::Duration;

use crate::{fragment::Call, units};

/// The sum of the pauses of a retry, in microseconds.
pub(super) fn pauses(calls: &[Call]) -> Option<u64> {
    let new = calls.first()?;
    if new.name != "new" {
        return None;
    }
    let backoff = calls
        .iter()
        .find(|call| call.owner.as_deref() == Some("Backoff") && !call.is_method)?;
    let mut pause = units::micros(backoff.args.first()?)?;
    let factor = match backoff.name.to_string().as_str() {
        "exponential" => 2,
        "constant" => 1,
        _ => return None,
    };
    let set = |name: &str| {
        calls
            .iter()
            .find(|call| call.is_method && call.name == name)
    };
    let retries = match set("retries") {
        Some(call) => {
            let retries: syn::LitInt = syn::parse2(call.args.first()?.clone()).ok()?;
            retries.base10_parse::<usize>().ok()?
        }
        None => wasabi_rules::RETRIES,
    };
    let longest = match set("max_pause") {
        Some(call) => units::micros(call.args.first()?)?,
        None => micros(wasabi_rules::MAX_PAUSE),
    };
    let mut total = 0u64;
    for _ in 0..retries.min(1000) {
        total = total.saturating_add(pause.min(longest));
        pause = pause.saturating_mul(factor);
    }
    Some(total)
}

/// A default of the runtime, in microseconds.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A number of microseconds in its largest whole unit.
pub(super) fn duration(micros: u64) -> String {
    match micros {
        _ if micros.is_multiple_of(1_000_000) => format!("{}s", micros / 1_000_000),
        _ if micros.is_multiple_of(1000) => format!("{}ms", micros / 1000),
        _ => format!("{micros}us"),
    }
}
