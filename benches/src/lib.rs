//! The code that the benchmarks of this package share.

pub mod dispatch;
