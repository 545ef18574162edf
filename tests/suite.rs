//! Tests over real sockets, by concept.

mod suite {
    mod admin;
    mod balance;
    mod basic_auth;
    mod bearer_auth;
    mod client_ip;
    mod compression;
    mod connection;
    mod drain;
    mod drain_http;
    mod errors;
    mod events;
    mod extractors;
    mod faults;
    mod groups;
    mod handshake;
    mod hooks;
    mod http2;
    mod http_backend;
    mod intercept;
    mod listeners;
    mod otel;
    mod queue;
    mod registry;
    mod regressions;
    mod replies;
    mod request_middleware;
    mod routing;
    mod scenarios;
    mod server;
    mod settings;
    mod slow_clients;
    mod stash;
    mod tls;
    pub(crate) mod websocket;
    mod withstands;
}
