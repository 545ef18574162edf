//! Tests over real sockets, by concept: protocols, whose envelopes and errors the gateway writes.

mod protocols {
    mod own;
}
