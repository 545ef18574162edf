//! Real proxies in front of a gateway, and between it and its upstreams: nginx and HAProxy.

#[path = "proxies/behind.rs"]
mod behind;
#[path = "proxies/front.rs"]
mod front;
