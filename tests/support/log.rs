//! Captures the gateway's log.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::{
    Dispatch, Level,
    subscriber::{DefaultGuard, NoSubscriber},
};

/// The log of everything that happens on this thread while this value lives.
pub struct Log {
    written: Written,
    _guard: DefaultGuard,
    /// While there is only one, an event that another thread is the first to log is disabled for all threads.
    _second: Dispatch,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Starts capturing, down to a level.
    pub fn of(level: Level) -> Self {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Self {
            written,
            _guard: tracing::subscriber::set_default(subscriber),
            _second: Dispatch::new(NoSubscriber::default()),
        }
    }

    /// Returns what has been written so far.
    pub fn text(&self) -> String {
        let written = self.written.0.lock().expect("no panic");
        String::from_utf8_lossy(&written).into_owned()
    }

    /// Returns the lines that contain this text.
    pub fn lines(&self, with: &str) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| line.contains(with));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
