//! `#[middleware]` and `#[middleware(http)]`: a struct of the function's name.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Attribute, FnArg, GenericParam, ItemFn, Path, ReturnType, Token, Type,
    parse::{ParseStream, Parser},
    parse_quote_spanned,
    spanned::Spanned,
};

use crate::{backend::mentions, diagnostics::Diagnostics};

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let options = Options::parse(options, &mut diagnostics);
    let expected = if options.is_http {
        "`#[middleware(http)]` stands on an `async fn(request: http::Request, next: http::Next) -> impl http::IntoResponse` with `wasabi::middleware::http`"
    } else {
        "`#[middleware]` stands on an `async fn(req: Request, next: impl Next) -> Result<Reply>`"
    };
    let mut function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            diagnostics.error(item.clone().into_iter().next(), expected);
            return quote!(#diagnostics #item);
        }
    };
    let p = match &options.krate {
        Some(path) => quote!(#path::__private),
        None => quote!(::wasabi::__private),
    };
    amend(&mut function, &options, &p, &mut diagnostics);
    let Some(fields) = check(&function, &options, expected, &mut diagnostics) else {
        return quote!(#diagnostics #[allow(unused)] #item);
    };
    // Reported when it was missing: what comes after is checked as if it were there.
    function.sig.asyncness.get_or_insert_with(Default::default);
    let made = Made {
        p,
        attrs: Attrs::of(&function),
        function,
        fields,
    };
    let made = if options.is_http {
        made.http()
    } else {
        made.request()
    };
    quote!(#diagnostics #made)
}

/// `#[middleware(http, crate = path)]`.
#[derive(Default)]
struct Options {
    is_http: bool,
    krate: Option<Path>,
}

impl Options {
    fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Self {
        let mut options = Self::default();
        let parse = |input: ParseStream<'_>| {
            while !input.is_empty() {
                if input.parse::<Option<Token![crate]>>()?.is_some() {
                    input.parse::<Token![=]>()?;
                    options.krate = Some(input.call(Path::parse_mod_style)?);
                } else {
                    let name: Ident = input.parse()?;
                    if name != "http" {
                        let message = format!(
                            "there is no option `{name}`; these are: `http`, `crate = path`"
                        );
                        return Err(syn::Error::new(name.span(), message));
                    }
                    options.is_http = true;
                }
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        if let Err(error) = parse.parse2(tokens) {
            diagnostics.push(error);
        }
        options
    }
}

/// An argument before the request: a field of the struct.
struct Field {
    ty: Type,
    /// Taken as `&T`, not cloned for each message.
    is_reference: bool,
}

/// Reports slips in the signature that leave no doubt, and puts what was meant in their place: nothing else is said
/// about them then.
fn amend(function: &mut ItemFn, options: &Options, p: &TokenStream, diagnostics: &mut Diagnostics) {
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
        && !options.is_http
        && last_word(next).is_some_and(|word| word == "Next")
    {
        diagnostics.error(&*next, "`Next` is a trait here: write `next: impl Next`");
        *next = parse_quote_spanned!(next.span()=> impl #p::Next);
    }
    if let Some(request) = types.next()
        && let Type::Reference(reference) = &*request
        && last_word(&reference.elem).is_some_and(|word| word == "Request")
    {
        diagnostics.error(
            &*request,
            "the request is taken as a value: write `req: Request`",
        );
        *request = (*reference.elem).clone();
    }
    if let (ReturnType::Default, false) = (&signature.output, options.is_http) {
        let name = &signature.ident;
        diagnostics.error(
            name,
            "a middleware returns what goes back: write `-> Result<Reply>`",
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

/// Extractors, which stand in backend functions.
const EXTRACTORS: &[&str] = &["State", "Json", "Path", "Query", "Extension", "Parsed"];

/// The arguments before the request; nothing if the function cannot become a middleware.
fn check(
    function: &ItemFn,
    options: &Options,
    expected: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Field>> {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        diagnostics.error(
            signature.fn_token,
            "a middleware function is `async`: write `async fn`",
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
        let message = format!("a middleware function takes the request and `next`; {expected}");
        diagnostics.error(&signature.ident, message);
        return None;
    };
    let parameters = signature
        .generics
        .params
        .iter()
        .filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => Some(parameter.ident.to_string()),
            GenericParam::Const(parameter) => Some(parameter.ident.to_string()),
            GenericParam::Lifetime(_) => None,
        });
    let parameters: Vec<String> = parameters.chain(["impl".to_owned()]).collect();
    let is_generic = |ty: &Type| parameters.iter().any(|name| mentions(ty, name));

    let misplaced = match options.is_http {
        true => [request, next].into_iter().find(|ty| is_generic(ty)),
        false if is_generic(request) => Some(request),
        false if !is_generic(next) => Some(next),
        false => None,
    };
    if let Some(misplaced) = misplaced {
        let message = match options.is_http {
            true => {
                "the last two arguments are `request: http::Request` and `next: http::Next` of `wasabi::middleware::http`; \
                 for a middleware around each message leave `(http)` out"
            }
            false => {
                "the last two arguments are `req: Request` and `next: impl Next`; \
                 for a middleware around the handshake write `#[middleware(http)]`"
            }
        };
        diagnostics.error(misplaced, message);
        return None;
    }
    let mut fields = Vec::new();
    for ty in arguments {
        if is_generic(ty) {
            let message = "an argument before the request becomes a field of a struct: write its type, without generics";
            diagnostics.error(ty, message);
            return None;
        }
        if let Some(word) = last_word(ty)
            && let Some(extractor) = EXTRACTORS.iter().find(|extractor| word == *extractor)
        {
            let message = format!(
                "`{extractor}` is an extractor, and those stand in backend functions; an argument before the request is a value that is given in `gateway!`"
            );
            diagnostics.error(ty, message);
            continue;
        }
        fields.push(field(ty, diagnostics)?);
    }
    Some(fields)
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
            format_args!(
                "the middleware owns its arguments, and this one has no size: write {instead}"
            ),
        );
        return None;
    }
    if let Some(mutable) = &reference.mutability {
        diagnostics.error(
            mutable,
            "many messages run through the middleware at the same time: take `&T`",
        );
        return None;
    }
    Some(Field {
        ty: (*reference.elem).clone(),
        is_reference: true,
    })
}

/// The function's attributes by where they go.
struct Attrs {
    docs: Vec<Attribute>,
    cfg: Vec<Attribute>,
    rest: Vec<Attribute>,
}

impl Attrs {
    fn of(function: &ItemFn) -> Self {
        let mut attrs = Self {
            docs: Vec::new(),
            cfg: Vec::new(),
            rest: Vec::new(),
        };
        for attr in &function.attrs {
            let path = attr.path();
            if path.is_ident("cfg") {
                attrs.cfg.push(attr.clone());
            } else if path.is_ident("doc") || path.is_ident("deprecated") {
                attrs.docs.push(attr.clone());
            } else {
                attrs.rest.push(attr.clone());
            }
        }
        attrs
    }
}

struct Made {
    p: TokenStream,
    attrs: Attrs,
    function: ItemFn,
    fields: Vec<Field>,
}

impl Made {
    /// `struct audit;`, `struct require(Role);`.
    fn definition(&self, derive: &TokenStream) -> TokenStream {
        let Attrs { docs, cfg, .. } = &self.attrs;
        let (vis, name) = (&self.function.vis, &self.function.sig.ident);
        let types = self.fields.iter().map(|field| &field.ty);
        let fields = match self.fields.is_empty() {
            true => quote!(),
            false => quote!((#(#vis #types),*)),
        };
        quote! {
            #(#cfg)*
            #(#docs)*
            #derive
            #[allow(non_camel_case_types)]
            #vis struct #name #fields;
        }
    }

    /// The function as written, to be put into the method that calls it.
    fn inner(&self) -> TokenStream {
        let (attrs, signature, block) =
            (&self.attrs.rest, &self.function.sig, &self.function.block);
        let allow = (!self.takes(self.fields.len())).then(|| quote!(#[allow(dead_code)]));
        quote!(#(#attrs)* #allow #signature #block)
    }

    /// Whether the function can be called: not if an argument was left out, which is reported already.
    fn takes(&self, arguments: usize) -> bool {
        self.function.sig.inputs.len() == arguments + 2
    }

    /// `req` and `next`, with the places of the user's arguments.
    fn last_arguments(&self) -> [Ident; 2] {
        let mut types = self.function.sig.inputs.iter().rev();
        let mut name = |name| {
            let place = types
                .next()
                .map_or_else(Span::mixed_site, |argument| match argument {
                    FnArg::Typed(argument) => argument.ty.span(),
                    FnArg::Receiver(receiver) => receiver.span(),
                });
            Ident::new(name, Span::mixed_site().located_at(place))
        };
        let next = name("next");
        [name("req"), next]
    }

    /// What the function gets for its first arguments, at the places of their types.
    fn arguments(&self, this: &Ident) -> Vec<TokenStream> {
        let p = &self.p;
        let argument = |(i, field): (usize, &Field)| {
            let place = field.ty.span();
            let (mut this, mut index) = (this.clone(), syn::Index::from(i));
            this.set_span(this.span().located_at(place));
            index.span = Span::mixed_site().located_at(place);
            let field_of_this = quote_spanned!(place=> &#this.#index);
            match field.is_reference {
                true => field_of_this,
                false => quote_spanned!(place=> #p::Clone::clone(#field_of_this)),
            }
        };
        self.fields.iter().enumerate().map(argument).collect()
    }

    fn request(&self) -> TokenStream {
        let (p, name, cfg) = (&self.p, &self.function.sig.ident, &self.attrs.cfg);
        let (definition, inner, arguments) = (
            self.definition(&quote!()),
            self.inner(),
            self.arguments(&Ident::new("self", Span::call_site())),
        );
        let returned = quote_spanned! {name.span()=>
            impl #p::Future<Output = #p::Result<#p::Reply, #p::Error>> + #p::Send
        };
        let [req, next] = self.last_arguments();
        let call = match self.takes(arguments.len()) {
            true => quote_spanned!(name.span()=> #name(#(#arguments,)* #req, #next)),
            false => quote!(#p::Next::run(#next, #req)),
        };
        quote! {
            #definition
            #(#cfg)*
            impl #p::Middleware for #name {
                fn handle(&self, #req: #p::Request, #next: impl #p::Next) -> #returned {
                    #inner
                    #call
                }
            }
        }
    }

    fn http(&self) -> TokenStream {
        let (p, name, cfg) = (&self.p, &self.function.sig.ident, &self.attrs.cfg);
        let (this, [req, next]) = (
            Ident::new("this", Span::mixed_site()),
            self.last_arguments(),
        );
        let definition = self.definition(&quote!(#[derive(#p::Clone)]));
        let (inner, arguments) = (self.inner(), self.arguments(&this));
        let call = match self.takes(arguments.len()) {
            true => quote_spanned!(name.span()=> #name(#(#arguments,)* #req, #next).await),
            false => quote!(#next.run(#req).await),
        };
        let service = quote!(fn(#p::AxumState<Self>, #p::HttpRequest, #p::HttpNext) -> #p::BoxFuture<'static, #p::Response>);
        let boxed = quote_spanned!(name.span()=> #p::Box::pin(async move { #p::IntoResponse::into_response(#call) }));
        quote! {
            #definition
            #(#cfg)*
            impl<Svc> #p::tower::Layer<Svc> for #name {
                type Service = #p::FromFn<#service, Self, Svc, (#p::AxumState<Self>, #p::HttpRequest)>;
                fn layer(&self, inner: Svc) -> Self::Service {
                    #inner
                    fn run(
                        #p::AxumState(#this): #p::AxumState<#name>,
                        #req: #p::HttpRequest,
                        #next: #p::HttpNext,
                    ) -> #p::BoxFuture<'static, #p::Response> {
                        #boxed
                    }
                    #p::tower::Layer::layer(&#p::from_fn_with_state(#p::Clone::clone(self), run as #service), inner)
                }
            }
        }
    }
}
