//! What a client and a gateway said to each other, as lines of JSON.

use std::{env, fmt, fs, io, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, Uri};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{Close, Message};

/// What a client and a gateway said to each other: one JSON object per line.
///
/// The first line is the handshake, the others are messages and the close frames of both:
///
/// ```json
/// {"ms":0,"to":"gateway","open":"/v1?token=***","headers":{"authorization":"***","host":"gateway.test"}}
/// {"ms":0,"to":"gateway","json":{"do":"greet","id":1}}
/// {"ms":250,"to":"client","json":{"id":1,"hello":"Ada"}}
/// {"ms":250,"to":"client","text":"not JSON"}
/// {"ms":250,"to":"client","base64":"AAEC"}
/// {"ms":300,"to":"client","close":1000,"reason":"bye"}
/// ```
///
/// `ms` are milliseconds of tokio's clock since the handshake: exact if the clock is paused. Secrets are replaced with
/// `***`: all values of the headers `authorization`, `proxy-authorization` and `cookie`, subprotocols that begin with
/// `bearer.`, and parameters of the query and members of JSON objects whose names contain `token`, `password`, `secret`,
/// `api_key` or `authorization`.
#[derive(Debug, Clone)]
pub struct Transcript {
    began: Instant,
    lines: Vec<Value>,
}

/// The side that receives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Gateway,
    Client,
}

/// In place of a secret.
const HIDDEN: &str = "***";

/// Set to write golden files instead of comparing with them.
const UPDATE: &str = "UPDATE";

impl Transcript {
    pub(super) fn opened(uri: &Uri, headers: &HeaderMap) -> Self {
        let mut shown = Map::new();
        for (name, value) in headers {
            // What every handshake has, or has anew each time.
            let is_usual = [
                "connection",
                "upgrade",
                "sec-websocket-version",
                "sec-websocket-key",
            ];
            if is_usual.contains(&name.as_str()) {
                continue;
            }
            let value = String::from_utf8_lossy(value.as_bytes());
            let value = match name.as_str() {
                "authorization" | "proxy-authorization" | "cookie" => HIDDEN.into(),
                "sec-websocket-protocol" => {
                    let offers = value.split(',').map(str::trim);
                    let shown = offers.map(|offer| match offer.starts_with("bearer.") {
                        true => HIDDEN,
                        false => offer,
                    });
                    Vec::from_iter(shown).join(", ").into()
                }
                name if is_secret(name) => HIDDEN.into(),
                _ => value,
            };
            match shown.get_mut(name.as_str()) {
                Some(Value::String(all)) => *all += &format!(", {value}"),
                _ => drop(shown.insert(name.as_str().to_owned(), json!(value))),
            }
        }
        let mut opened = Self {
            began: Instant::now(),
            lines: Vec::new(),
        };
        opened.line(
            Side::Gateway,
            [("open", json!(shown_uri(uri))), ("headers", shown.into())],
        );
        opened
    }

    pub(super) fn add(&mut self, to: Side, message: &Message) {
        let said = match message {
            Message::Text(text) => match serde_json::from_str::<Value>(text) {
                Ok(mut json @ (Value::Object(_) | Value::Array(_))) => {
                    hide(&mut json);
                    ("json", json)
                }
                _ => ("text", json!(text.as_str())),
            },
            Message::Binary(data) => ("base64", json!(STANDARD.encode(data))),
        };
        self.line(to, [said]);
    }

    pub(super) fn close(&mut self, to: Side, close: &Close) {
        let (code, reason) = (close.code.as_u16(), close.reason.as_str());
        self.line(to, [("close", json!(code)), ("reason", json!(reason))]);
    }

    fn line<const N: usize>(&mut self, to: Side, said: [(&str, Value); N]) {
        let to = match to {
            Side::Gateway => "gateway",
            Side::Client => "client",
        };
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut line = Map::from_iter([("ms".to_owned(), json!(ms)), ("to".to_owned(), json!(to))]);
        line.extend(said.map(|(name, value)| (name.to_owned(), value)));
        self.lines.push(line.into());
    }

    /// Compares the transcript with a golden file, but for the times. With the environment variable `UPDATE=1`, writes
    /// the file instead.
    ///
    /// ```
    /// use wasabi::{prelude::*, testing::TestGateway};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let golden = std::env::temp_dir().join(format!("wasabi-golden-{}.jsonl", std::process::id()));
    /// # std::fs::write(&golden, r#"
    /// # {"ms":0,"to":"gateway","open":"/","headers":{"host":"gateway.test"}}
    /// # {"ms":0,"to":"gateway","text":"Ada"}
    /// # {"ms":9,"to":"client","text":"hello, Ada"}
    /// # "#)?;
    /// let gateway = TestGateway::new(gateway!(channel("/", async |name: Text| format!("hello, {name}"))))?;
    /// let mut client = gateway.connect("/").await?;
    /// client.ask("Ada").await?;
    /// client.transcript().compare(&golden)?;
    /// # std::fs::remove_file(golden)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error that shows the first lines that differ, or says why the file cannot be read or written.
    pub fn compare(&self, golden: impl AsRef<Path>) -> Result<(), GoldenError> {
        let path = golden.as_ref();
        let at = |source| GoldenError::File {
            path: path.display().to_string(),
            source,
        };
        if env::var_os(UPDATE).is_some_and(|value| value == "1") {
            return fs::write(path, self.to_string()).map_err(at);
        }
        let text = fs::read_to_string(path).map_err(at)?;
        let expected = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let expected: Vec<_> = expected.map(timeless).collect();
        let found: Vec<_> = self
            .lines
            .iter()
            .map(|line| timeless(&line.to_string()))
            .collect();
        let same = expected
            .iter()
            .zip(&found)
            .take_while(|(a, b)| a == b)
            .count();
        if same == expected.len() && same == found.len() {
            return Ok(());
        }
        let nothing = || "nothing".to_owned();
        Err(GoldenError::Differs {
            path: path.display().to_string(),
            line: same + 1,
            expected: expected.get(same).cloned().unwrap_or_else(nothing),
            found: found.get(same).cloned().unwrap_or_else(nothing),
        })
    }
}

/// Why a transcript is not like its golden file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// The file cannot be read or written.
    #[error("{path}: {source} (`UPDATE=1` writes the file)")]
    File {
        /// The file.
        path: String,
        /// What the operating system reports.
        source: io::Error,
    },
    /// The file has something else.
    #[error(
        "{path}, line {line}\n  expected: {expected}\n  found:    {found}\n(`UPDATE=1` writes the file)"
    )]
    Differs {
        /// The file.
        path: String,
        /// The first message that differs, from 1.
        line: usize,
        /// What the file has there.
        expected: String,
        /// What the transcript has there.
        found: String,
    },
}

/// A line without its time; a line that is not JSON stays as it is.
fn timeless(line: &str) -> String {
    match serde_json::from_str(line) {
        Ok(Value::Object(mut line)) => {
            line.remove("ms");
            Value::from(line).to_string()
        }
        _ => line.to_owned(),
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    [
        "token",
        "password",
        "secret",
        "api_key",
        "apikey",
        "authorization",
    ]
    .iter()
    .any(|secret| name.contains(secret))
}

/// The path and the query, without secrets.
fn shown_uri(uri: &Uri) -> String {
    let Some(query) = uri.query() else {
        return uri.path().to_owned();
    };
    let parameters = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}={HIDDEN}"),
            _ => parameter.to_owned(),
        });
    format!("{}?{}", uri.path(), Vec::from_iter(parameters).join("&"))
}

/// Hides the secrets in a JSON value, at any depth.
fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match is_secret(name) {
                    true => *value = HIDDEN.into(),
                    false => hide(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide),
        _ => {}
    }
}
