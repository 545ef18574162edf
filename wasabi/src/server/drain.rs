//! Stopping a server: by signal, gracefully or at once.

use std::{io, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::task::TaskTracker;

use super::control::{Control, ServerPhase};
use crate::{
    Close, CloseCode, metrics,
    runtime::{Runtime, restart},
};

/// Drains on the first signal and stops on the second.
pub(super) fn on_signals(control: Arc<Control>) -> io::Result<()> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    #[cfg(unix)]
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    tokio::spawn(async move {
        for phase in [ServerPhase::Leaving, ServerPhase::Stopped] {
            #[cfg(unix)]
            let signal = async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            #[cfg(not(unix))]
            let signal = async {
                let _ = tokio::signal::ctrl_c().await;
            };
            tokio::select! {
                () = signal => control.set(phase),
                () = control.wait_for(ServerPhase::Stopped) => return,
            }
        }
    });
    Ok(())
}

/// Waits until the server is told to stop, and then for the delay, so that load balancers notice.
pub(super) async fn leave(control: &Control, runtime: &Runtime, delay: Duration) {
    control.wait_for(ServerPhase::Leaving).await;
    if !delay.is_zero() {
        runtime.start_leaving();
        tracing::info!(?delay, "drain delay begins");
        tokio::select! {
            () = sleep(delay) => {}
            () = control.wait_for(ServerPhase::Stopped) => {}
        }
    }
    control.set(ServerPhase::Draining);
}

/// How long cut connections may take to run their hooks.
const CUT: Duration = Duration::from_secs(1);

/// Closes every connection and waits for them and for the HTTP requests that were there before. At the deadline, which
/// it returns, it cuts the remaining connections.
pub(super) async fn drain(
    control: &Control,
    runtime: &Runtime,
    requests: &TaskTracker,
    limit: Duration,
    spread: Duration,
) -> Instant {
    let start = Instant::now();
    let deadline = start + limit;
    runtime.start_draining();
    runtime.tasks().close();
    requests.close();
    let connections = runtime.live().connections();
    tracing::info!(connections = connections.len(), "draining");
    // The connection that is closed last also needs time for its requests.
    let spread = spread.min(limit / 2);
    let graceful = async {
        let count = connections.len().max(1) as u32;
        for (position, connection) in connections.iter().enumerate() {
            sleep_until(start + spread / count * position as u32).await;
            connection.close(restart());
        }
        // One of these requests may be a handshake.
        requests.wait().await;
        runtime.tasks().wait().await;
    };
    let drained = tokio::select! {
        drained = timeout_at(deadline, graceful) => drained.is_ok(),
        () = control.wait_for(ServerPhase::Stopped) => false,
    };
    if drained {
        tracing::info!(elapsed = ?start.elapsed(), "drained");
        return deadline;
    }
    let survivors = runtime.live().connections();
    metrics::cut(survivors.len());
    tracing::warn!(
        connections = survivors.len(),
        "cutting the remaining connections"
    );
    for connection in survivors {
        connection.outbox().stop(Close::new(
            CloseCode::SERVICE_RESTART,
            "the server is stopping",
        ));
    }
    let _ = tokio::time::timeout(CUT, runtime.tasks().wait()).await;
    deadline
}
