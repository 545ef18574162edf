//! The signature of a function that becomes a middleware.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::{
    FnArg, GenericParam, ItemFn, ReturnType, Signature, Type, parse_quote_spanned, spanned::Spanned,
};

use crate::{
    diagnostics::Diagnostics,
    extractor::{OWNED, is_known},
    fragment::mentions,
};

/// What the middleware is around.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Around {
    #[default]
    Message,
    /// With the option `http`.
    Handshake,
}

impl Around {
    /// What the attribute needs.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Message => {
                "`#[middleware]` needs an `async fn(req: Request, next: impl Next) -> Result<Reply>`"
            }
            Self::Handshake => {
                "`#[middleware(http)]` needs an `async fn(request: http::Request, next: http::Next) -> impl http::IntoResponse` with `wasabi::middleware::http`"
            }
        }
    }

    fn last_arguments(self) -> &'static str {
        match self {
            Self::Message => {
                "the last two arguments are `req: Request` and `next: impl Next`; \
                 for a middleware around the handshake write `#[middleware(http)]`"
            }
            Self::Handshake => {
                "the last two arguments are `request: http::Request` and `next: http::Next` of `wasabi::middleware::http`; \
                 for a middleware around each message remove `(http)`"
            }
        }
    }
}

/// An argument before the request.
pub(super) enum Argument {
    /// Gets its value in `gateway!`.
    Field(Field),
    /// Taken from each request.
    Extracted(Type),
}

/// An argument that becomes a field of the struct.
pub(super) struct Field {
    pub(super) ty: Type,
    /// Taken as `&T`, not cloned for each message.
    pub(super) is_reference: bool,
}

/// Reports clear slips in the signature and corrects them, so that the compiler does not report them again.
pub(super) fn amend(
    function: &mut ItemFn,
    around: Around,
    p: &TokenStream,
    diagnostics: &mut Diagnostics,
) {
    let signature = &mut function.sig;
    let mut types = signature
        .inputs
        .iter_mut()
        .rev()
        .filter_map(|argument| match argument {
            FnArg::Typed(argument) => Some(&mut *argument.ty),
            FnArg::Receiver(_) => None,
        });
    if let Some(next) = types.next()
        && around == Around::Message
        && last_word(next).is_some_and(|word| word == "Next")
    {
        diagnostics.error(&*next, "`Next` is a trait here: write `next: impl Next`");
        *next = parse_quote_spanned!(next.span()=> impl #p::Next);
    }
    if let Some(request) = types.next()
        && let Type::Reference(reference) = &*request
        && last_word(&reference.elem).is_some_and(|word| word == "Request")
    {
        diagnostics.error(&*request, "take the request by value: write `req: Request`");
        *request = (*reference.elem).clone();
    }
    if let (ReturnType::Default, Around::Message) = (&signature.output, around) {
        let name = &signature.ident;
        diagnostics.error(
            name,
            "a middleware returns the reply: write `-> Result<Reply>`",
        );
        signature.output = parse_quote_spanned!(name.span()=> -> #p::Result<#p::Reply, #p::Error>);
    }
}

/// The last word of a path.
fn last_word(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        _ => None,
    }
}

/// The arguments before the request; `None` if the function cannot become a middleware. Takes `#[extract]` away from
/// them.
pub(super) fn arguments(
    signature: &mut Signature,
    around: Around,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Argument>> {
    let marked = marked(signature, around, diagnostics);
    let signature = &*signature;
    if signature.asyncness.is_none() {
        diagnostics.error(
            signature.fn_token,
            "a middleware function must be `async`: write `async fn`",
        );
    }
    let mut types: Vec<&Type> = Vec::new();
    for argument in &signature.inputs {
        match argument {
            FnArg::Receiver(receiver) => {
                let message =
                    "a middleware function takes no `self`; implement `Middleware` instead";
                diagnostics.error(receiver, message);
                return None;
            }
            FnArg::Typed(argument) => types.push(&argument.ty),
        }
    }
    let [arguments @ .., request, next] = types.as_slice() else {
        let expected = around.expected();
        let message = format!("a middleware function takes the request and `next`; {expected}");
        diagnostics.error(&signature.ident, message);
        return None;
    };
    let generic = Generic::of(signature);
    let misplaced = match around {
        Around::Handshake => [request, next].into_iter().find(|ty| generic.has(ty)),
        Around::Message if generic.has(request) => Some(request),
        Around::Message if !generic.has(next) => Some(next),
        Around::Message => None,
    };
    if let Some(misplaced) = misplaced {
        diagnostics.error(misplaced, around.last_arguments());
        return None;
    }
    let mut found = Vec::new();
    for (ty, is_marked) in arguments.iter().zip(marked) {
        if generic.has(ty) {
            let message = "an argument before the request becomes a field of a struct, so it cannot be generic: write its type";
            diagnostics.error(ty, message);
            return None;
        }
        let is_extracted = is_marked || is_known(ty);
        match around {
            Around::Handshake if is_extracted => diagnostics.error(ty, NOT_OF_A_HANDSHAKE),
            Around::Message if is_extracted && has_lifetime(ty) => diagnostics.error(ty, OWNED),
            Around::Message if is_extracted => found.push(Argument::Extracted((*ty).clone())),
            _ => found.push(Argument::Field(field(ty, diagnostics)?)),
        }
    }
    Some(found)
}

const NOT_OF_A_HANDSHAKE: &str = "HTTP middleware takes no extractors: an argument before the request gets its value in `gateway!`";

/// Which arguments are marked with `#[extract]`.
fn marked(signature: &mut Signature, around: Around, diagnostics: &mut Diagnostics) -> Vec<bool> {
    let count = signature.inputs.len();
    let mut marked = Vec::new();
    for (i, argument) in signature.inputs.iter_mut().enumerate() {
        let attrs = match argument {
            FnArg::Receiver(receiver) => &mut receiver.attrs,
            FnArg::Typed(argument) => &mut argument.attrs,
        };
        let found = attrs.iter().find(|attr| attr.path().is_ident("extract"));
        if let Some(found) = found
            && i + 2 >= count
        {
            diagnostics.error(found, around.last_arguments());
        }
        marked.push(found.is_some());
        attrs.retain(|attr| !attr.path().is_ident("extract"));
    }
    marked
}

/// Whether a type has a lifetime of its own.
fn has_lifetime(ty: &Type) -> bool {
    let text = ty.to_token_stream().to_string();
    text.replace("& 'static", "")
        .replace("'static", "")
        .contains(['\'', '&'])
}

/// The words that make a type of the signature generic.
struct Generic(Vec<String>);

impl Generic {
    fn of(signature: &Signature) -> Self {
        let parameters = signature.generics.params.iter();
        let parameters = parameters.filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => Some(parameter.ident.to_string()),
            GenericParam::Const(parameter) => Some(parameter.ident.to_string()),
            GenericParam::Lifetime(_) => None,
        });
        Self(parameters.chain(["impl".to_owned()]).collect())
    }

    fn has(&self, ty: &Type) -> bool {
        let tokens = ty.to_token_stream();
        self.0.iter().any(|name| mentions(&tokens, name))
    }
}

fn field(ty: &Type, diagnostics: &mut Diagnostics) -> Option<Field> {
    let Type::Reference(reference) = ty else {
        return Some(Field {
            ty: ty.clone(),
            is_reference: false,
        });
    };
    if reference
        .lifetime
        .as_ref()
        .is_some_and(|lifetime| lifetime.ident == "static")
    {
        return Some(Field {
            ty: ty.clone(),
            is_reference: false,
        });
    }
    let instead = match &*reference.elem {
        Type::Path(path) if path.path.is_ident("str") => Some("`&'static str` or `&String`"),
        Type::Slice(_) => Some("`&Vec<..>`"),
        Type::TraitObject(_) => Some("`&Box<dyn ..>` or `Arc<dyn ..>`"),
        _ => None,
    };
    if let Some(instead) = instead {
        diagnostics.error(
            ty,
            format_args!("the middleware owns its arguments, so they need a size: write {instead}"),
        );
        return None;
    }
    if let Some(mutable) = &reference.mutability {
        diagnostics.error(
            mutable,
            "the middleware handles many messages at once, so it cannot take `&mut T`: take `&T`",
        );
        return None;
    }
    Some(Field {
        ty: (*reference.elem).clone(),
        is_reference: true,
    })
}
