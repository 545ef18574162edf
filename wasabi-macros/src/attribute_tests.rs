//! What the attributes expand to, and that no input makes them panic.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{backend, middleware};

fn pretty(expansion: TokenStream) -> String {
    match syn::parse2(expansion.clone()) {
        Ok(file) => prettyplease::unparse(&file),
        Err(_) => expansion.to_string(),
    }
}

#[test]
fn a_function_around_a_backend_checks_it() {
    let function = quote! {
        /// Places an order.
        #[cfg(unix)]
        pub async fn place(State(db): State<Db>, Json(order): Json<Order>) -> Result<Json<Receipt>, Failure> {
            db.place(order).await
        }
    };
    insta::assert_snapshot!(
        "backend",
        pretty(backend::expand(quote!(), function, false))
    );
}

#[test]
fn with_schema_the_future_of_a_backend_tells() {
    let function = quote! {
        /// Places an order.
        ///
        /// At once.
        #[tracing::instrument]
        #[must_use]
        pub async fn place(State(db): State<Db>, mut order: Json<Order>) -> Result<Json<Receipt>, Failure> {
            db.place(order).await
        }
    };
    insta::assert_snapshot!(
        "backend_with_schema",
        pretty(backend::expand(quote!(), function, true))
    );
}

#[test]
fn a_generic_backend_stays() {
    let function = quote!(
        async fn place<T: Order>(order: Json<T>) -> impl IntoReply {
            order.place()
        }
    );
    for has_schema in [false, true] {
        let expansion = backend::expand(quote!(), function.clone(), has_schema);
        assert_eq!(expansion.to_string(), function.to_string());
    }
}

#[test]
fn a_backend_is_checked_against_its_state() {
    let function = quote!(
        async fn count(State(db): State<Db>) -> impl IntoReply {
            db.count()
        }
    );
    insta::assert_snapshot!(
        "backend_with_state",
        pretty(backend::expand(quote!(state = App), function, false))
    );
}

#[test]
fn a_middleware_becomes_a_struct() {
    let function = quote! {
        /// Writes a log.
        #[tracing::instrument]
        pub(crate) async fn audit(req: Request, next: impl Next) -> Result<Reply> {
            next.run(req).await
        }
    };
    insta::assert_snapshot!("middleware", pretty(middleware::expand(quote!(), function)));
}

#[test]
fn arguments_before_the_request_become_fields() {
    let function = quote! {
        pub async fn require<N: Next>(role: Role, names: &Vec<String>, text: &'static str, req: Request, next: N) -> Result {
            next.run(req).await
        }
    };
    insta::assert_snapshot!(
        "middleware_with_arguments",
        pretty(middleware::expand(quote!(crate = a::b), function))
    );
}

#[test]
fn extractors_before_the_request_are_taken_from_it() {
    let function = quote! {
        async fn require(role: Role, State(db): State<Db>, #[extract] user: User, req: Request, next: impl Next) -> Result {
            next.run(req).await
        }
    };
    insta::assert_snapshot!(
        "middleware_with_extractors",
        pretty(middleware::expand(quote!(), function))
    );
}

#[test]
fn an_http_middleware_becomes_a_layer() {
    let function = quote! {
        async fn token(expected: &String, request: Request, next: Next) -> impl IntoResponse {
            next.run(request).await
        }
    };
    insta::assert_snapshot!(
        "http_middleware",
        pretty(middleware::expand(quote!(http), function))
    );
}

#[test]
fn no_input_makes_the_attributes_panic() {
    let options = [
        "",
        ",",
        "http",
        "http,",
        "state",
        "state =",
        "state = A",
        "crate",
        "crate = a::b",
        "1",
        "x y",
    ];
    let items = [
        "",
        "fn",
        "fn f()",
        "fn f() {}",
        "async fn f(self) {}",
        "async fn f(&self, a: A, b: B) {}",
        "async fn f(a: &str, b: B, c: impl C) {}",
        "async fn f(a: &mut A, b: B, c: impl C) {}",
        "async fn f(#[extract] a: &mut A, Option(State(b)): Option<State<B>>, c: C, d: impl D) {}",
        "async fn f(#[extract] self, #[extract] a: A, #[extract] b: impl B) {}",
        "async fn f(_: _, (a, b): (A, B), [c]: [C; 1]) -> impl D {}",
        "async fn f<const N: usize>(a: [u8; N], b: B, c: impl C) {}",
        "async fn f<'a>(a: &'a A, b: B, c: impl C) -> &'a A {}",
        "unsafe extern \"C\" fn f(a: A, ...) {}",
        "struct S;",
        "#[cfg(a)] #[doc = \"x\"] #[inline] async fn r#match(req: R, next: impl N) {}",
        "'a",
    ];
    let parsed = |texts: &[&str]| -> Vec<TokenStream> {
        texts.iter().filter_map(|text| text.parse().ok()).collect()
    };
    for option in parsed(&options) {
        for item in parsed(&items) {
            backend::expand(option.clone(), item.clone(), false);
            backend::expand(option.clone(), item.clone(), true);
            middleware::expand(option.clone(), item);
        }
    }
}
