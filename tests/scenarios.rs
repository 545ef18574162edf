//! Tests over real sockets: whole scenarios, and known mistakes of a gateway that came before.

mod suite {
    mod regressions;
    mod scenarios;
}
