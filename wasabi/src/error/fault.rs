//! Decides whose fault an error is, and whether its request may be sent again. Nothing else decides that.

use http::StatusCode;

use super::Error;
use crate::Close;

/// Whose fault an [`Error`] is, by [`Error::fault`].
///
/// Breakers and balanced groups count only the upstream's faults: a client's invalid requests must not take the
/// upstream away from other clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The fault of the request or its client: other requests may succeed.
    Request,
    /// The fault of the upstream: it cannot be reached, breaks off, takes too long, answers with a status from 500 to
    /// 599, asks for a pause (429 with `Retry-After`), closes with 1001, 1005, 1006 or 1011 to 1014, or breaks its
    /// protocol. An open circuit breaker counts as this too.
    Upstream,
    /// The fault of the gateway or of the code in it.
    Gateway,
}

/// Whether a request that ended with an [`Error`] may be sent again, by [`Error::resend`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resend {
    /// Nothing has processed the request: it is safe to send it again, whatever it does.
    Safe,
    /// The request may have been carried out. Do not send it again if it must not run twice.
    MayRepeat,
    /// Another attempt would fail in the same way.
    Pointless,
}

impl Fault {
    /// `request`, `upstream` or `gateway`: for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

impl Error {
    /// Whose fault this is.
    ///
    /// ```
    /// use wasabi::{Error, Fault, StatusCode};
    ///
    /// let refused = Error::upstream_status(StatusCode::UNAUTHORIZED);
    /// assert_eq!(refused.fault(), Fault::Request);
    /// let broken = Error::upstream_status(StatusCode::BAD_GATEWAY);
    /// assert_eq!(broken.fault(), Fault::Upstream);
    /// ```
    pub fn fault(&self) -> Fault {
        self.verdict().0
    }

    /// Whether the request may be sent again.
    pub fn resend(&self) -> Resend {
        self.verdict().1
    }

    /// Whether this failure of the upstream may be gone the next time: its [`fault`](Self::fault) is the upstream's,
    /// and [sending the request again](Self::resend) is not pointless.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.verdict(),
            (Fault::Upstream, Resend::Safe | Resend::MayRepeat)
        )
    }

    fn verdict(&self) -> (Fault, Resend) {
        use Fault::{Gateway, Request, Upstream};
        use Resend::{MayRepeat, Pointless, Safe};
        match self {
            Self::BadRequest(_)
            | Self::Unreadable(_)
            | Self::NoKey(_)
            | Self::InvalidParams(_)
            | Self::NoRoute
            | Self::Application { .. } => (Request, Pointless),
            Self::RateLimited { .. } => (Request, Safe),
            Self::Cancelled => (Request, MayRepeat),
            Self::Overloaded | Self::Closing => (Gateway, Safe),
            Self::Interrupted | Self::Internal(_) => (Gateway, MayRepeat),
            // An immediate retry would be refused too.
            Self::BreakerOpen => (Upstream, Pointless),
            Self::TimedOut(_) | Self::UpstreamLost(_) => (Upstream, MayRepeat),
            Self::UpstreamUnreachable(_) => (Upstream, Safe),
            Self::UpstreamStatus {
                status,
                retry_after,
                seen,
            } => {
                let wants_a_pause =
                    *status == StatusCode::TOO_MANY_REQUESTS && retry_after.is_some();
                match (status.is_server_error() || wants_a_pause, seen) {
                    (true, true) => (Upstream, MayRepeat),
                    (true, false) => (Upstream, Safe),
                    (false, _) => (Request, Pointless),
                }
            }
            Self::UpstreamClosed(close) if is_about_the_upstream(close) => (Upstream, MayRepeat),
            Self::UpstreamClosed(_) => (Request, MayRepeat),
            Self::UpstreamInvalid(_) => (Upstream, Pointless),
            Self::UpstreamUnfit(_) => (Request, Pointless),
        }
    }
}

/// Whether a request whose error has this code may have been carried out, where only the code is known: what [`Error`]
/// says of its codes. Those of applications say it themselves.
#[cfg(any(feature = "client", test))]
pub(crate) fn may_have_been_carried_out(code: &str) -> bool {
    matches!(
        code,
        "interrupted"
            | "cancelled"
            | "timed_out"
            | "upstream_lost"
            | "upstream_status"
            | "upstream_invalid"
            | "internal"
    )
}

/// Whether a close is about the upstream, not about one client: the upstream goes away, restarts, is too busy, fails,
/// or gives no code.
fn is_about_the_upstream(close: &Close) -> bool {
    matches!(close.code.as_u16(), 1001 | 1005 | 1006 | 1011..=1014)
}

/// Whether the outcome shows that the upstream fails (`true`) or works (`false`); `None` if neither.
pub(crate) fn upstream_failed<T>(outcome: &Result<T, Error>) -> Option<bool> {
    match outcome {
        Ok(_) => Some(false),
        Err(error) if error.fault() == Fault::Upstream => Some(true),
        // The upstream has answered, so it works, even if it refuses this client.
        Err(Error::UpstreamStatus { .. } | Error::Application { .. }) => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{CloseCode, Reply};

    fn status(code: u16) -> Error {
        Error::upstream_status(StatusCode::from_u16(code).expect("a status"))
    }

    fn refused(code: u16, retry_after: Option<Duration>) -> Error {
        Error::UpstreamStatus {
            status: StatusCode::from_u16(code).expect("a status"),
            retry_after,
            seen: false,
        }
    }

    fn closed(code: u16) -> Error {
        let code = CloseCode::try_from(code).expect("a code");
        Error::UpstreamClosed(Close::new(code, ""))
    }

    // Long: one row for each error.
    #[test]
    fn every_error_has_a_fault_and_says_whether_to_resend() {
        use Fault::{Gateway, Request, Upstream};
        use Resend::{MayRepeat, Pointless, Safe};
        let second = Some(Duration::from_secs(1));
        for (error, fault, resend, failed) in [
            (Error::bad_request("no"), Request, Pointless, None),
            (Error::NoRoute, Request, Pointless, None),
            (Error::new("busy", "mine"), Request, Pointless, Some(false)),
            (
                Error::RateLimited { retry_after: None },
                Request,
                Safe,
                None,
            ),
            (Error::Overloaded, Gateway, Safe, None),
            (Error::Closing, Gateway, Safe, None),
            (Error::Interrupted, Gateway, MayRepeat, None),
            (Error::Cancelled, Request, MayRepeat, None),
            (Error::internal("panic"), Gateway, MayRepeat, None),
            (Error::BreakerOpen, Upstream, Pointless, Some(true)),
            (
                Error::TimedOut(Duration::ZERO),
                Upstream,
                MayRepeat,
                Some(true),
            ),
            (
                Error::UpstreamLost("reset".into()),
                Upstream,
                MayRepeat,
                Some(true),
            ),
            (
                Error::UpstreamUnreachable("no".into()),
                Upstream,
                Safe,
                Some(true),
            ),
            (status(500), Upstream, MayRepeat, Some(true)),
            (status(503), Upstream, MayRepeat, Some(true)),
            (status(401), Request, Pointless, Some(false)),
            (status(404), Request, Pointless, Some(false)),
            (status(429), Request, Pointless, Some(false)),
            (status(302), Request, Pointless, Some(false)),
            (refused(401, None), Request, Pointless, Some(false)),
            (refused(503, None), Upstream, Safe, Some(true)),
            (refused(429, second), Upstream, Safe, Some(true)),
            (closed(1008), Request, MayRepeat, None),
            (closed(4401), Request, MayRepeat, None),
            (closed(1000), Request, MayRepeat, None),
            (closed(1012), Upstream, MayRepeat, Some(true)),
            (
                Error::UpstreamInvalid("no HTTP".into()),
                Upstream,
                Pointless,
                Some(true),
            ),
            (
                Error::UpstreamUnfit("too large".into()),
                Request,
                Pointless,
                None,
            ),
        ] {
            assert_eq!(
                (error.fault(), error.resend()),
                (fault, resend),
                "{error:?}"
            );
            // The code alone does not tell a refused handshake from another status.
            if (error.code(), resend) != ("upstream_status", Safe) && resend != Pointless {
                let may = may_have_been_carried_out(error.code());
                assert_eq!(may, resend == MayRepeat, "{error:?}");
            }
            let outcome: Result<Reply, _> = Err(error);
            assert_eq!(upstream_failed(&outcome), failed, "{outcome:?}");
        }
        assert_eq!(upstream_failed(&Ok(Reply::none())), Some(false));
    }
}
