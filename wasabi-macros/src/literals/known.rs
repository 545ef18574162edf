//! Calls whose literal arguments are checked: those of [`wasabi_rules::CALLS`].

use proc_macro2::TokenStream;
use syn::{LitByteStr, LitInt};
use wasabi_rules::{CALLS, Call as Known, Rule, Value};

use super::check_text;
use crate::{
    diagnostics::Diagnostics,
    fragment::{calls, elements, is_zero, string},
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
            if let Some(argument) = call.args.get(known.position) {
                check_argument(known, argument, diagnostics);
            }
        }
    }
}

fn check_argument(known: &Known, argument: &TokenStream, diagnostics: &mut Diagnostics) {
    if known.rule.is_list() {
        let elements = elements(argument).unwrap_or_default();
        for literal in elements.iter().filter_map(string) {
            check_text(&literal, |text| known.check(Value::Text(text)), diagnostics);
        }
    } else if let Some(literal) = string(argument) {
        check_text(&literal, |text| known.check(Value::Text(text)), diagnostics);
    } else if let Ok(literal) = syn::parse2::<LitByteStr>(argument.clone()) {
        let text = String::from_utf8_lossy(&literal.value()).into_owned();
        if let Err(message) = known.check(Value::Text(&text)) {
            diagnostics.error(literal, message);
        }
    } else if let Some(number) = number(known.rule, argument)
        && let Err(message) = known.check(Value::Number(number))
    {
        diagnostics.error(argument, message);
    }
}

/// The number that an argument is, as far as its rule needs to know it.
fn number(rule: Rule, argument: &TokenStream) -> Option<u64> {
    match rule {
        // With a unit, or made by a constructor of `Duration`.
        Rule::Count | Rule::Time => is_zero(argument).then_some(0),
        _ => {
            let literal: LitInt = syn::parse2(argument.clone()).ok()?;
            Some(literal.base10_parse().unwrap_or(u64::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

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
                args[known.position] = known.rule.source(value);
                let (owner, name, args) = (known.owner, known.name, args.join(", "));
                let call = match known.is_method {
                    true => format!("f({owner}::new().{name}({args}), [])"),
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
    fn values_that_are_not_literals_are_left_to_the_runtime() {
        let tokens = quote!(Http::post(&config.url).timeout(config.timeout));
        assert!(mistakes(&tokens).is_empty());
    }

    #[test]
    fn zeros_are_found_in_known_calls_only() {
        assert_eq!(
            mistakes(&quote!(with(
                [Timeout::new(0s), Retry::exponential(0, 0ms)],
                Http::post("http://a/").timeout(0s)
            ))),
            [
                "zero makes no sense in `Timeout::new(..)`; write a value above zero",
                "zero makes no sense in `Retry::exponential(..)`; write a value above zero",
                "zero makes no sense in `Http::timeout(..)`; write a value above zero",
            ]
        );
        assert!(mistakes(&quote!(Mine::new(0))).is_empty());
    }
}
