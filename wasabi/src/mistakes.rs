//! Invalid settings, collected until the gateway is checked.

use std::cell::RefCell;
#[cfg(feature = "deflate")]
use std::ops::RangeInclusive;

use wasabi_rules::Zero;

/// The mistakes in the settings of one value, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mistakes(Vec<String>);

impl Mistakes {
    /// Records the mistake, if there is one.
    pub(crate) fn keep<T>(&mut self, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|mistake| self.push(mistake)).ok()
    }

    pub(crate) fn push(&mut self, mistake: String) {
        self.0.push(mistake);
    }

    pub(crate) fn extend(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
    }

    /// Returns the value, and records a mistake unless it is above zero.
    pub(crate) fn above_zero<T: Zero>(&mut self, call: &str, value: T) -> T {
        self.keep(wasabi_rules::above_zero(call, value));
        value
    }

    /// Returns the value, clamped to the range, and records a mistake if it was outside.
    #[cfg(feature = "deflate")]
    pub(crate) fn between(&mut self, call: &str, value: u8, range: RangeInclusive<u8>) -> u8 {
        let (least, most) = (*range.start(), *range.end());
        self.keep(wasabi_rules::between(call, value, range));
        value.clamp(least, most)
    }

    pub(crate) fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// All mistakes in one text.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.0.as_slice() {
            [] => Ok(()),
            mistakes => Err(mistakes.join("; ")),
        }
    }
}

impl From<Vec<String>> for Mistakes {
    fn from(mistakes: Vec<String>) -> Self {
        Self(mistakes)
    }
}

thread_local! {
    /// Mistakes reported by layers, while they are being collected.
    static TOLD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Reports the mistakes of a `tower::Layer`, which has no method to ask for them: the layer calls this when it is
/// applied. Outside of a gateway, in an axum router, nothing collects them, so they are logged.
pub(crate) fn tell(mistakes: &Mistakes) {
    TOLD.with_borrow_mut(|told| {
        for mistake in mistakes.as_slice() {
            let Some(told) = told else {
                tracing::error!("{mistake}");
                continue;
            };
            if !told.contains(mistake) {
                told.push(mistake.clone());
            }
        }
    });
}

/// Collects the mistakes that layers [report](tell()) while `work` applies them.
pub(crate) fn told(work: impl FnOnce()) -> Vec<String> {
    let outer = TOLD.replace(Some(Vec::new()));
    work();
    TOLD.replace(outer).unwrap_or_default()
}
