//! Tests over real sockets, by concept: declarations, handshakes, connections, the server.

mod suite {
    mod admin;
    mod basic_auth;
    mod bearer_auth;
    mod channel_config;
    mod client_ip;
    mod compression;
    mod conditional_settings;
    mod connection;
    mod drain;
    mod drain_delay;
    mod drain_http;
    mod errors;
    mod events;
    mod extractors;
    mod failures;
    mod failures_in_spans;
    mod first_head;
    mod groups;
    mod handshake;
    mod hooks;
    mod http2;
    mod intercept;
    mod keep_alive;
    mod listeners;
    mod middleware_functions;
    mod outgoing;
    mod paths;
    mod proxied;
    mod registry;
    mod replies;
    mod route_table;
    mod routes;
    mod routing;
    mod server;
    mod settings;
    mod slow_clients;
    mod stash;
    mod testing;
    mod tls;
}
