//! Messages forwarded to a WebSocket server.

mod alive;
mod closing;
mod correlation;
mod dialling;
mod handshake;
mod order;
mod panics;
mod passthrough;
mod reconnecting;
mod tls;
