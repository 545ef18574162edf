//! The remaining allowance of each client for a rate.

use std::{hash::RandomState, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
};

use super::Client;

use crate::middleware::full_at::FullAt;

/// A number of permits per second for each client, which may be used in one burst.
pub(super) struct Rate(
    RateLimiter<
        Client,
        FullAt<Client, RandomState>,
        MonotonicClock,
        NoOpMiddleware<std::time::Instant>,
    >,
);

impl Rate {
    pub(super) fn per_second(number: NonZeroU32, max_clients: usize) -> Self {
        let full_at = FullAt::new(max_clients);
        Self(RateLimiter::new(
            Quota::per_second(number),
            full_at,
            MonotonicClock,
        ))
    }

    /// Takes one permit of this client; otherwise returns how long to wait.
    pub(super) fn take(&self, client: Client) -> Result<(), Duration> {
        let taken = self.0.check_key(&client);
        taken.map_err(|until| until.wait_time_from(self.0.clock().now()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn client(number: u32) -> Client {
        Some(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn the_number_of_remembered_clients_is_bounded() {
        let rate = Rate::per_second(NonZeroU32::new(100).expect("more than none"), 160);
        for number in 0..10_000 {
            assert_eq!(rate.take(client(number)), Ok(()));
        }
        assert!(rate.0.into_state_store().len() <= 160);
    }

    #[test]
    fn a_refusal_says_how_long_to_wait() {
        let rate = Rate::per_second(NonZeroU32::new(1).expect("more than none"), 16);
        assert_eq!(rate.take(client(1)), Ok(()));
        let wait = rate.take(client(1)).expect_err("a second");
        assert!(wait <= Duration::from_secs(1) && wait > Duration::from_millis(500));
        assert_eq!(rate.take(client(2)), Ok(()));
    }
}
