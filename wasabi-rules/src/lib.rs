//! The rules for the values of a wasabi declaration: URLs, header names, networks, JSON pointers, units.
//!
//! `gateway!` checks literals at compile time; the runtime checks values that come from elsewhere, such as a
//! configuration. Both call this crate, so that they accept the same values and report the same mistakes. It is an
//! implementation detail of wasabi: use that crate instead.
//!
//! Each rule parses: it returns the parts of a valid value, or a message that says what was found and what to write.

mod balance;
mod bounds;
mod calls;
mod close_code;
mod cluster;
mod defaults;
mod header;
mod host;
mod network;
mod order;
mod origin;
mod path;
mod places;
mod pointer;
mod redis;
mod secrets;
mod settings;
mod suggest;
mod unit;
mod url;

pub use self::{
    balance::{WEIGHT, nodes},
    bounds::{Zero, above_zero, at_least, between, retry_budget, setting_above_zero},
    calls::{CALLS, Call, Rule, Value},
    close_code::{SENDABLE, close_code, is_sendable, not_sendable},
    cluster::{cluster_name, group_prefix},
    defaults::{MAX_PAUSE, RETRIES, THROTTLE_WAIT, UPSTREAM_TIMEOUT},
    header::{
        forwarded_header, header, header_name, is_queue_header_value, method, queue_header, realm,
        subprotocol, upstream_header,
    },
    host::{HostPattern, Names, host, hosts_count},
    network::{Network, network},
    order::{Around, HTTP_ORDER, REQUEST_ORDER, Side, TARGET, Warning, When},
    origin::{Origin, OriginPattern, OriginPort, default_port, origin},
    path::{declared_path, mount_path, normal_path, parameter_count},
    places::{Place, path_start, places},
    pointer::{PointerToken, pointer},
    redis::{RedisAt, RedisUrl, redis_url},
    secrets::{url_without_secrets, without_secrets},
    settings::{Kind, Level, SETTINGS, Setting},
    suggest::{did_you_mean, distance, hint, list},
    unit::{Amount, Number, UNITS, Unit, duration, number, size},
    url::{Url, schemes, url, urls},
};
