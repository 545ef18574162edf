//! Values that belong to a connection.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex},
};

use http::Extensions;

use crate::{log::limited, panics::caught, sync::Unpoisoned};

/// A value per connection. HTTP middleware makes it from the handshake; it is freed once the connection has ended and
/// `on_disconnect` has run, even if handles to the connection are kept longer.
///
/// [`Stash::new`] is the middleware; as an extractor, a `Stash` derefs to the value. Concurrent requests of a
/// connection share the value, so keep mutable parts in an atomic or a `Mutex`. Hooks get it with
/// [`Connection::stash`](crate::Connection::stash).
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use wasabi::{middleware::http::Stash, prelude::*};
///
/// #[derive(Default)]
/// struct Visits(AtomicU64);
///
/// async fn count(visits: Stash<Visits>) -> String {
///     format!("message {}", visits.0.fetch_add(1, Ordering::Relaxed) + 1)
/// }
///
/// let gateway = gateway!(channel("/", http = [Stash::new(|_| Visits::default())], count));
/// # drop(gateway);
/// ```
pub struct Stash<T>(Arc<T>);

impl<T: Send + Sync + 'static> Stash<T> {
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Slot<T>>()?.value().map(Self)
    }
}

impl<T> Deref for Stash<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Stash<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Stash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stash").field(&self.0).finish()
    }
}

/// The value of one connection, until the connection has ended.
struct Slot<T>(Arc<Mutex<Option<Arc<T>>>>);

impl<T> Slot<T> {
    fn value(&self) -> Option<Arc<T>> {
        let value = self.0.lock().unpoisoned();
        value.clone()
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

trait Free: Send + Sync {
    fn free(&self);
}

impl<T: Send + Sync> Free for Slot<T> {
    fn free(&self) {
        let value = self.0.lock().unpoisoned().take();
        // Dropped after unlocking: the destructor is the user's.
        if caught(|| drop(value)).is_err() {
            limited!(ERROR, "the destructor of a stashed value panicked");
        }
    }
}

/// All slots of a connection.
#[derive(Clone, Default)]
struct Slots(Vec<Arc<dyn Free>>);

/// Frees what a connection has stashed.
pub(crate) fn free(extensions: &Extensions) {
    for slot in extensions.get::<Slots>().iter().flat_map(|slots| &slots.0) {
        slot.free();
    }
}

/// Makes a value the [`Stash`] of a connection that is being opened.
pub(crate) fn put<T: Send + Sync + 'static>(extensions: &mut Extensions, value: T) {
    let slot = keep(extensions, value);
    extensions.insert(slot);
}

fn keep<T: Send + Sync + 'static>(extensions: &mut Extensions, value: T) -> Slot<T> {
    let slot = Slot(Arc::new(Mutex::new(Some(Arc::new(value)))));
    let slots = extensions.get_or_insert_default::<Slots>();
    slots.0.push(Arc::new(slot.clone()));
    slot
}

/// Keeps a value until the connection that is being opened has ended.
#[cfg(feature = "rate-limit")]
pub(crate) fn until_end<T: Send + Sync + 'static>(extensions: &mut Extensions, value: T) {
    keep(extensions, value);
}
