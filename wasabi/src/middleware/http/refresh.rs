//! A route that accepts new tokens.

use std::{fmt, future::Future, sync::Arc};

use super::{
    auth::{Denied, Verdict},
    bearer_auth::BearerAuth,
};
use crate::{
    Backend, Close, CloseCode, Error, IntoReply, Reply, Request, Result, connection::Identity,
    log::said,
};

/// The target of a route on which a client sends a new token before the old one expires, created by
/// [`BearerAuth::refresh`].
///
/// The token goes to the same function as at the handshake. A valid token replaces the connection's [`Identity`], for
/// later requests, and its expiry. An invalid one is answered `unauthorized`, and the connection is then closed with
/// 4401. If the token cannot be verified at the moment ([`Denied::Unavailable`]), the answer is `unavailable` and
/// nothing changes; nor does anything change if the message has no token. The old token can expire while the function
/// works, so a client should send the new one some seconds early.
///
/// If a client sends two tokens, the later one counts, whichever is verified first. The other, if it is valid too, is
/// answered `superseded`.
pub struct Refresh<V, F, I, A = fn(&Request, &Identity<I>)> {
    auth: BearerAuth<V>,
    token: F,
    same: Same<I>,
    answer: A,
}

type Same<I> = Arc<dyn Fn(&I, &I) -> bool + Send + Sync>;

impl<V> BearerAuth<V> {
    /// Creates the target of a route on which clients send new tokens, so that they stay connected when the old one
    /// expires. `token` extracts the token from a request. [`Refresh`] describes what happens then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasabi::{Error, prelude::*};
    ///
    /// # #[derive(Clone)]
    /// # struct User { name: String }
    /// # async fn verify(token: String) -> Option<Identity<User>> { None }
    /// #[derive(serde::Deserialize)]
    /// struct NewToken {
    ///     token: String,
    /// }
    ///
    /// fn new_token(req: &Request) -> Result<String> {
    ///     match serde_json::from_slice::<NewToken>(req.message().as_bytes()) {
    ///         Ok(message) => Ok(message.token),
    ///         Err(error) => Err(Error::bad_request(error.to_string())),
    ///     }
    /// }
    ///
    /// let auth = BearerAuth::new(verify);
    /// let refresh = auth
    ///     .refresh(new_token)
    ///     .same(|old, new| old.name == new.name)
    ///     .reply(|_, _| r#"{"action":"refreshed"}"#);
    /// let gateway = gateway!(channel(
    ///     "/",
    ///     http = [auth],
    ///     parser = JsonKey::at("/action"),
    ///     match key {
    ///         "refresh" => refresh,
    ///         _ => async |user: Identity<User>| user.into_inner().name,
    ///     },
    /// ));
    /// # drop(gateway);
    /// ```
    pub fn refresh<F, Fut>(&self, token: F) -> Refresh<V, F, <Fut::Output as Verdict>::Identity>
    where
        V: Fn(String) -> Fut,
        Fut: Future<Output: Verdict>,
        F: Fn(&Request) -> Result<String> + Send + Sync,
    {
        Refresh {
            auth: self.clone(),
            token,
            same: Arc::new(|_, _| true),
            answer: |_, _| {},
        }
    }
}

impl<V, F, I, A> Refresh<V, F, I, A> {
    /// Checks with this function whether the old and the new identity are the same client; if not, the token is
    /// invalid. Without it, a client may become another one, and stay in whatever groups it has joined.
    #[must_use]
    pub fn same(mut self, same: impl Fn(&I, &I) -> bool + Send + Sync + 'static) -> Self {
        self.same = Arc::new(same);
        self
    }

    /// Answers a valid token with the result of this function; with nothing by default.
    #[must_use]
    pub fn reply<R, B>(self, answer: B) -> Refresh<V, F, I, B>
    where
        B: Fn(&Request, &Identity<I>) -> R + Send + Sync,
        R: IntoReply,
    {
        Refresh {
            auth: self.auth,
            token: self.token,
            same: self.same,
            answer,
        }
    }
}

impl<S, V, Fut, F, I, A, R> Backend<S> for Refresh<V, F, I, A>
where
    S: Sync,
    V: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Verdict<Identity = I>> + Send,
    F: Fn(&Request) -> Result<String> + Send + Sync,
    I: Clone + Send + Sync + 'static,
    A: Fn(&Request, &Identity<I>) -> R + Send + Sync,
    R: IntoReply,
{
    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        // The function that finds the token fails with errors of its own.
        let codes = crate::schema::Codes::of(&["superseded", "unauthorized", "unavailable"]);
        let mut answers = crate::schema::Answers::unknown::<Self>(codes.or_others());
        answers.output = R::output(None).0;
        to.answers(answers);
    }

    async fn call(&self, req: Request, _state: &S) -> Result<Reply> {
        let connection = req.connection();
        let renewal = connection.renewal();
        let token = (self.token)(&req)?;
        let verdict = self.auth.verify(token).await.into_result();
        let verdict = verdict.and_then(|new| match connection.identity::<I>() {
            Some(old) if !(self.same)(&old, &new) => Err(Denied::Invalid),
            _ => Ok(new),
        });
        match verdict {
            Ok(identity) if renewal.finish(identity.clone()) => {
                (self.answer)(&req, &identity).into_reply()
            }
            Ok(_) => Err(Error::new("superseded", "a newer token is already in use")),
            Err(Denied::Unavailable) => {
                let message = "credentials cannot be verified at the moment";
                Err(Error::new("unavailable", message))
            }
            Err(denied) => {
                tracing::debug!(connection = %connection.id(), denied = %said(&denied), "token refused");
                // Bypass the interceptor, which might hold the close back.
                let close = Close::new(CloseCode::EXPIRED, denied.to_string());
                connection.outbox().close(close);
                Err(Error::new("unauthorized", denied.to_string()))
            }
        }
    }
}

impl<V, F, I, A> fmt::Debug for Refresh<V, F, I, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresh")
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}
