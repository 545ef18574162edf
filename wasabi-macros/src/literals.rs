//! Checks literals by the rules of [`wasabi_rules::CALLS`] and [`wasabi_rules::SETTINGS`].

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Lit, LitByteStr, LitInt};
use wasabi_rules::{CALLS, Call as Known, Rule, Setting, Value};

use crate::{
    diagnostics::Diagnostics,
    fragment::{calls, elements, string, text},
    units::micros,
};

/// Checks the literal arguments of every known call in the tokens, at any depth.
pub(crate) fn check_calls(tokens: &TokenStream, diagnostics: &mut Diagnostics) {
    for call in calls(tokens) {
        let name = call.name.to_string();
        let known = CALLS.iter().filter(|known| {
            known.is_method == call.is_method
                && known.name == name
                && call.owner.as_deref() == Some(known.owner)
        });
        for known in known {
            let arguments = match known.is_const {
                true => &call.generics,
                false => &call.args,
            };
            if let Some(argument) = arguments.get(known.position) {
                check_argument(known, argument, diagnostics);
            }
        }
    }
}

/// Checks the literal value of a setting, and those in a list.
pub(crate) fn check_setting(setting: Setting, tokens: &TokenStream, diagnostics: &mut Diagnostics) {
    let check = |value: Value<'_>| setting.check(value);
    if let Some(elements) = elements(tokens) {
        if let Err(message) = setting.check_count(elements.len()) {
            diagnostics.error(tokens, message);
        }
        for element in elements {
            check_text(&element, check, diagnostics);
        }
    }
    if is_zero(tokens)
        && let Err(message) = check(Value::Number(0))
    {
        diagnostics.error(tokens, message);
    }
}

fn check_argument(known: &Known, argument: &TokenStream, diagnostics: &mut Diagnostics) {
    let check = |value: Value<'_>| known.check(value);
    if known.rule.is_list() {
        for element in elements(argument).unwrap_or_default() {
            check_text(&element, check, diagnostics);
        }
        return;
    }
    check_text(argument, check, diagnostics);
    if let Some(number) = number(known.rule, argument)
        && let Err(message) = check(number)
    {
        diagnostics.error(argument, message);
    }
}

/// Checks the tokens if they are a string literal, of characters or bytes, and nothing else.
fn check_text(
    tokens: &TokenStream,
    check: impl Fn(Value<'_>) -> Result<(), String>,
    diagnostics: &mut Diagnostics,
) {
    let (literal, text) = if let Some(literal) = string(tokens) {
        let text = literal.value();
        (literal.into_token_stream(), text)
    } else if let Ok(literal) = syn::parse2::<LitByteStr>(tokens.clone()) {
        let text = String::from_utf8_lossy(&literal.value()).into_owned();
        (literal.into_token_stream(), text)
    } else {
        return;
    };
    if let Err(message) = check(Value::Text(&text)) {
        diagnostics.error(literal, message);
    }
}

/// The value of a numeric argument, as precisely as its rule needs it.
fn number(rule: Rule, argument: &TokenStream) -> Option<Value<'static>> {
    match rule {
        // With a unit, or made by a constructor of `Duration`.
        Rule::Count | Rule::Time => is_zero(argument).then_some(Value::Number(0)),
        Rule::Millis(_) if is_zero(argument) => Some(Value::Number(0)),
        Rule::Millis(_) => micros(argument).map(|micros| Value::Number(micros / 1000)),
        Rule::Budget => {
            let text = text(argument);
            let is_number = text.starts_with(|char: char| char == '-' || char.is_ascii_digit());
            let number = text.trim_end_matches("f32").parse().ok();
            number.filter(|_| is_number).map(Value::Decimal)
        }
        _ => {
            let literal: LitInt = syn::parse2(argument.clone()).ok()?;
            Some(Value::Number(literal.base10_parse().unwrap_or(u64::MAX)))
        }
    }
}

/// Whether the tokens are a visible zero: `0`, `0s`, `0.0`, `Duration::ZERO`, `Duration::from_secs(0)`.
pub(crate) fn is_zero(tokens: &TokenStream) -> bool {
    match syn::parse2::<Lit>(tokens.clone()) {
        Ok(Lit::Int(int)) => int.base10_digits() == "0",
        Ok(Lit::Float(float)) => float.base10_digits().parse() == Ok(0.0),
        Ok(_) => false,
        Err(_) => match calls(tokens).first() {
            Some(call) => {
                let is_duration = call.owner.as_deref() == Some("Duration");
                is_duration && call.args.len() == 1 && is_zero(&call.args[0])
            }
            None => text(tokens).ends_with("Duration::ZERO"),
        },
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;
    use wasabi_rules::SETTINGS;

    use super::*;

    fn mistakes(tokens: &TokenStream) -> Vec<String> {
        let mut diagnostics = Diagnostics::default();
        check_calls(tokens, &mut diagnostics);
        diagnostics.messages()
    }

    #[test]
    fn every_argument_with_a_rule_is_found_and_its_mistake_is_that_of_the_rule() {
        for known in CALLS {
            let found = |value: Value<'static>| {
                let mut args = vec!["_".to_owned(); known.position + 1];
                args[known.position] = match (known.rule, value) {
                    (Rule::Millis(_), Value::Number(millis)) => format!("{millis}ms"),
                    _ => known.rule.source(value),
                };
                let (owner, name, args) = (known.owner, known.name, args.join(", "));
                let call = match known.is_method {
                    true => format!("f({owner}::new().{name}({args}), [])"),
                    false if known.is_const => {
                        format!("f(wasabi::{owner}::{name}::<{args}>(), [])")
                    }
                    false => format!("f(wasabi::{owner}::{name}({args}).with(2), [])"),
                };
                mistakes(&call.parse().expect("tokens"))
            };
            let [accepted, refused] = known.rule.examples();
            assert_eq!(found(accepted), [""; 0], "{}", known.path());
            let mistake = known.check(refused).expect_err("a mistake");
            assert_eq!(found(refused), [mistake], "{}", known.path());
        }
    }

    #[test]
    fn every_setting_with_a_rule_is_checked_and_its_mistake_is_that_of_the_rule() {
        for setting in SETTINGS {
            let Some([accepted, refused]) = setting.kind.examples() else {
                continue;
            };
            let found = |value| {
                let mut diagnostics = Diagnostics::default();
                let tokens = setting.kind.source(value).parse().expect("tokens");
                check_setting(*setting, &tokens, &mut diagnostics);
                diagnostics.messages()
            };
            assert_eq!(found(accepted), [""; 0], "{}", setting.name);
            let mistake = setting.check(refused).expect_err("a mistake");
            assert_eq!(found(refused), [mistake], "{}", setting.name);
        }
    }

    #[test]
    fn values_that_are_not_literals_are_left_to_the_runtime() {
        let tokens = quote!(Http::post(&config.url).timeout(config.timeout));
        assert!(mistakes(&tokens).is_empty());
    }

    #[test]
    fn zeros_are_found_in_known_calls_only() {
        assert_eq!(
            mistakes(&quote!(with(
                [
                    Timeout::new(0s),
                    Retry::new(Backoff::exponential(0ms).retries(0))
                ],
                Http::post("http://a/").timeout(0s)
            ))),
            [
                "zero makes no sense in `Timeout::new(..)`; write a value above zero",
                "zero makes no sense in `Backoff::exponential(..)`; write a value above zero",
                "zero makes no sense in `Http::timeout(..)`; write a value above zero",
            ]
        );
        assert!(mistakes(&quote!(Mine::new(0))).is_empty());
    }

    #[test]
    fn zeros_are_seen() {
        for zero in [
            quote!(0),
            quote!(0s),
            quote!(0u32),
            quote!(0.0),
            quote!(0KiB),
            quote!(Duration::ZERO),
            quote!(std::time::Duration::from_millis(0)),
        ] {
            assert!(is_zero(&zero), "{zero}");
        }
        for other in [
            quote!(1),
            quote!(10),
            quote!(0.5),
            quote!(zero),
            quote!(Duration::from_millis(10)),
            quote!("0"),
        ] {
            assert!(!is_zero(&other), "{other}");
        }
    }
}
