//! What runs for as long as a connection lives: its one task.

pub(crate) mod driver;
