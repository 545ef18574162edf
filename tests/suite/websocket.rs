//! Messages forwarded to a WebSocket server.

mod addresses;
mod alive;
mod before_accept;
mod closing;
mod correlation;
mod dialling;
mod handshake;
mod moving;
mod order;
mod panics;
mod passthrough;
mod reconnecting;
mod tls;
