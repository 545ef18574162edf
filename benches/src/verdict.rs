//! Verdicts about required results.

/// Says whether a figure is within its limit, or else by how much it is not.
pub(crate) fn verdict(figure: f64, limit: f64) -> String {
    match figure <= limit {
        true => "met".to_owned(),
        false => format!("missed by {:.0} %", (figure / limit - 1.0) * 100.0),
    }
}
