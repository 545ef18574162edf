//! Faults of the Go package that inspired this library, with one test each: in the order in which a message meets them,
//! from the code around a backend to the admission of clients.

mod backends;
mod clients;
mod connections;
mod middleware;
mod upstreams;
