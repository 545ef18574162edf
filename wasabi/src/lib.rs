//! WebSocket API gateways, declared in one macro and checked at compile time.
