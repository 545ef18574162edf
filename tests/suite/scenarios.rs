//! The use cases of gateways: one story each, from the handshake to the end.

mod a_typed_call_beside_passthrough;
mod b_upstream_from_the_handshake;
mod c_grouped_rate_limits;
mod d_chain_over_http;
mod e_overload_and_stop;
