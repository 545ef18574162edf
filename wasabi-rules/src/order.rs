//! Which middleware works around which: a decision for each pair, in both orders.
//!
//! `gateway!` reads the table. What it cannot see, such as a middleware in a variable, it does not judge.
// Long: a table.

/// A middleware of the library around others.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    /// The name of its type.
    pub name: &'static str,
    /// What it works around.
    pub works: &'static [&'static str],
    /// What it does not work around, or not always.
    pub warned: &'static [(&'static str, Warning)],
}

/// A warning about a middleware around another, or around a target.
#[derive(Debug, Clone, Copy)]
pub struct Warning {
    /// The name that the compiler prints.
    pub name: &'static str,
    /// When it applies.
    pub when: When,
    /// Which of the two is underlined.
    pub at: Side,
    /// What happens, and what to write. `{outer}` and `{inner}` stand for the times of the two.
    pub note: &'static str,
}

/// When a warning applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In any case.
    Always,
    /// The time of the outer one is shorter than that of the inner one.
    OuterIsShorter,
    /// The time of the inner one is shorter than that of the outer one.
    InnerIsShorter,
    /// Nothing within the inner one gives up before the outer one does.
    NothingInsideIsFaster,
    /// Both are in one list; the outer one counts all clients together, and the inner one each.
    AllAroundEach,
    /// The inner one turns every error into a reply.
    HandlesEveryError,
    /// Neither chooses by itself what it tries again.
    NeitherChooses,
    /// Both count in the metrics of the process.
    BothInMetrics,
    /// Clients share what the outer one stores, and the target takes something from the client.
    SharedAndOfTheClient,
    /// The inner one reads a header of proxies.
    ReadsProxies,
    /// The inner one, or the outer one, reads its credentials from `Authorization` only.
    SameHeader,
}

/// One of the two in a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one around the other.
    Outer,
    /// The one inside.
    Inner,
}

/// What stands for the target in the table of request middleware.
pub const TARGET: &str = "target";

impl Around {
    /// The row of the middleware of this name in a table.
    pub fn find(table: &'static [Self], name: &str) -> Option<&'static Self> {
        table.iter().find(|row| row.name == name)
    }

    /// The warning about this middleware around that of the name.
    pub fn warning(&self, inner: &str) -> Option<&'static Warning> {
        let mut warned = self.warned.iter();
        warned.find_map(|(name, warning)| (*name == inner).then_some(warning))
    }
}

/// Request middleware around request middleware and around targets.
pub const REQUEST_ORDER: &[Around] = &[
    // It sees what the client gets. Inside a retry, a second one has a span for each try.
    Around {
        name: "Trace",
        works: &[
            "Trace",
            "Measure",
            "RateLimit",
            "LimitClients",
            "Throttle",
            "Cache",
            "Timeout",
            "CircuitBreaker",
            "Retry",
            "ErrorHandler",
            TARGET,
        ],
        warned: &[],
    },
    Around {
        name: "Measure",
        works: &[
            "Trace",
            "RateLimit",
            "LimitClients",
            "Throttle",
            "Cache",
            "Timeout",
            "CircuitBreaker",
            "Retry",
            "ErrorHandler",
            TARGET,
        ],
        warned: &[("Measure", COUNTED_TWICE)],
    },
    Around {
        name: "RateLimit",
        works: &[
            "Trace",
            "Measure",
            "Throttle",
            "Cache",
            "Timeout",
            "CircuitBreaker",
            "Retry",
            "ErrorHandler",
            TARGET,
        ],
        warned: &[
            ("RateLimit", ALL_AROUND_EACH),
            ("LimitClients", ALL_AROUND_EACH),
        ],
    },
    Around {
        name: "LimitClients",
        works: &[
            "Trace",
            "Measure",
            "RateLimit",
            "LimitClients",
            "Throttle",
            "Cache",
            "Timeout",
            "CircuitBreaker",
            "Retry",
            "ErrorHandler",
            TARGET,
        ],
        warned: &[],
    },
    // It shares its places fairly, so that one client's requests, refused further inside, keep nobody out.
    Around {
        name: "Throttle",
        works: &[
            "Trace",
            "Measure",
            "RateLimit",
            "LimitClients",
            "Throttle",
            "Cache",
            "Timeout",
            "CircuitBreaker",
            "Retry",
            "ErrorHandler",
            TARGET,
        ],
        warned: &[],
    },
    // A throttle inside limits the calls that reach the upstream, which is what throttles are for.
    Around {
        name: "Cache",
        works: &[
            "Trace",
            "Measure",
            "Throttle",
            "Timeout",
            "CircuitBreaker",
            "Retry",
        ],
        warned: &[
            ("RateLimit", LIMIT_INSIDE_A_CACHE),
            ("LimitClients", LIMIT_INSIDE_A_CACHE),
            ("Cache", OLD_REPLIES),
            (
                "ErrorHandler",
                Warning {
                    name: "ERROR_HANDLER_INSIDE_A_CACHE",
                    when: When::HandlesEveryError,
                    at: Side::Inner,
                    note: "the cache stores the replies that the handler makes of errors, and answers with them when the error is long \
                           over. Put the handler before the cache",
                },
            ),
            (
                TARGET,
                Warning {
                    name: "SHARED_REPLIES_DEPEND_ON_THE_CLIENT",
                    when: When::SharedAndOfTheClient,
                    at: Side::Outer,
                    note: "one client gets what was made for another, and {inner} of the client goes into it. Leave `shared()` out, or \
                           give the cache a key with `by`",
                },
            ),
        ],
    },
    // When it cancels the one call behind a cache, the next request that waits there takes over.
    Around {
        name: "Timeout",
        works: &[
            "Trace",
            "Measure",
            "RateLimit",
            "LimitClients",
            "Cache",
            "ErrorHandler",
            TARGET,
        ],
        warned: &[
            (
                "Throttle",
                Warning {
                    name: "TIMEOUT_SHORTER_THAN_THE_WAIT",
                    when: When::OuterIsShorter,
                    at: Side::Outer,
                    note: "requests wait up to {inner} for a place, and the timeout of {outer} around them ends before that. Raise the \
                           timeout, or lower `wait`",
                },
            ),
            (
                "Timeout",
                Warning {
                    name: "TIMEOUT_INSIDE_A_SHORTER_ONE",
                    when: When::OuterIsShorter,
                    at: Side::Inner,
                    note: "the timeout of {outer} around this one ends first, so the {inner} never apply. Raise the outer timeout, or \
                           leave this one out",
                },
            ),
            (
                "CircuitBreaker",
                Warning {
                    name: "TIMEOUT_AROUND_A_CIRCUIT_BREAKER",
                    when: When::NothingInsideIsFaster,
                    at: Side::Inner,
                    note: "the timeout around this breaker cancels requests, and the breaker does not count those: it never opens for an \
                           upstream that does not answer. Put the timeout inside: `[CircuitBreaker::new(..), Timeout::new(..)]`",
                },
            ),
            (
                "Retry",
                Warning {
                    name: "TIMEOUT_SHORTER_THAN_ITS_RETRIES",
                    when: When::OuterIsShorter,
                    at: Side::Outer,
                    note: "the pauses between the retries add up to {inner}, and the timeout of {outer} around them may end before \
                           that: the last retries are never made. Raise the timeout, or retry less",
                },
            ),
        ],
    },
    // Around a retry it counts the failures that the client would see, inside one each try.
    Around {
        name: "CircuitBreaker",
        works: &[
            "Trace",
            "Measure",
            "RateLimit",
            "LimitClients",
            "Throttle",
            "Timeout",
            "CircuitBreaker",
            "Retry",
            TARGET,
        ],
        warned: &[
            (
                "Cache",
                Warning {
                    name: "CACHE_INSIDE_A_CIRCUIT_BREAKER",
                    when: When::Always,
                    at: Side::Inner,
                    note: "the breaker counts replies from the cache as successes of the upstream, and while it is open it also refuses \
                           what the cache could answer. Put the cache before the breaker",
                },
            ),
            (
                "ErrorHandler",
                Warning {
                    name: "ERROR_HANDLER_INSIDE_A_CIRCUIT_BREAKER",
                    when: When::HandlesEveryError,
                    at: Side::Inner,
                    note: "the handler turns every error into a reply, so the breaker sees no failure and never opens. Put the handler \
                           before the breaker",
                },
            ),
        ],
    },
    // The refusal of a breaker or of a limit is not tried again. A limit inside counts each try.
    Around {
        name: "Retry",
        works: &[
            "Trace",
            "Measure",
            "RateLimit",
            "LimitClients",
            "Throttle",
            "Cache",
            "Timeout",
            "CircuitBreaker",
            TARGET,
        ],
        warned: &[
            (
                "Retry",
                Warning {
                    name: "RETRY_INSIDE_A_RETRY",
                    when: When::NeitherChooses,
                    at: Side::Inner,
                    note: "each try of the outer retry makes all tries of this one: the numbers multiply. Leave one of them out, or let \
                           each choose its errors with `when`",
                },
            ),
            (
                "ErrorHandler",
                Warning {
                    name: "ERROR_HANDLER_INSIDE_A_RETRY",
                    when: When::HandlesEveryError,
                    at: Side::Inner,
                    note: "the handler turns every error into a reply, so nothing is tried again. Put the handler before the retry",
                },
            ),
        ],
    },
    Around {
        name: "ErrorHandler",
        works: &[
            "Trace",
            "Measure",
            "RateLimit",
            "LimitClients",
            "Throttle",
            "Cache",
            "Timeout",
            "CircuitBreaker",
            "Retry",
            "ErrorHandler",
            TARGET,
        ],
        warned: &[],
    },
];

/// HTTP middleware around HTTP middleware.
pub const HTTP_ORDER: &[Around] = &[
    Around {
        name: "Stash",
        works: &[
            "Stash",
            "ClientIp",
            "LimitClients",
            "BasicAuth",
            "BearerAuth",
            "Jwt",
        ],
        warned: &[],
    },
    // The inner one decides.
    Around {
        name: "ClientIp",
        works: &[
            "Stash",
            "ClientIp",
            "LimitClients",
            "BasicAuth",
            "BearerAuth",
            "Jwt",
        ],
        warned: &[],
    },
    Around {
        name: "LimitClients",
        works: &["Stash", "LimitClients", "BasicAuth", "BearerAuth", "Jwt"],
        warned: &[(
            "ClientIp",
            Warning {
                name: "CLIENT_LIMIT_BEFORE_THE_CLIENT_IS_KNOWN",
                when: When::ReadsProxies,
                at: Side::Outer,
                note: "`ClientIp` finds the client's address only after this limit, which therefore counts all clients of a proxy as \
                       one. Put the limit behind `ClientIp`",
            },
        )],
    },
    // Its queue of password checks is fair by the address that is known so far; without hashes there is no queue. Two of
    // them work if their users are the same, which the macro does not know.
    Around {
        name: "BasicAuth",
        works: &["Stash", "ClientIp", "BasicAuth"],
        warned: &[
            ("LimitClients", LIMIT_AFTER_LOGIN),
            ("BearerAuth", TWO_LOGINS),
            ("Jwt", TWO_LOGINS),
        ],
    },
    Around {
        name: "BearerAuth",
        works: &["Stash", "ClientIp", "BearerAuth", "Jwt"],
        warned: &[
            ("LimitClients", LIMIT_AFTER_LOGIN),
            ("BasicAuth", TWO_LOGINS),
        ],
    },
    Around {
        name: "Jwt",
        works: &["Stash", "ClientIp", "BearerAuth", "Jwt"],
        warned: &[
            ("LimitClients", LIMIT_AFTER_LOGIN),
            ("BasicAuth", TWO_LOGINS),
        ],
    },
];

const COUNTED_TWICE: Warning = Warning {
    name: "REQUESTS_COUNTED_TWICE",
    when: When::BothInMetrics,
    at: Side::Inner,
    note: "another `Measure::metrics()` around this one counts the same requests in the same metrics. Leave one of them out",
};

const ALL_AROUND_EACH: Warning = Warning {
    name: "RATE_LIMIT_OF_ALL_BEFORE_THAT_OF_EACH",
    when: When::AllAroundEach,
    at: Side::Outer,
    note: "requests that the limit of each client refuses have used up this limit of all clients: one client can keep the \
           others out. Put the limit of each first",
};

const LIMIT_INSIDE_A_CACHE: Warning = Warning {
    name: "RATE_LIMIT_INSIDE_A_CACHE",
    when: When::Always,
    at: Side::Inner,
    note: "the limit inside the cache does not count replies from the cache. Put the limit before the cache",
};

const OLD_REPLIES: Warning = Warning {
    name: "CACHE_INSIDE_A_LONGER_ONE",
    when: When::InnerIsShorter,
    at: Side::Inner,
    note: "the cache around this one answers for {outer}, so replies are older than the {inner} here. Lower the time of the \
           outer cache, or leave one of them out",
};

const LIMIT_AFTER_LOGIN: Warning = Warning {
    name: "CLIENT_LIMIT_AFTER_THE_LOGIN",
    when: When::Always,
    at: Side::Inner,
    note: "the limit does not count logins that fail, so a client may try as many passwords or tokens as it likes. Put the \
           limit before the login",
};

const TWO_LOGINS: Warning = Warning {
    name: "TWO_LOGINS_IN_ONE_HEADER",
    when: When::SameHeader,
    at: Side::Inner,
    note: "both logins read the header `Authorization`, which has room for one: every client is refused. Leave one of them \
           out, or take the token from elsewhere, such as `query_parameter`",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings() -> impl Iterator<Item = &'static Warning> {
        let rows = REQUEST_ORDER.iter().chain(HTTP_ORDER);
        rows.flat_map(|row| row.warned.iter().map(|(_, warning)| warning))
    }

    #[test]
    fn every_pair_is_decided_once_in_both_orders() {
        for (table, targets) in [(REQUEST_ORDER, &[TARGET][..]), (HTTP_ORDER, &[])] {
            let names: Vec<_> = table.iter().map(|row| row.name).collect();
            for row in table {
                for inner in names.iter().chain(targets) {
                    let works = row.works.iter().filter(|name| *name == inner).count();
                    let warned = row.warned.iter().filter(|(name, _)| name == inner).count();
                    assert_eq!(works + warned, 1, "{} around {inner}", row.name);
                }
                let decided = row.works.len() + row.warned.len();
                assert_eq!(decided, names.len() + targets.len(), "{}", row.name);
            }
        }
    }

    #[test]
    fn a_warning_has_one_name_and_one_text() {
        for warning in warnings() {
            let same = warnings().filter(|other| other.name == warning.name);
            for other in same {
                assert_eq!(other.note, warning.note);
            }
        }
    }
}
