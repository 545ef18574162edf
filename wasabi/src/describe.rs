//! A description of a gateway, for a start-up log, a test, or documentation.

use std::fmt;

/// The parts of a gateway. Its `Display` is a human-readable table.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Description {
    /// The channels with their paths.
    pub channels: Vec<(String, ChannelInfo)>,
    /// The routes of [`RouteTable`](crate::RouteTable)s, with the paths of their channels.
    pub tables: Vec<(String, RouteInfo)>,
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
    /// `routes = [..]` with the target of all other keys.
    Sets {
        /// The sets of routes.
        sets: &'static [TargetInfo],
        /// The target of the channel, or the `match` of a set with sets in it.
        target: &'static TargetInfo,
    },
}

/// The declaration of an arm.
#[derive(Debug, Clone, Copy)]
pub struct RouteInfo {
    /// The name of the route: the pattern of the arm with its guard, as [`Request::route`](crate::Request::route) says
    /// it.
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
            Self::With { target, .. } | Self::Sets { target, .. } => target.name(),
            Self::Balance { .. } => "balance",
            Self::Match { .. } => "match",
        }
    }
}

impl fmt::Display for TargetInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend { name } => f.write_str(name),
            Self::With {
                middleware: [],
                target,
            } => target.fmt(f),
            Self::With { middleware, target } => write!(f, "{} > {target}", middleware.join(" > ")),
            Self::Balance { nodes } => {
                f.write_str("balance")?;
                for (position, (weight, target)) in nodes.iter().enumerate() {
                    let before = if position == 0 { " " } else { " | " };
                    write!(f, "{before}{weight} x {target}")?;
                }
                Ok(())
            }
            Self::Match { .. } | Self::Sets { .. } => write!(f, "{} routes", self.count()),
        }
    }
}

impl TargetInfo {
    fn has_routes(&self) -> bool {
        match self {
            Self::Match { .. } | Self::Sets { .. } => true,
            Self::With { target, .. } => target.has_routes(),
            Self::Backend { .. } | Self::Balance { .. } => false,
        }
    }

    /// How many arms it has.
    fn count(&self) -> usize {
        match self {
            Self::Match { routes } => routes.len(),
            Self::With { target, .. } => target.count(),
            Self::Sets { sets, target } => {
                sets.iter().map(Self::count).sum::<usize>() + target.count()
            }
            Self::Backend { .. } | Self::Balance { .. } => 1,
        }
    }
}

/// A route with everything around its target.
#[derive(Clone)]
struct Row<'a> {
    route: &'a str,
    docs: &'a str,
    middleware: Vec<&'a str>,
    target: &'a TargetInfo,
}

impl<'a> Row<'a> {
    /// The row of a channel without routes.
    fn of(docs: &'a str) -> Self {
        Self {
            route: "",
            docs,
            middleware: Vec::new(),
            target: &TargetInfo::Backend { name: "" },
        }
    }
}

impl TargetInfo {
    /// Adds a row for each route of the target, which is inside of what `outer` says.
    fn rows<'a>(&'a self, outer: Row<'a>, rows: &mut Vec<Row<'a>>) {
        match self {
            Self::Backend { .. } | Self::Balance { .. } => rows.push(Row {
                target: self,
                ..outer
            }),
            Self::With { middleware, target } => {
                let mut inside = outer;
                inside.middleware.extend_from_slice(middleware);
                target.rows(inside, rows);
            }
            Self::Sets { sets, target } => {
                for set in *sets {
                    set.rows(outer.clone(), rows);
                }
                let mut rest = outer;
                if rest.route.is_empty() && !target.has_routes() {
                    rest.route = "_";
                }
                target.rows(rest, rows);
            }
            Self::Match { routes } => {
                for RouteInfo {
                    pattern,
                    docs,
                    target,
                } in *routes
                {
                    let mut inside = outer.clone();
                    inside.docs = match docs.is_empty() && !outer.route.is_empty() {
                        true => outer.docs,
                        false => docs,
                    };
                    inside.route = pattern;
                    target.rows(inside, rows);
                }
            }
        }
    }
}

impl Description {
    pub(crate) fn absorb(&mut self, other: Self, path: impl Fn(&str) -> String) {
        let Self {
            channels,
            tables,
            endpoints,
            mounts,
        } = other;
        self.channels
            .extend(channels.into_iter().map(|(at, info)| (path(&at), info)));
        self.tables
            .extend(tables.into_iter().map(|(at, info)| (path(&at), info)));
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
            let mut rows = Vec::new();
            info.target.rows(Row::of(info.docs), &mut rows);
            let tables = self.tables.iter().filter(|(at, _)| at == path);
            for (
                _,
                RouteInfo {
                    pattern, target, ..
                },
            ) in tables
            {
                let mut row = Row::of("");
                row.route = pattern;
                target.rows(row, &mut rows);
            }
            let width = rows.iter().map(|row| row.route.len()).max().unwrap_or(0);
            for row in rows {
                write!(f, "  {:width$}", row.route)?;
                if width > 0 {
                    f.write_str("  ")?;
                }
                f.write_str("->  ")?;
                for middleware in row.middleware {
                    write!(f, "{middleware} > ")?;
                }
                write!(f, "{}", row.target)?;
                comment(f, row.docs)?;
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
