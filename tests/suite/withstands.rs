//! What the gateway withstands, in the order of the threats: from a client's first byte to what operators see.
//!
//! `tests/memory.rs` measures the memory that clients cost. The tests of threats without a file here are with the
//! features that they concern: R11, client data in headers and URLs, in `http_backend.rs`, `websocket/handshake.rs` and
//! `queue.rs`; R12, forwarded addresses, in `client_ip.rs`; R13, wrong names and passwords, in
//! `regressions/clients.rs`; R16, replies of queues, in `queue.rs`; R17 and R18, equal requests at once and retries, in
//! `regressions/middleware.rs` and beside the middleware; R25, weights, in `balance.rs` and `regressions/backends.rs`;
//! R26, answers of upstreams, in `http_backend.rs` and `regressions/upstreams.rs`; R27 and R47c, what operators see and
//! slow ones, in `admin.rs`; R29, dead sockets, in `r23_busy.rs`; R44, replies of workers, in `tests/brokers`; R49, spans
//! of failures, in `failures_in_spans.rs`; R50a and R50b, figures and destructors, in `tests/metrics` and
//! `tests/brokers`; R51, cancellations, in
//! `tests/protocols/cancellation`.

mod r01_origins;
mod r02_stalls;
mod r03_clients_that_never_read;
mod r04_pings;
mod r05_fragments;
mod r06_lengths;
mod r07_reserved_bits;
mod r08_text;
mod r09_close_codes;
mod r10_admission;
mod r14_authorization;
mod r15_functions;
mod r15_panics;
mod r19_partitions;
mod r20_stops;
mod r21_tls;
mod r22_drains_of_many;
mod r23_busy;
mod r24_http2_floods;
mod r28_turns;
mod r30_held_replies;
mod r31_slow_readers;
mod r32_dials_and_logs;
mod r33_verdicts;
mod r34_last_words;
mod r35_sending_again;
mod r36_invalid;
mod r37_turns;
mod r38_caches;
mod r39_json_of_others;
mod r40_passwords;
mod r41_hosts;
mod r42_keys;
mod r43_logs;
mod r45_silent_streams;
mod r46_limits_by_client;
mod r47a_paths;
mod r47b_handshake_headers;
mod r47d_tokens;
mod r47e_slow_answers;
mod r48a_key_sets;
mod r48b_health;

use std::cell::Cell;

use wasabi_tests::Client;

/// Asks 50 times beside a flood, and returns how often the flood was written at most while one question was answered: on a
/// busy machine everything takes longer, but the flood gets no larger part.
async fn writes_during_a_question(calm: &mut Client, writes: &Cell<usize>) -> usize {
    let mut most = 0;
    for n in 0..50 {
        let before = writes.get();
        assert_eq!(calm.ask(&n.to_string()).await, n.to_string());
        most = most.max(writes.get() - before);
    }
    most
}
