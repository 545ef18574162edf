//! Routing by the normal form of a request's path.

use std::{borrow::Cow, mem::take};

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{StatusCode, Uri, uri::PathAndQuery};
use wasabi_rules::{declared_path, normal_path};
/// Whether a declared path has this parameter; `true` for a malformed path, which is reported elsewhere.
pub(crate) fn has_parameter(path: &str, name: &str) -> bool {
    declared_path(path).map_or(true, |names| names.iter().any(|other| other == name))
}

/// Replaces the path of a URI with its normal form.
pub(crate) fn normalise(uri: &mut Uri) -> Result<(), &'static str> {
    let Cow::Owned(mut path) = normal_path(uri.path())? else {
        return Ok(());
    };
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let path = PathAndQuery::try_from(path).map_err(|_| "the path is too long")?;
    let mut parts = take(uri).into_parts();
    parts.path_and_query = Some(path);
    *uri = Uri::from_parts(parts).map_err(|_| "the path is invalid")?;
    Ok(())
}

/// Refuses requests whose path is not in normal form, where routing has already happened.
pub(super) async fn only_normal(req: Request, next: Next) -> Response {
    match normal_path(req.uri().path()) {
        Ok(Cow::Borrowed(_)) => next.run(req).await,
        Ok(Cow::Owned(_)) => refusal("the path is not normalized"),
        Err(why) => refusal(why),
    }
}

pub(crate) fn refusal(why: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, why).into_response()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_query_stays_as_it_is() {
        let mut uri: Uri = "http://a/%61?b=%61//..".parse().expect("a URI");
        normalise(&mut uri).expect("a path");
        assert_eq!(uri, "http://a/a?b=%61//..");
    }

    #[test]
    fn declared_paths_are_their_own_normal_form_or_a_mistake() {
        for path in ["/", "/a-{b}/", "/{*rest}", "/caf%C3%A9"] {
            assert!(wasabi_rules::declared_path(path).is_ok(), "{path}");
            assert_eq!(normal_path(path).as_deref(), Ok(path));
        }
        for path in [
            "/%61",
            "/caf%c3%a9",
            "/caf\u{e9}",
            "/a//{b}",
            "/../{b}",
            "/a%2Fb",
        ] {
            assert!(wasabi_rules::declared_path(path).is_err(), "{path}");
            assert_ne!(normal_path(path).as_deref(), Ok(path));
        }
    }

    proptest! {
        #[test]
        fn the_normal_form_of_a_path_is_its_own_normal_form(path in "/[a-c./%2561eF;\\\\{é]{0,12}") {
            if let Ok(normalised) = normal_path(&path) {
                let again = normal_path(&normalised);
                prop_assert_eq!(again.as_deref(), Ok(&*normalised));
            }
        }
    }
}
