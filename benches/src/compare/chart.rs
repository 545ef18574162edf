//! The results as a bar chart.

use std::fmt::Write;

use super::{plan::WORK, report::Results};
use crate::load::Kind;

const WIDTH: f64 = 860.0;
const NAMES: f64 = 330.0;
const BAR: f64 = 20.0;

/// One group of bars for each kind of work, the shortest first.
// Long: a picture, drawn from top to bottom.
pub(super) fn svg(results: &Results) -> String {
    let mut body = String::new();
    let mut y = 32.0;
    for work in WORK {
        let mut bars: Vec<(&str, f64)> = results
            .rows(work)
            .iter()
            .filter_map(|row| Some((row.name, row.cost(work.kind)?)))
            .collect();
        bars.sort_by(|a, b| a.1.total_cmp(&b.1));
        let Some((_, longest)) = bars.last().copied() else {
            continue;
        };
        let unit = match work.kind {
            Kind::Messages => "µs a message",
            Kind::Broadcasts | Kind::Nodes => "µs a receipt",
            Kind::Handshakes => "µs a handshake",
            Kind::Churn => "µs a connection",
            Kind::Idle => "bytes a connection",
            Kind::Calm | Kind::Mixed => "ms until 99 of 100 answers",
        };
        y += 24.0;
        let _ = writeln!(
            body,
            r#"<text class="title" x="8" y="{y}">{} <tspan class="unit">{unit}</tspan></text>"#,
            work.title
        );
        y += 10.0;
        for (name, cost) in bars {
            let class = if name.starts_with("wasabi") {
                "own"
            } else {
                "peer"
            };
            let width = ((WIDTH - NAMES - 90.0) * cost / longest).max(1.0);
            let (middle, end) = (y + 14.0, NAMES + width + 8.0);
            let figure = match work.kind {
                Kind::Idle => format!("{cost:.0}"),
                _ if cost < 10.0 => format!("{cost:.2}"),
                _ => format!("{cost:.1}"),
            };
            let _ = writeln!(
                body,
                r#"<text class="{class}" x="{}" y="{middle}" text-anchor="end">{name}</text>
<rect class="{class}" x="{NAMES}" y="{}" width="{width:.1}" height="{}" rx="2"/>
<text class="figure" x="{end:.1}" y="{middle}">{figure}</text>"#,
                NAMES - 8.0,
                y + 2.0,
                BAR - 5.0,
            );
            y += BAR;
        }
        y += 10.0;
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="system-ui, sans-serif" font-size="13">
<style>
.ground {{ fill: #ffffff }} text {{ fill: #1f2328 }} .title {{ font-weight: 600; font-size: 14px }} .unit {{ font-weight: 400; fill: #656d76 }}
rect.own {{ fill: #2da44e }} rect.peer {{ fill: #afb8c1 }} text.own {{ font-weight: 600 }}
@media (prefers-color-scheme: dark) {{ .ground {{ fill: #0d1117 }} text {{ fill: #e6edf3 }} .unit {{ fill: #8d96a0 }} rect.peer {{ fill: #484f58 }} }}
</style>
<rect class="ground" width="100%" height="100%" rx="6"/>
<text class="unit" x="8" y="24">Processor time of the server, or its memory: less is better</text>
{body}</svg>
"#
    )
}
