//! Passwords known only by their Argon2 hashes.

use std::net::IpAddr;

use argon2::{Argon2, PasswordVerifier, password_hash::phc::PasswordHash};
use subtle::Choice;

use super::{
    super::auth::{Denied, Refused},
    login_queue::LoginQueue,
};

/// Verifies passwords on a bounded number of threads. Each verification takes a core, and the memory that its hash
/// requires.
pub(super) struct Hashes {
    /// The hash that a password is verified against if there is no hash for it.
    other: String,
    threads: LoginQueue,
    #[cfg(test)]
    pub(super) verified: std::sync::atomic::AtomicUsize,
}

impl Hashes {
    pub(super) fn new(hash: &str, threads: LoginQueue) -> Result<Self, String> {
        PasswordHash::new(hash).map_err(|error| format!("not an Argon2 hash: {error}"))?;
        Ok(Self {
            other: hash.to_owned(),
            threads,
            #[cfg(test)]
            verified: Default::default(),
        })
    }

    pub(super) async fn verify(
        &self,
        client: Option<IpAddr>,
        hash: Option<&str>,
        password: String,
    ) -> Result<Choice, Refused> {
        let unavailable = Refused::Denied(Denied::Unavailable);
        let thread = self.threads.take(client).await.map_err(|_| unavailable)?;
        #[cfg(test)]
        self.verified
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.other).to_owned();
        let verified = tokio::task::spawn_blocking(move || {
            // Hold the place even if the client no longer waits for the answer.
            let _thread = thread;
            Argon2::default().verify_password(password.as_bytes(), hash.as_str())
        });
        let verified = verified.await.map_err(|_| unavailable)?;
        Ok(Choice::from(u8::from(known && verified.is_ok())))
    }
}
