//! What is a mistake of a path type is what axum's `Path` refuses for every client.

use std::{
    any::type_name,
    collections::{BTreeMap, HashMap},
};

use axum::{Router, body::Body, extract::Path, http::Request, routing::get};
use serde::{Deserialize, de::DeserializeOwned};
use tower::ServiceExt;

use super::mistake;

#[derive(Deserialize)]
#[allow(dead_code)]
struct Room {
    tenant: String,
    number: Option<u32>,
    #[serde(default)]
    lang: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Strict {
    tenant: bool,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Flat {
    #[serde(flatten)]
    room: Room,
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Odd,
    Even,
}

#[derive(Deserialize)]
#[serde(untagged)]
#[allow(dead_code)]
enum Either {
    Kind { kind: Kind },
    Tenant { tenant: String },
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Point(u8, i64);

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
#[allow(dead_code)]
struct Id(u64);

#[derive(Deserialize)]
struct Unit;

const VALUES: [&str; 4] = ["1", "true", "odd", "tenant"];

const PATHS: [&[&str]; 8] = [
    &[],
    &["a"],
    &["tenant"],
    &["kind"],
    &["tenant", "number"],
    &["id", "tenant"],
    &["a", "b"],
    &["a", "b", "c"],
];

/// Whether axum reads the type from a request with any of the values.
async fn is_ever_read<T: DeserializeOwned + Send + 'static>(parameters: &[&str]) -> bool {
    let pattern: String = parameters
        .iter()
        .map(|name| format!("/{{{name}}}"))
        .collect();
    let router = Router::new().route(&format!("/v{pattern}"), get(|_: Path<T>| async {}));
    for guess in 0..VALUES.len().pow(parameters.len() as u32) {
        let value = |at| VALUES[guess / VALUES.len().pow(at) % VALUES.len()];
        let path: String = (0..parameters.len() as u32)
            .map(|at| format!("/{}", value(at)))
            .collect();
        let request = Request::get(format!("/v{path}"))
            .body(Body::empty())
            .expect("a request");
        let answer = router.clone().oneshot(request).await.expect("an answer");
        if answer.status().is_success() {
            return true;
        }
    }
    false
}

/// Compares the two for each path. Without `is_exact` a type that axum never reads need not be a mistake.
async fn compare<T: DeserializeOwned + Send + 'static>(is_exact: bool) {
    for names in PATHS {
        let parameters: Vec<_> = names.iter().map(|name| (*name, None)).collect();
        let mistake = mistake::<T>(&parameters);
        let is_read = is_ever_read::<T>(names).await;
        let agrees = match mistake {
            Some(_) => !is_read,
            None => is_read || !is_exact,
        };
        assert!(
            agrees,
            "`Path<{}>` on {names:?}: {mistake:?}",
            type_name::<T>()
        );
    }
}

#[tokio::test]
async fn a_type_is_a_mistake_where_axum_refuses_every_value() {
    macro_rules! compare {
        ($($type:ty),* $(,)?) => { $(compare::<$type>(true).await;)* };
    }
    compare!(
        (),
        Unit,
        String,
        Box<str>,
        char,
        bool,
        u8,
        i128,
        f32,
        Id,
        Kind,
        Option<String>,
        Option<u8>,
        (String,),
        (String, bool),
        (Kind, u8, String),
        Point,
        [u8; 2],
        [String; 3],
        Vec<String>,
        Vec<u8>,
        Vec<(String, String)>,
        Vec<(String, Kind)>,
        Vec<(Name, String)>,
        HashMap<String, String>,
        BTreeMap<String, u8>,
        BTreeMap<Name, String>,
        BTreeMap<Id, String>,
        Room,
        Strict,
        Flat,
        (Room, String),
        (Option<String>, String),
        (Vec<String>, String),
        serde_json::Value,
    );
    // Whether some text is one of these, nobody can know.
    compare::<Either>(false).await;
}

/// The names of two parameters.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum Name {
    A,
    Tenant,
}
