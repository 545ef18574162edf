//! The task that receives replies for a session.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{BoxError, panics::caught_future};

/// A session's task, and the reason why the session ended. Dropping it ends the task.
pub(crate) struct SessionTask {
    ended: Ending,
    _task: AbortOnDropHandle<()>,
}

/// Ends a session from outside its task.
#[derive(Clone)]
pub(crate) struct Ending(watch::Sender<Option<Arc<str>>>);

impl Ending {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Ends the session; the first reason stays.
    pub(crate) fn end(&self, error: &dyn std::fmt::Display) {
        self.0.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert_with(|| error.to_string().into());
            first
        });
    }
}

impl SessionTask {
    /// Runs the task. The session ends when the task ends or [`Ending::end`] is called.
    pub(crate) fn spawn(
        ended: Ending,
        task: impl Future<Output = BoxError> + Send + 'static,
    ) -> Self {
        let at_end = ended.clone();
        let task = tokio::spawn(async move {
            // Caught, because nothing else would tell the session: it would wait for replies that nobody reads.
            let error = caught_future(task).await;
            at_end.end(&error.unwrap_or_else(|_| "the task of the session panicked".into()));
        });
        Self {
            ended,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Ends the session from outside its task.
    #[cfg(feature = "redis")]
    pub(crate) fn end(&self, error: &dyn std::fmt::Display) {
        self.ended.end(error);
    }

    /// Waits for the end of the session.
    pub(crate) async fn ended(&self) -> BoxError {
        let mut ended = self.ended.0.subscribe();
        match ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(reason)) => reason.to_string().into(),
            // The sender is in `self`.
            Ok(None) | Err(_) => "the session is over".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_its_task_panics() {
        let task = SessionTask::spawn(Ending::new(), async { panic!("on purpose") });
        let ended = tokio::time::timeout(std::time::Duration::from_secs(1), task.ended());
        let reason = ended.await.expect("the end").to_string();
        assert!(reason.contains("panicked"), "{reason}");
    }
}
