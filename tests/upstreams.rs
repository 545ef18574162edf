//! Tests over real sockets, by concept: what is behind the gateway, and the middleware around it.

mod suite {
    mod balance;
    mod faults;
    mod http_backend;
    mod http_connections;
    mod http_encodings;
    mod http_streams;
    mod otel;
    mod queue;
    mod request_middleware;
    mod upstream_headers;
    mod upstream_urls;
    mod websocket;
}
