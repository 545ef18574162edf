//! Tests over real sockets, by concept: protocols, whose envelopes and errors the gateway writes, and the cancellation of
//! requests.

mod protocols {
    mod cancellation;
    mod decoded;
    mod graphql_ws;
    mod json_rpc;
    mod of_the_gateway;
    mod own;
}
