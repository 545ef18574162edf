//! Tests over real sockets, by concept.
