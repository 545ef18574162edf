//! What went wrong in the Go package that this library takes its idea from, one test each: in the order of a message,
//! from what is around a backend to who is let in.

mod backends;
mod clients;
mod connections;
mod middleware;
mod upstreams;
