//! Suggestions and lists for messages.

/// Suggests a name: the nearest one, if it is near enough for a slip, or else the only one that shares the most words.
pub fn did_you_mean<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (found, names) = (found.to_lowercase(), Vec::from_iter(names));
    let limit = found.chars().count().div_ceil(3);
    let slip = names
        .iter()
        .map(|name| (distance(&found, &name.to_lowercase()), *name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance);
    slip.map(|(_, name)| name)
        .or_else(|| in_common(&found, &names))
}

/// `ping` for `ping_interval`, `max_message_size` for `message_size`; nothing for `timeout`, which is a part of several.
fn in_common<'a>(found: &str, names: &[&'a str]) -> Option<&'a str> {
    let words = |name: &str| {
        let words = name.split('_').filter(|word| word.len() > 2);
        words
            .map(|word| word.trim_end_matches('s').to_owned())
            .collect::<Vec<_>>()
    };
    let found = words(found);
    let shared = |name: &&str| {
        words(name)
            .iter()
            .filter(|word| found.contains(word))
            .count()
    };
    let most = names.iter().map(shared).max().filter(|most| *most > 0)?;
    let mut nearest = names.iter().filter(|name| shared(name) == most);
    match (nearest.next(), nearest.next()) {
        (Some(name), None) => Some(name),
        _ => None,
    }
}

/// The end of a message about an unknown name: a [suggestion](did_you_mean), or nothing.
pub fn hint<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    match did_you_mean(found, names) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => String::new(),
    }
}

/// `a`, `b`, `c`.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// Edits (insert, delete, replace, swap neighbours) between two words.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(x != y);
            let mut best = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let names = ["idle_timeout", "send_timeout", "ping", "middleware"];
        assert_eq!(did_you_mean("idle_timout", names), Some("idle_timeout"));
        assert_eq!(did_you_mean("midleware", names), Some("middleware"));
        assert_eq!(did_you_mean("pign", names), Some("ping"));
        assert_eq!(did_you_mean("PING", names), Some("ping"));
        assert_eq!(did_you_mean("route", names), None);
    }

    #[test]
    fn a_name_is_recognised_by_the_words_it_has_in_common_with_one() {
        let names = ["idle_timeout", "send_timeout", "ping", "max_message_size"];
        let meant = |found| did_you_mean(found, names);
        assert_eq!(meant("ping_interval"), Some("ping"));
        assert_eq!(meant("message_limit"), Some("max_message_size"));
        assert_eq!(meant("timeout_when_idle"), Some("idle_timeout"));
        assert_eq!(meant("timeout"), None);
        assert_eq!(meant("on_open"), None);
    }

    #[test]
    fn swapped_neighbours_are_one_edit() {
        assert_eq!(distance("pign", "ping"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
