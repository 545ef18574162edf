//! A place where requests wait until a test lets them go on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Semaphore;

/// Counts how many requests run at the same time and holds them until it is told otherwise.
#[derive(Clone)]
pub struct Gate {
    running: Arc<AtomicUsize>,
    /// What lets requests pass, one for each permit.
    pub open: Arc<Semaphore>,
}

impl Gate {
    /// Lets nobody pass.
    pub fn closed() -> Self {
        Self {
            running: Arc::default(),
            open: Arc::new(Semaphore::new(0)),
        }
    }

    /// Waits for a permit.
    pub async fn pass(&self) {
        struct Running<'a>(&'a AtomicUsize);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.running.fetch_add(1, Ordering::SeqCst);
        let _running = Running(&self.running);
        self.open.acquire().await.expect("never closed").forget();
    }

    /// How many requests wait.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}
