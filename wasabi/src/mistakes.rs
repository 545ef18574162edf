//! What is wrong with settings, collected until the gateway is checked.

use std::cell::RefCell;
#[cfg(feature = "deflate")]
use std::ops::RangeInclusive;

use wasabi_rules::Zero;

/// The mistakes in the settings of one value, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mistakes(Vec<String>);

impl Mistakes {
    /// Keeps the mistake, if this is one.
    pub(crate) fn keep<T>(&mut self, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|mistake| self.push(mistake)).ok()
    }

    pub(crate) fn push(&mut self, mistake: String) {
        self.0.push(mistake);
    }

    pub(crate) fn extend(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
    }

    /// The value, which is above zero or a mistake.
    pub(crate) fn above_zero<T: Zero>(&mut self, call: &str, value: T) -> T {
        self.keep(wasabi_rules::above_zero(call, value));
        value
    }

    /// The value, which is within the range or a mistake; then the nearest one.
    #[cfg(feature = "deflate")]
    pub(crate) fn between(&mut self, call: &str, value: u8, range: RangeInclusive<u8>) -> u8 {
        let (least, most) = (*range.start(), *range.end());
        self.keep(wasabi_rules::between(call, value, range));
        value.clamp(least, most)
    }

    pub(crate) fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// All of them in one text.
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
    /// What layers have told, while they are listened to.
    static TOLD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Tells the mistakes of a `tower::Layer`, which has no room for a question: it calls this when it is put around
/// something. Outside of a gateway, in a router of axum, nobody asks: then they are logged.
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

/// What the layers [tell](tell()) that `work` puts around something.
pub(crate) fn told(work: impl FnOnce()) -> Vec<String> {
    let outer = TOLD.replace(Some(Vec::new()));
    work();
    TOLD.replace(outer).unwrap_or_default()
}
