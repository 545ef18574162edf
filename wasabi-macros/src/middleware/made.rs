//! The struct that a function becomes.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Attribute, FnArg, ItemFn, Type, spanned::Spanned};

use super::signature::{Argument, Around, Field};

/// The function's attributes, by where they go in the expansion.
pub(super) struct Attrs {
    docs: Vec<Attribute>,
    pub(super) cfg: Vec<Attribute>,
    rest: Vec<Attribute>,
}

impl Attrs {
    pub(super) fn of(function: &ItemFn) -> Self {
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

/// The parts of a middleware around each message.
pub(super) struct Parts {
    pub(super) definition: TokenStream,
    /// The function itself.
    pub(super) inner: TokenStream,
    /// Its call.
    pub(super) call: TokenStream,
    /// The type of the future.
    pub(super) returned: TokenStream,
}

/// A function that becomes a middleware.
pub(super) struct Made {
    /// The path to the private items of the runtime crate.
    pub(super) p: TokenStream,
    pub(super) attrs: Attrs,
    pub(super) function: ItemFn,
    pub(super) arguments: Vec<Argument>,
    /// The state of the gateways that it is for, if it is for one.
    pub(super) state: Option<Type>,
    pub(super) around: Around,
}

/// The field of an argument, or the variable of what is taken from the request.
fn argument_name(i: usize) -> Ident {
    format_ident!("argument_{i}", span = Span::mixed_site())
}

impl Made {
    /// `struct audit {}` and `fn audit() -> &'static audit`, or `struct require { .. }` and `fn require(Role) -> require`.
    ///
    /// A unit or tuple struct would also be a pattern, and nothing in the module could be bound to its name.
    fn definition(&self, derive: &TokenStream) -> TokenStream {
        let Attrs { docs, cfg, .. } = &self.attrs;
        let (vis, name) = (&self.function.vis, &self.function.sig.ident);
        let (fields, types): (Vec<_>, Vec<_>) =
            self.fields().map(|(name, field)| (name, &field.ty)).unzip();
        // A reference implements what the middleware does, unless that depends on the state.
        let is_shared = self.around == Around::Message && !self.uses_state();
        let (made, value) = match is_shared && types.is_empty() {
            true => (quote!(&'static #name), quote!(&#name {})),
            false => (quote!(#name), quote!(#name { #(#fields),* })),
        };
        quote! {
            #(#cfg)*
            #[doc(hidden)]
            #derive
            #[allow(non_camel_case_types)]
            #vis struct #name { #(#fields: #types),* }
            #(#cfg)*
            #(#docs)*
            #vis fn #name(#(#fields: #types),*) -> #made {
                #value
            }
        }
    }

    /// The arguments that are fields, with their names.
    fn fields(&self) -> impl Iterator<Item = (Ident, &Field)> {
        let arguments = self.arguments.iter().enumerate();
        arguments.filter_map(|(i, argument)| match argument {
            Argument::Field(field) => Some((argument_name(i), field)),
            Argument::Extracted(_) => None,
        })
    }

    /// The arguments that are taken from the request, with the names of their variables.
    pub(super) fn extracted(&self) -> impl Iterator<Item = (Ident, &Type)> {
        let arguments = self.arguments.iter().enumerate();
        arguments.filter_map(|(i, argument)| match argument {
            Argument::Extracted(ty) => Some((argument_name(i), ty)),
            Argument::Field(_) => None,
        })
    }

    /// Whether it is a `MiddlewareFor` and not a `Middleware`.
    pub(super) fn uses_state(&self) -> bool {
        self.state.is_some() || self.extracted().next().is_some()
    }

    /// The function as written, which goes into the method that calls it.
    fn inner(&self) -> TokenStream {
        let (attrs, signature, block) =
            (&self.attrs.rest, &self.function.sig, &self.function.block);
        let allow = (!self.takes(self.arguments.len())).then(|| quote!(#[allow(dead_code)]));
        quote!(#(#attrs)* #allow #signature #block)
    }

    /// Whether the function takes this many arguments, the request and `next`. If it does not, that is reported already.
    fn takes(&self, arguments: usize) -> bool {
        self.function.sig.inputs.len() == arguments + 2
    }

    /// `req` and `next`, with the spans of the user's arguments.
    pub(super) fn last_arguments(&self) -> [Ident; 2] {
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

    /// The values of the function's first arguments, with the spans of their types.
    fn values(&self, this: &Ident) -> Vec<TokenStream> {
        let p = &self.p;
        let value = |(i, argument): (usize, &Argument)| {
            let mut name = argument_name(i);
            let field = match argument {
                Argument::Field(field) => field,
                Argument::Extracted(ty) => {
                    name.set_span(name.span().located_at(ty.span()));
                    return name.into_token_stream();
                }
            };
            let place = field.ty.span();
            let mut this = this.clone();
            this.set_span(this.span().located_at(place));
            name.set_span(name.span().located_at(place));
            let field_of_this = quote_spanned!(place=> &#this.#name);
            match field.is_reference {
                true => field_of_this,
                false => quote_spanned!(place=> #p::Clone::clone(#field_of_this)),
            }
        };
        self.arguments.iter().enumerate().map(value).collect()
    }

    /// The parts of a middleware around each message.
    pub(super) fn parts(&self) -> Parts {
        let (p, name) = (&self.p, &self.function.sig.ident);
        let values = self.values(&Ident::new("self", Span::call_site()));
        let [req, next] = self.last_arguments();
        Parts {
            definition: self.definition(&quote!()),
            inner: self.inner(),
            call: match self.takes(values.len()) {
                true => quote_spanned!(name.span()=> #name(#(#values,)* #req, #next)),
                false => quote!(#p::Next::run(#next, #req)),
            },
            returned: quote_spanned! {name.span()=>
                impl #p::Future<Output = #p::Result<#p::Reply, #p::Error>> + #p::Send
            },
        }
    }

    /// A middleware around each message, without extractors.
    pub(super) fn request(&self) -> TokenStream {
        let (p, name, cfg) = (&self.p, &self.function.sig.ident, &self.attrs.cfg);
        let [req, next] = self.last_arguments();
        let Parts {
            definition,
            inner,
            call,
            returned,
        } = self.parts();
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

    /// A layer around the handshake.
    pub(super) fn http(&self) -> TokenStream {
        let (p, name, cfg) = (&self.p, &self.function.sig.ident, &self.attrs.cfg);
        let (this, [req, next]) = (
            Ident::new("this", Span::mixed_site()),
            self.last_arguments(),
        );
        let definition = self.definition(&quote!(#[derive(#p::Clone)]));
        let (inner, values) = (self.inner(), self.values(&this));
        let call = match self.takes(values.len()) {
            true => quote_spanned!(name.span()=> #name(#(#values,)* #req, #next).await),
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
