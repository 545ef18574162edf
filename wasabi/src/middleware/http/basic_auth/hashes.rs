//! Passwords that are known by their Argon2 hashes only.

use std::sync::Arc;

use argon2::{Argon2, PasswordVerifier, password_hash::phc::PasswordHash};
use subtle::Choice;
use tokio::sync::Semaphore;

use super::super::auth::{Denied, Refused};

/// Verifies passwords, on as many threads as there are cores: each takes the memory that its hash asks for.
pub(super) struct Hashes {
    /// What a password is verified against when there is no hash for it.
    other: String,
    threads: Arc<Semaphore>,
    #[cfg(test)]
    pub(super) verified: std::sync::atomic::AtomicUsize,
}

impl Hashes {
    pub(super) fn new(hash: &str) -> Result<Self, String> {
        PasswordHash::new(hash).map_err(|error| format!("not an Argon2 hash: {error}"))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            other: hash.to_owned(),
            threads: Arc::new(Semaphore::new(cores)),
            #[cfg(test)]
            verified: Default::default(),
        })
    }

    pub(super) async fn verify(
        &self,
        hash: Option<&str>,
        password: String,
    ) -> Result<Choice, Refused> {
        let unavailable = Refused::Denied(Denied::Unavailable);
        let threads = Arc::clone(&self.threads);
        let thread = threads.acquire_owned().await.map_err(|_| unavailable)?;
        #[cfg(test)]
        self.verified
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.other).to_owned();
        let verified = tokio::task::spawn_blocking(move || {
            // Kept also when nobody waits for the answer any more.
            let _thread = thread;
            Argon2::default().verify_password(password.as_bytes(), hash.as_str())
        });
        let verified = verified.await.map_err(|_| unavailable)?;
        Ok(Choice::from(u8::from(known && verified.is_ok())))
    }
}
