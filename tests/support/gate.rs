//! A gate that holds requests until a test opens it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Semaphore;

/// Counts the requests that run at the same time, and holds them until it is opened.
#[derive(Clone)]
pub struct Gate {
    running: Arc<AtomicUsize>,
    /// One permit lets one request pass.
    pub open: Arc<Semaphore>,
}

impl Gate {
    /// Creates a gate that lets nothing pass.
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

    /// The number of requests that wait.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}
