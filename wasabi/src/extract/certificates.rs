//! The client's certificates as an extractor.

use axum::extract::FromRequestParts;
use http::{StatusCode, request::Parts};

use crate::{
    Connection, Error, FromConnection, FromRequest, PeerCertificates, Request, Result,
    extract::also_when_ended, log::limited,
};

const NONE: &str = "this needs a client certificate";

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for PeerCertificates {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        of(req.connection())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Identity, &["unauthorized"])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromConnection<S> for PeerCertificates {
    async fn from_connection(connection: &Connection, _state: &S) -> Result<Self> {
        of(connection)
    }
}

also_when_ended! {
    [] PeerCertificates;
}

fn of(connection: &Connection) -> Result<PeerCertificates> {
    let certificates = connection.extensions().get::<PeerCertificates>();
    certificates
        .cloned()
        .ok_or_else(|| Error::new("unauthorized", NONE))
}

impl<S: Sync> FromRequestParts<S> for PeerCertificates {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let certificates = parts.extensions.get::<Self>();
        certificates.cloned().ok_or_else(|| {
            limited!(
                INFO,
                path = parts.uri.path(),
                "request refused: no client certificate"
            );
            (StatusCode::FORBIDDEN, NONE)
        })
    }
}
