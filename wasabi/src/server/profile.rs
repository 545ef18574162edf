//! CPU profiles of the running process.

use std::{sync::Once, time::Duration};

use axum::{
    extract::Query,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use nix::sys::signal::{Signal, raise};
use pprof::{ProfilerGuard, protos::Message};
use serde::Deserialize;
use tokio::task::spawn_blocking;

/// The path that `go tool pprof` requests.
pub(super) const PATH: &str = "/debug/pprof/profile";

/// Samples per second of CPU time. Not a round number, so that sampling does not keep step with timers.
const FREQUENCY: i32 = 99;

const SECONDS: u64 = 10;
pub(super) const MAX_SECONDS: u64 = 60;

#[derive(Deserialize)]
pub(super) struct Asked {
    seconds: Option<u64>,
}

/// Samples the process for the requested time, or until the client goes away.
pub(super) async fn profile(Query(asked): Query<Asked>) -> Response {
    let seconds = asked.seconds.unwrap_or(SECONDS);
    if !(1..=MAX_SECONDS).contains(&seconds) {
        let message = format!("`seconds` must be a number from 1 to {MAX_SECONDS}\n");
        return (StatusCode::BAD_REQUEST, message).into_response();
    }
    match sampled(Duration::from_secs(seconds)).await {
        Ok(profile) => {
            let content_type = (header::CONTENT_TYPE, "application/octet-stream");
            ([content_type], profile).into_response()
        }
        Err(pprof::Error::Running) => {
            (StatusCode::CONFLICT, "another profile is being taken\n").into_response()
        }
        Err(error) => {
            tracing::error!(%error, "cannot take a profile");
            let message = format!("{error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
        }
    }
}

/// Takes a profile in pprof format. Starting and resolving symbols read files, so they run on blocking threads.
async fn sampled(time: Duration) -> Result<Vec<u8>, pprof::Error> {
    tracing::info!(?time, "taking a CPU profile");
    let guard = blocking(start).await?;
    tokio::time::sleep(time).await;
    blocking(move || {
        let profile = guard.report().build()?.pprof()?;
        let written = profile.write_to_bytes();
        written.map_err(|error| std::io::Error::other(error).into())
    })
    .await
}

fn start() -> Result<ProfilerGuard<'static>, pprof::Error> {
    static PREPARED: Once = Once::new();
    let mut prepared = Ok(());
    PREPARED.call_once(|| prepared = prepare());
    prepared?;
    ProfilerGuard::new(FREQUENCY)
}

/// The first sample of a process allocates and reads files in its signal handler. Take it here, on a thread that holds
/// no lock and with the timer at its slowest, before the timer interrupts any other thread.
fn prepare() -> Result<(), pprof::Error> {
    let _guard = ProfilerGuard::new(1)?;
    raise(Signal::SIGPROF)?;
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, pprof::Error> + Send + 'static,
) -> Result<T, pprof::Error> {
    let ended = spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
}
