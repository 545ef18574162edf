//! What closures read from the path of their channel.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{ExprClosure, GenericArgument, Pat, PathArguments, Type};
use wasabi_rules::{declared_path, parameter_count};

use crate::{
    diagnostics::Diagnostics,
    fragment::text,
    gateway::{
        ast::{Gateway, SectionKind},
        settings::{Role, Value},
    },
};

pub(super) fn check(gateway: &Gateway, diagnostics: &mut Diagnostics) {
    for section in &gateway.sections {
        let SectionKind::Channel(channel) = &section.kind else {
            continue;
        };
        let path = section.path.string().map(|path| path.value());
        let Some(names) = path.and_then(|path| declared_path(&path).ok()) else {
            continue;
        };
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        channel
            .targets()
            .for_each(|target| target.expressions(&mut found));
        let hooks = channel
            .settings
            .iter()
            .filter_map(|setting| match &setting.value {
                Value::One(hook, Role::Checked) => Some(hook),
                _ => None,
            });
        let closures = found.into_iter().chain(hooks);
        for closure in closures.filter(|target| target.is_closure()) {
            check_closure(closure.tokens(), &names, diagnostics);
        }
    }
}

fn check_closure(closure: &TokenStream, names: &[&str], diagnostics: &mut Diagnostics) {
    let Ok(closure) = syn::parse2::<ExprClosure>(closure.clone()) else {
        return;
    };
    for argument in &closure.inputs {
        if let Pat::Type(argument) = argument
            && let Some((ty, wanted)) = parameters(&argument.ty)
            && let Err(message) = parameter_count(wanted, names)
        {
            let hint = match wanted > names.len() {
                true => {
                    "\nin a gateway that is mounted at a path with parameters, write a function instead of a closure"
                }
                false => "",
            };
            let ty = text(&ty.to_token_stream());
            diagnostics.error(&argument.ty, format_args!("`Path<{ty}>` {message}{hint}"));
        }
    }
}

/// The `T` of `Path<T>` and how many parameters it takes; `None` if only the compiler knows that.
fn parameters(ty: &Type) -> Option<(&Type, usize)> {
    let Type::Path(path) = ty else {
        return None;
    };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    let (true, Some(GenericArgument::Type(ty))) = (last.ident == "Path", arguments.args.first())
    else {
        return None;
    };
    let count = match ty {
        Type::Tuple(tuple) if !tuple.elems.is_empty() => tuple.elems.len(),
        Type::Path(path) if SINGLE.iter().any(|name| path.path.is_ident(name)) => 1,
        _ => return None,
    };
    Some((ty, count))
}

/// Types of one value.
const SINGLE: [&str; 17] = [
    "String", "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8",
    "u16", "u32", "u64", "u128", "usize",
];
