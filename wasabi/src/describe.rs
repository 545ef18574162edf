//! A description of a gateway, for a start-up log, a test, or documentation.

use std::fmt;

/// The parts of a gateway. Its `Display` is a human-readable table.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Description {
    /// The channels with their paths.
    pub channels: Vec<(String, ChannelInfo)>,
    /// The HTTP endpoints.
    pub endpoints: Vec<EndpointInfo>,
    /// Mounted services: path and documentation.
    pub mounts: Vec<(String, &'static str)>,
}

/// A plain HTTP endpoint.
#[derive(Debug, Clone)]
pub struct EndpointInfo {
    /// The HTTP method, or `ANY`.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// Its documentation comment.
    pub docs: &'static str,
}

/// The declaration of a channel.
#[derive(Debug, Clone, Copy)]
pub struct ChannelInfo {
    /// Its documentation comment.
    pub docs: &'static str,
    /// HTTP middleware, outermost first, including the gateway's.
    pub http: &'static [&'static str],
    /// Request middleware, outermost first, including the gateway's. It also sees messages that cannot be read, as
    /// [`invalid`](crate::Request::invalid) requests.
    pub middleware: &'static [&'static str],
    /// The target that answers.
    pub target: TargetInfo,
}

/// The declaration of a target.
#[derive(Debug, Clone, Copy)]
pub enum TargetInfo {
    /// One backend, as written.
    Backend {
        /// The expression.
        name: &'static str,
    },
    /// `with([..], target)`.
    With {
        /// The middleware, outermost first.
        middleware: &'static [&'static str],
        /// The target inside.
        target: &'static TargetInfo,
    },
    /// `balance([..])`.
    Balance {
        /// The weights, as written, and the targets.
        nodes: &'static [(&'static str, TargetInfo)],
    },
    /// `match key { .. }`.
    Match {
        /// The arms.
        routes: &'static [RouteInfo],
    },
}

/// The declaration of an arm.
#[derive(Debug, Clone, Copy)]
pub struct RouteInfo {
    /// The pattern with its guard.
    pub pattern: &'static str,
    /// Its documentation comment.
    pub docs: &'static str,
    /// The target that answers.
    pub target: TargetInfo,
}

impl TargetInfo {
    /// The name of the innermost backend, if there is a single one; otherwise `balance` or `match`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Backend { name } => name,
            Self::With { target, .. } => target.name(),
            Self::Balance { .. } => "balance",
            Self::Match { .. } => "match",
        }
    }
}

impl fmt::Display for TargetInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend { name } => f.write_str(name),
            Self::With { middleware, target } => write!(f, "{} > {target}", middleware.join(" > ")),
            Self::Balance { nodes } => {
                f.write_str("balance")?;
                for (position, (weight, target)) in nodes.iter().enumerate() {
                    let before = if position == 0 { " " } else { " | " };
                    write!(f, "{before}{weight} x {target}")?;
                }
                Ok(())
            }
            Self::Match { routes } => write!(f, "{} routes", routes.len()),
        }
    }
}

impl Description {
    pub(crate) fn absorb(&mut self, other: Self, path: impl Fn(&str) -> String) {
        let Self {
            channels,
            endpoints,
            mounts,
        } = other;
        self.channels
            .extend(channels.into_iter().map(|(at, info)| (path(&at), info)));
        self.endpoints
            .extend(endpoints.into_iter().map(|info| EndpointInfo {
                path: path(&info.path),
                ..info
            }));
        self.mounts
            .extend(mounts.into_iter().map(|(at, docs)| (path(&at), docs)));
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, info) in &self.channels {
            writeln!(f, "channel {path}")?;
            if !info.http.is_empty() {
                writeln!(f, "  http        {}", info.http.join(" > "))?;
            }
            if !info.middleware.is_empty() {
                writeln!(f, "  middleware  {}", info.middleware.join(" > "))?;
            }
            match info.target {
                TargetInfo::Match { routes } => {
                    let width = routes
                        .iter()
                        .map(|route| route.pattern.len())
                        .max()
                        .unwrap_or(0);
                    for route in routes {
                        write!(f, "  {:width$}  ->  {}", route.pattern, route.target)?;
                        comment(f, route.docs)?;
                    }
                }
                target => {
                    write!(f, "  ->  {target}")?;
                    comment(f, info.docs)?;
                }
            }
        }
        for endpoint in &self.endpoints {
            write!(f, "{:7} {}", endpoint.method.to_lowercase(), endpoint.path)?;
            comment(f, endpoint.docs)?;
        }
        for (path, docs) in &self.mounts {
            write!(f, "mount   {path}")?;
            comment(f, docs)?;
        }
        Ok(())
    }
}

/// Writes the first line of a documentation comment after the item that it documents.
fn comment(f: &mut fmt::Formatter<'_>, docs: &str) -> fmt::Result {
    match docs.lines().next().map(str::trim) {
        None | Some("") => writeln!(f),
        Some(line) => writeln!(f, "    {line}"),
    }
}
