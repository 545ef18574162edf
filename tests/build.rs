//! Writes what `rules.rs` compiles: for each row of `wasabi_rules::CALLS` and `wasabi_rules::SETTINGS` a value that its rule
//! accepts, and one that it refuses.

use std::{env, fs, path::Path};

use wasabi_rules::{CALLS, Call, SETTINGS};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rows = CALLS.iter().enumerate().map(|(index, call)| {
        let check = check(call.owner);
        let [accepted, refused] = call.rule.examples().map(|value| {
            let expression = expression(call, &call.rule.source(value));
            format!("{check}(|| {expression})")
        });
        let feature = match (call.owner, call.name) {
            ("Redis", _) | ("Queue" | "Cluster", "redis") => "#[cfg(feature = \"redis\")]",
            ("Amqp", _) | ("Queue", "amqp") => "#[cfg(feature = \"amqp\")]",
            ("Nats", _) | ("Queue" | "Cluster", "nats") => "#[cfg(feature = \"nats\")]",
            _ => "",
        };
        format!(
            "{feature} Row {{ index: {index}, accepted: || {accepted}, refused: || {refused} }},\n"
        )
    });
    write("calls.rs", rows.collect());
    // By way of a variable: the macro must not see the value.
    let rows = SETTINGS.iter().enumerate().filter_map(|(index, setting)| {
        let [accepted, refused] = setting.kind.examples()?.map(|value| {
            let (name, value) = (setting.name, setting.kind.source(value));
            format!(
                "{{ let value = {value}; mistakes(&gateway!(channel(\"/\", {name} = value, echo))) }}"
            )
        });
        Some(format!(
            "Row {{ index: {index}, accepted: || {accepted}, refused: || {refused} }},\n"
        ))
    });
    write("settings.rs", rows.collect());
}

fn write(name: &str, rows: String) {
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    let path = Path::new(&out).join(name);
    fs::write(path, format!("&[\n{rows}]")).expect("a file");
}

/// The function of `rules.rs` that puts a value of this type into a gateway.
fn check(owner: &str) -> &'static str {
    match owner {
        "Timeout" | "Retry" | "RateLimit" | "CircuitBreaker" | "Cache" => "middleware",
        "LimitClients" | "BasicAuth" | "ClientIp" | "Jwks" => "http",
        "HttpRequest" => "request",
        "Cluster" => "cluster",
        "Kept" => "groups",
        "Compression" => "compression",
        "CloseCode" => "close_code",
        "JsonKey" => "parser",
        "JsonRpc" => "protocol",
        "GraphqlWs" => "protocol",
        "ErrorFormat" => "errors",
        _ => "backend",
    }
}

/// A value in which the call is made with this argument.
fn expression(call: &Call, argument: &str) -> String {
    let (owner, name) = (call.owner, call.name);
    let made = match (owner, name, call.position) {
        _ if call.is_method => {
            let more = match (owner, name) {
                ("Queue", "header_with") => ", |_| String::new()",
                (_, "header_with") => ", |_| Some(\"x\")",
                (_, "header") => ", \"x\"",
                _ => "",
            };
            format!("{}.{name}({argument}{more})", receiver(owner))
        }
        ("Http" | "HttpRequest", "method", 1) => {
            format!("{owner}::method(Method::GET, {argument})")
        }
        ("Method", ..) => {
            format!("Http::method(Method::{name}({argument}).expect(\"it\"), \"http://a/\")")
        }
        ("CircuitBreaker", "new", 0) => {
            format!("CircuitBreaker::new({argument}, Duration::from_secs(1))")
        }
        ("CircuitBreaker", _, 1) => format!("{owner}::{name}(1, {argument})"),
        ("Queue", ..) => format!("Queue::{name}({argument}, \"jobs\")"),
        // As a constant, a code with a mistake does not compile.
        ("CloseCode", ..) => format!("CloseCode::try_from({argument})"),
        _ => format!("{owner}::{name}({argument})"),
    };
    match owner {
        "Backoff" => format!("WebSocket::connect(\"ws://a/\").reconnect({made})"),
        "HealthCheck" => format!("nodes().health_check({made})"),
        "Memory" | "Redis" | "Amqp" | "Nats" => format!("Queue::new({made}, \"jobs\")"),
        "Jwks" => format!("Jwt::<Claims>::jwks({made}).auth()"),
        _ => made,
    }
}

/// What methods of this type are called on.
fn receiver(owner: &str) -> &'static str {
    match owner {
        "Http" => "Http::post(\"http://a/\")",
        "HttpRequest" => "HttpRequest::post(\"http://a/\")",
        "WebSocket" => {
            "WebSocket::connect(\"ws://a/\").reconnect(Backoff::constant(Duration::from_secs(1)))"
        }
        "Retry" => "Retry::new(Backoff::constant(Duration::from_secs(1)))",
        "Backoff" => "Backoff::constant(Duration::from_secs(1))",
        "Queue" => "Queue::new(Memory::new(), \"jobs\")",
        "Redis" => "Redis::new(\"redis://a/\")",
        "Balance" => "nodes()",
        "HealthCheck" => "HealthCheck::path(\"/\")",
        "Subscriptions" => "Subscriptions::new(Registry::new(), may)",
        "RateLimit" => "RateLimit::per_second(1)",
        "CircuitBreaker" => "CircuitBreaker::new(1, Duration::from_secs(1))",
        "Cluster" => "Cluster::memory()",
        "Kept" => "Kept::all()",
        "Cache" => "Cache::new(Duration::from_secs(1))",
        "LimitClients" => "LimitClients::new().connections(1)",
        "BasicAuth" => "BasicAuth::users([(\"a\", \"b\")])",
        "Jwks" => "Jwks::new(\"http://a/\")",
        "Compression" => "Compression::deflate()",
        "JsonKey" => "JsonKey::at(\"/a\")",
        "JsonRpc" => "JsonRpc::new()",
        "GraphqlWs" => "GraphqlWs::new()",
        other => panic!("nothing is known here that methods of `{other}` are called on"),
    }
}
