//! Unit literals: `100ms` to a `Duration`, `64KiB` to a number of bytes.

use proc_macro2::{Delimiter, Group, Literal, Span, TokenStream, TokenTree};
use quote::quote_spanned;

use crate::diagnostics::{Diagnostics, did_you_mean, list};

enum Unit {
    /// A constructor of `Duration` and how many of its units one of ours is.
    Time(&'static str, u64),
    Bytes(u64),
}

const UNITS: &[(&str, Unit)] = &[
    ("us", Unit::Time("from_micros", 1)),
    ("ms", Unit::Time("from_millis", 1)),
    ("s", Unit::Time("from_secs", 1)),
    ("min", Unit::Time("from_secs", 60)),
    ("h", Unit::Time("from_secs", 60 * 60)),
    ("B", Unit::Bytes(1)),
    ("KB", Unit::Bytes(1000)),
    ("MB", Unit::Bytes(1000 * 1000)),
    ("GB", Unit::Bytes(1000 * 1000 * 1000)),
    ("KiB", Unit::Bytes(1 << 10)),
    ("MiB", Unit::Bytes(1 << 20)),
    ("GiB", Unit::Bytes(1 << 30)),
];

/// Spellings that people use for the units above.
const SPELLINGS: &[(&str, &str)] = &[
    ("b", "B"),
    ("byte", "B"),
    ("bytes", "B"),
    ("d", "h"),
    ("day", "h"),
    ("days", "h"),
    ("g", "GB"),
    ("k", "KB"),
    ("m", "min"),
    ("micros", "us"),
    ("millis", "ms"),
    ("minute", "min"),
    ("minutes", "min"),
    ("msec", "ms"),
    ("ns", "us"),
    ("sec", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("secs", "s"),
    ("usec", "us"),
];

const NUMBERS: &[&str] = &[
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f16",
    "f32", "f64", "f128",
];

/// A literal, as far as units are concerned.
enum Parsed {
    /// No number, or a number with a suffix of Rust's own.
    Ordinary,
    Unit(&'static Unit, Option<u64>),
    /// `1.5s`: digits, decimals, unit.
    Decimal(String, String, &'static str),
    Unknown {
        digits: String,
        suffix: String,
    },
}

fn parse(literal: &str) -> Parsed {
    let end_of_digits = literal
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(literal.len());
    let (digits, rest) = literal.split_at(end_of_digits);
    if digits.is_empty() || rest.is_empty() || NUMBERS.contains(&rest.trim_start_matches('_')) {
        return Parsed::Ordinary;
    }
    // Another base, `0x1B`, or an exponent, `1e3`, `1E-3`.
    let is_base = digits == "0"
        && matches!(
            rest.as_bytes(),
            [
                b'x' | b'o' | b'b',
                b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b'_',
                ..,
            ]
        );
    let is_exponent = |rest: &str| {
        matches!(
            rest.as_bytes(),
            [b'e' | b'E', b'0'..=b'9' | b'+' | b'-' | b'_', ..]
        )
    };
    if is_base || is_exponent(rest) {
        return Parsed::Ordinary;
    }
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    if let Some(decimals) = rest.strip_prefix('.') {
        let end = decimals
            .find(|c: char| !c.is_ascii_digit() && c != '_')
            .unwrap_or(decimals.len());
        let (decimals, suffix) = decimals.split_at(end);
        return match UNITS.iter().find(|(name, _)| *name == suffix) {
            Some((name, _)) => Parsed::Decimal(digits, decimals.replace('_', ""), name),
            None if suffix.is_empty() || NUMBERS.contains(&suffix) || is_exponent(suffix) => {
                Parsed::Ordinary
            }
            None => Parsed::Unknown {
                digits,
                suffix: suffix.to_owned(),
            },
        };
    }
    match UNITS.iter().find(|(name, _)| *name == rest) {
        Some((_, unit)) => Parsed::Unit(unit, amount(&digits, unit)),
        None => Parsed::Unknown {
            digits,
            suffix: rest.to_owned(),
        },
    }
}

/// How much it is in the units of the constructor; `None` if that does not fit.
fn amount(digits: &str, unit: &Unit) -> Option<u64> {
    let (Unit::Time(_, factor) | Unit::Bytes(factor)) = unit;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A duration in microseconds, if the tokens are a duration literal and nothing else.
pub(crate) fn micros(tokens: &TokenStream) -> Option<u64> {
    let literal: Literal = syn::parse2(tokens.clone()).ok()?;
    match parse(&literal.to_string()) {
        Parsed::Unit(Unit::Time("from_micros", _), amount) => amount,
        Parsed::Unit(Unit::Time("from_millis", _), amount) => amount?.checked_mul(1000),
        Parsed::Unit(Unit::Time(..), amount) => amount?.checked_mul(1_000_000),
        _ => None,
    }
}

/// Reports every number whose suffix is no unit, at any depth; arguments of other macros have rules of their own.
pub(crate) fn check(tokens: &TokenStream, diagnostics: &mut Diagnostics) {
    let mut after_bang = false;
    for tree in tokens.clone() {
        match &tree {
            TokenTree::Group(group) if !(after_bang && group.delimiter() != Delimiter::None) => {
                check(&group.stream(), diagnostics);
            }
            TokenTree::Literal(literal) => check_literal(literal, diagnostics),
            _ => {}
        }
        after_bang = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == '!');
    }
}

fn check_literal(literal: &Literal, diagnostics: &mut Diagnostics) {
    match parse(&literal.to_string()) {
        Parsed::Ordinary | Parsed::Unit(_, Some(_)) => {}
        Parsed::Unit(_, None) => {
            diagnostics.error(literal, format_args!("`{literal}` is too large"))
        }
        Parsed::Decimal(digits, decimals, unit) => {
            let instead = match smaller(&digits, &decimals, unit) {
                Some(instead) => format!("write `{instead}`"),
                None => "take a smaller unit".to_owned(),
            };
            diagnostics.error(
                literal,
                format_args!("`{literal}` is no whole number; {instead}"),
            );
        }
        Parsed::Unknown { digits, suffix } => {
            let hint = match intended(&suffix) {
                Some("h") if suffix.starts_with('d') => match digits
                    .parse::<u64>()
                    .ok()
                    .and_then(|days| days.checked_mul(24))
                {
                    Some(hours) => format!("; write `{hours}h`"),
                    None => String::new(),
                },
                Some(unit) => format!("; did you mean `{digits}{unit}`?"),
                None => String::new(),
            };
            let (times, sizes): (Vec<_>, Vec<_>) = UNITS
                .iter()
                .partition(|(_, unit)| matches!(unit, Unit::Time(..)));
            diagnostics.error(
                literal,
                format_args!(
                    "`{suffix}` is not a unit{hint}\ndurations: {}; sizes: {}",
                    list(times.iter().map(|(name, _)| *name)),
                    list(sizes.iter().map(|(name, _)| *name)),
                ),
            );
        }
    }
}

/// The unit that a wrong suffix stands for.
fn intended(suffix: &str) -> Option<&'static str> {
    let lower = suffix.to_lowercase();
    let spelling = SPELLINGS.iter().find(|(spelling, _)| *spelling == lower);
    let case = UNITS.iter().find(|(name, _)| name.to_lowercase() == lower);
    match (spelling, case) {
        (_, Some((name, _))) | (Some((_, name)), None) => Some(name),
        (None, None) if suffix.len() > 2 => {
            did_you_mean(suffix, UNITS.iter().map(|(name, _)| *name))
        }
        (None, None) => None,
    }
}

/// The same amount as a whole number of a smaller unit.
fn smaller(digits: &str, decimals: &str, unit: &str) -> Option<String> {
    const STEPS: &[(&str, u64, &str)] = &[
        ("h", 60, "min"),
        ("min", 60, "s"),
        ("s", 1000, "ms"),
        ("ms", 1000, "us"),
        ("GiB", 1024, "MiB"),
        ("MiB", 1024, "KiB"),
        ("KiB", 1024, "B"),
        ("GB", 1000, "MB"),
        ("MB", 1000, "KB"),
        ("KB", 1000, "B"),
    ];
    let (mut unit, decimals) = (unit, decimals.trim_end_matches('0'));
    let mut scale = 10u64.checked_pow(decimals.len().try_into().ok()?)?;
    let mut amount = format!("{digits}{decimals}").parse::<u64>().ok()?;
    while amount % scale != 0 {
        let (_, factor, next) = STEPS.iter().find(|(name, ..)| *name == unit)?;
        (amount, unit) = (amount.checked_mul(*factor)?, next);
    }
    amount /= std::mem::replace(&mut scale, 1);
    Some(format!("{amount}{unit}"))
}

/// Replaces every unit literal, at any depth. `private` is the path to what expansions name.
pub(crate) fn rewrite(tokens: &TokenStream, private: &TokenStream) -> TokenStream {
    tokens
        .clone()
        .into_iter()
        .map(|tree| match tree {
            TokenTree::Group(group) => {
                let mut rewritten =
                    Group::new(group.delimiter(), rewrite(&group.stream(), private));
                rewritten.set_span(group.span());
                TokenTree::Group(rewritten).into()
            }
            TokenTree::Literal(literal) => rewrite_literal(literal, private),
            other => other.into(),
        })
        .collect()
}

fn rewrite_literal(literal: Literal, private: &TokenStream) -> TokenStream {
    let span = literal.span();
    match parse(&literal.to_string()) {
        Parsed::Ordinary => TokenTree::Literal(literal).into(),
        Parsed::Unit(unit, Some(amount)) => value(unit, amount, private, span),
        // Reported already: what was meant takes its place, so that nothing else is said about it.
        Parsed::Unit(unit, None) => value(unit, 1, private, span),
        Parsed::Decimal(_, _, unit) => guessed(unit, private, span),
        Parsed::Unknown { suffix, .. } => match intended(&suffix) {
            Some(unit) => guessed(unit, private, span),
            None => TokenTree::Literal(literal).into(),
        },
    }
}

fn guessed(name: &str, private: &TokenStream, span: Span) -> TokenStream {
    match UNITS.iter().find(|(unit, _)| *unit == name) {
        Some((_, unit)) => value(unit, 1, private, span),
        None => TokenStream::new(),
    }
}

fn value(unit: &Unit, amount: u64, private: &TokenStream, span: Span) -> TokenStream {
    match unit {
        Unit::Time(constructor, _) => {
            let constructor = proc_macro2::Ident::new(constructor, span);
            let mut amount = Literal::u64_unsuffixed(amount);
            amount.set_span(span);
            // A mistake in the type is underlined from the first of these tokens to the last.
            let private = private.clone().into_iter().map(|mut tree| {
                tree.set_span(tree.span().located_at(span));
                tree
            });
            let private: TokenStream = private.collect();
            quote_spanned!(span=> #private::Duration::#constructor(#amount))
        }
        Unit::Bytes(_) => {
            // The suffix names the type without a path that a user could shadow.
            let literal = format!("{amount}usize")
                .parse::<Literal>()
                .map(|mut literal| {
                    literal.set_span(span);
                    TokenTree::Literal(literal)
                });
            literal.into_iter().collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn rewritten(tokens: TokenStream) -> String {
        crate::fragment::text(&rewrite(&tokens, &quote!(P)))
    }

    fn mistakes(tokens: TokenStream) -> Vec<String> {
        let mut diagnostics = Diagnostics::default();
        check(&tokens, &mut diagnostics);
        diagnostics.messages()
    }

    #[test]
    fn durations_and_sizes_are_rewritten_at_any_depth() {
        assert_eq!(rewritten(quote!(250us)), "P::Duration::from_micros(250)");
        assert_eq!(
            rewritten(quote!(f(100ms, [2s]))),
            "f(P::Duration::from_millis(100), [P::Duration::from_secs(2)])"
        );
        assert_eq!(rewritten(quote!(5min)), "P::Duration::from_secs(300)");
        assert_eq!(rewritten(quote!(1h)), "P::Duration::from_secs(3600)");
        assert_eq!(rewritten(quote!(512B)), "512usize");
        assert_eq!(
            rewritten(quote!(64KiB + 1_0MiB)),
            "65536usize + 10485760usize"
        );
        assert_eq!(rewritten(quote!(64KB)), "64000usize");
    }

    #[test]
    fn numbers_of_rust_stay() {
        for number in [
            "1",
            "1u32",
            "2.0f64",
            "1_000usize",
            "0x1B",
            "0b101",
            "0xffu8",
            "1e3",
            "1.5e-3",
            "1_u8",
            "2.5",
        ] {
            let tokens: TokenStream = number.parse().unwrap();
            assert_eq!(rewritten(tokens.clone()), number);
            assert!(mistakes(tokens).is_empty(), "{number}");
        }
    }

    #[test]
    fn a_wrong_unit_lists_the_right_ones() {
        let units = "durations: `us`, `ms`, `s`, `min`, `h`; sizes: `B`, `KB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`";
        let message = |hint: &str| vec![format!("{hint}\n{units}")];
        assert_eq!(
            mistakes(quote!(5sec)),
            message("`sec` is not a unit; did you mean `5s`?")
        );
        assert_eq!(
            mistakes(quote!(10mb)),
            message("`mb` is not a unit; did you mean `10MB`?")
        );
        assert_eq!(
            mistakes(quote!(2d)),
            message("`d` is not a unit; write `48h`")
        );
        assert_eq!(mistakes(quote!(2x)), message("`x` is not a unit"));
    }

    #[test]
    fn a_decimal_is_written_in_a_smaller_unit() {
        assert_eq!(
            mistakes(quote!(1.5s)),
            ["`1.5s` is no whole number; write `1500ms`"]
        );
        assert_eq!(
            mistakes(quote!(0.5MiB)),
            ["`0.5MiB` is no whole number; write `512KiB`"]
        );
        assert_eq!(
            mistakes(quote!(0.3us)),
            ["`0.3us` is no whole number; take a smaller unit"]
        );
        assert_eq!(
            mistakes(quote!(2.0s)),
            ["`2.0s` is no whole number; write `2s`"]
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert_eq!(
            mistakes(quote!(99999999999999999999s)),
            ["`99999999999999999999s` is too large"]
        );
        assert_eq!(
            mistakes(quote!(18446744073709551615h)),
            ["`18446744073709551615h` is too large"]
        );
    }

    #[test]
    fn other_macros_keep_their_literals() {
        assert!(mistakes(quote!(css!(10px))).is_empty());
    }
}
