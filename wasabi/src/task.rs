//! The task of a connection, which runs as long as the connection lives.

pub(crate) mod driver;
