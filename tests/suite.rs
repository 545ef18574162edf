//! Tests over real sockets, by concept.

mod suite {
    mod connection;
    mod errors;
    mod extractors;
    mod handshake;
    mod hooks;
    mod registry;
    mod replies;
    mod routing;
    mod server;
}
mod request_middleware;
