//! What the gateway withstands, in the order of the threats: from the first byte of a client to what operators see.
//!
//! The figures of memory are in `tests/memory.rs`, which counts allocations.

mod r24_http2_floods;
