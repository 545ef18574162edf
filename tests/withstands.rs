//! Tests over real sockets: what the gateway withstands.

mod suite {
    mod withstands;
}
