//! Who the client of a connection is: its identity, how long it is valid, and how it is renewed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Connection, Identity, identity::UserName};

impl Connection {
    /// Closes the connection with 4401 ([`CloseCode::EXPIRED`](crate::CloseCode::EXPIRED)) at this time, as
    /// [`close`](Self::close) does, unless a later call changes the time. `None` means that it does not expire.
    ///
    /// HTTP middleware sets the time from the expiry of an [`Identity`]; [`renew`](Self::renew) changes it.
    pub fn expire_at(&self, time: impl Into<Option<SystemTime>>) {
        self.0.outbox.expire_in(left_until(time.into()));
    }

    /// Who the client is: the identity that [`renew`](Self::renew) gave it last, or the one from the HTTP middleware
    /// that authenticated it. `None` if it has no [`Identity`] of this type.
    pub fn identity<T: Clone + Send + Sync + 'static>(&self) -> Option<Identity<T>> {
        let attached = self.0.attached.get();
        match attached.and_then(|attached| attached.renewed::<Identity<T>>()) {
            Some(renewed) => Some((*renewed).clone()),
            None => self.extensions().get::<Identity<T>>().cloned(),
        }
    }

    /// Gives the client this identity for all requests that arrive from now on, and closes the connection when the
    /// identity expires, as [`expire_at`](Self::expire_at) does.
    ///
    /// [`BearerAuth::refresh`](crate::middleware::http::BearerAuth::refresh) is a ready-made route that verifies a new
    /// token and does this. For other kinds of credentials, write a function that begins the [`renewal`](Self::renewal)
    /// before it awaits anything:
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasabi::{Error, prelude::*};
    ///
    /// # #[derive(Clone)] struct User;
    /// # async fn user_of(ticket: &str) -> Option<User> { None }
    /// async fn refresh(ticket: Text, connection: Connection) -> Result<()> {
    ///     let renewal = connection.renewal();
    ///     let Some(user) = user_of(&ticket).await else {
    ///         return Err(Error::new("unauthorized", "the ticket is not valid"));
    ///     };
    ///     renewal.finish(Identity::new(user).expires_in(Duration::from_secs(3600)));
    ///     Ok(())
    /// }
    /// ```
    pub fn renew<T: Clone + Send + Sync + 'static>(&self, identity: Identity<T>) {
        self.renewal().finish(identity);
    }

    /// Begins a renewal, to be finished once the new identity is known.
    ///
    /// A slow verification must not overwrite credentials that the client sent later and that were verified faster. So
    /// a renewal takes effect only if no renewal that began after it has finished.
    #[must_use = "a renewal takes effect when `finish` gives it an identity"]
    pub fn renewal(&self) -> Renewal {
        Renewal {
            place: self.0.attached().place(),
            connection: self.clone(),
        }
    }

    /// The client's name for the log: the [name](Identity::named) of the identity it was last renewed to, or else of
    /// the one from HTTP middleware. `None` if it has no identity, or one without a name.
    pub fn user(&self) -> Option<Arc<str>> {
        let attached = self.0.attached.get();
        match attached.and_then(|attached| attached.user()) {
            Some(renewed) => renewed,
            None => self
                .extensions()
                .get()
                .map(|UserName(name)| Arc::clone(name)),
        }
    }
}

/// A verification of new credentials in progress, begun by [`Connection::renewal`].
#[derive(Debug)]
pub struct Renewal {
    place: u64,
    connection: Connection,
}

impl Renewal {
    /// Gives the client this identity, as [`Connection::renew`] does. Returns `false` and changes nothing if a renewal
    /// that began later has already given the client an identity of this type.
    pub fn finish<T: Clone + Send + Sync + 'static>(self, identity: Identity<T>) -> bool {
        let connection = &self.connection.0;
        let left = left_until(identity.expiry());
        let user = identity.name().cloned();
        let expire = || connection.outbox.expire_in(left);
        connection
            .attached()
            .renew(self.place, identity, user, expire)
    }
}

/// Zero for a time in the past.
fn left_until(time: Option<SystemTime>) -> Option<Duration> {
    Some(time?.duration_since(SystemTime::now()).unwrap_or_default())
}
