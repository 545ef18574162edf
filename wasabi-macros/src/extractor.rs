//! Extractors in the signatures of functions.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{GenericArgument, PathArguments, Type, spanned::Spanned};

/// What to say about an extractor that borrows.
pub(crate) const OWNED: &str = "a request is read into values that own their data: use `String` and other owned types for the fields, or `Cow<'static, str>`";

/// Wasabi's extractors that can be nothing else. Text, bytes and headers may also be values that a program passes on.
const KNOWN: [&str; 15] = [
    "ClientIp",
    "Connection",
    "Extension",
    "Identity",
    "InFlight",
    "Json",
    "Key",
    "Params",
    "Parsed",
    "Path",
    "PeerCertificates",
    "Query",
    "RequestId",
    "Stash",
    "State",
];

/// Whether a type is an extractor of wasabi by its name, or an `Option` of one.
pub(crate) fn is_known(ty: &Type) -> bool {
    let Type::Path(path) = ty else {
        return false;
    };
    let Some(last) = path.path.segments.last() else {
        return false;
    };
    match &last.arguments {
        PathArguments::AngleBracketed(inner) if last.ident == "Option" => {
            matches!(inner.args.first(), Some(GenericArgument::Type(inner)) if is_known(inner))
        }
        _ => KNOWN.iter().any(|name| last.ident == name),
    }
}

/// Whether `Json<T>` and its like have a `T` that borrows.
pub(crate) fn borrows(ty: &Type) -> bool {
    let Type::Path(path) = ty else {
        return false;
    };
    let readers = ["Json", "Query", "Path", "Params"];
    let last = path.path.segments.last();
    let is_reader = last.is_some_and(|last| readers.iter().any(|name| last.ident == name));
    let text = ty.to_token_stream().to_string().replace("'static", "");
    is_reader && text.contains(['\'', '&'])
}

/// Requires a type to be an extractor, with its span.
pub(crate) fn required(state: &TokenStream, ty: &Type, p: &TokenStream) -> TokenStream {
    quote_spanned!(ty.span()=> #p::required(<#ty as #p::FromRequest<#state>>::MET);)
}

/// Types as nested pairs: `(A, (B, ()))`.
pub(crate) fn pairs(types: &[&Type]) -> TokenStream {
    let pair = |rest, ty| quote!((#ty, #rest));
    types.iter().rfold(quote!(()), pair)
}
