//! What declarations expand to, and that no input makes the macro panic.

use proc_macro2::TokenStream;
use quote::quote;

fn expand(input: TokenStream) -> TokenStream {
    super::expand(input, false)
}

/// With the feature `schema`, which expands to more than without.
fn expand_all(input: TokenStream) {
    super::expand(input.clone(), true);
    super::expand_set(input, true);
}

/// The expansion as a person would write it, or the tokens where it does not parse.
fn pretty(input: TokenStream) -> String {
    unparsed(expand(input))
}

fn unparsed(expansion: TokenStream) -> String {
    let function = quote!(fn gateway() { #expansion });
    match syn::parse2(function) {
        Ok(file) => prettyplease::unparse(&file),
        Err(_) => expansion.to_string(),
    }
}

fn errors(input: TokenStream) -> usize {
    let count = |expansion: TokenStream| expansion.to_string().matches("compile_error").count();
    let errors = count(expand(input.clone()));
    assert_eq!(count(super::expand(input, true)), errors, "with `schema`");
    errors
}

macro_rules! snapshots {
    ($($name:ident { $($declaration:tt)* })*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), pretty(quote!($($declaration)*)));
        }
    )*};
}

snapshots! {
    a_channel_with_one_backend {
        channel("/echo", echo),
    }
    settings_of_both_levels {
        state = app,
        ping = 20s,
        concurrency = 16,
        parser = JsonKey::at("/action"),
        errors = Json,
        channel(
            "/",
            concurrency = 32,
            origins = ["https://*.example.com"],
            max_message_size = 64KiB,
            on_connect = greet,
            echo,
        ),
    }
    middleware_of_both_levels {
        http = [ClientIp::new()],
        middleware = [audit],
        channel("/", http = [BearerAuth::new(verify)], middleware = [Throttle::new(100)], echo),
    }
    routes {
        channel(
            "/",
            match key {
                /// Places an order.
                "order.place" => place_order,
                "quote" | "ticks" => Http::post("http://quotes:8080/"),
                key if key.starts_with(&prefix) => async |text: Text| text,
                _ => NoRoute,
            },
        ),
    }
    routes_over_an_enum {
        channel("/", match key.parse::<Action>() {
            Ok(Action::Buy) => buy,
            Err(_) => NoRoute,
        }),
    }
    a_target_with_middleware {
        channel("/", with([Timeout::new(2s), audit], echo)),
    }
    a_balanced_target {
        channel("/", balance([(2, near), (1, with([audit], far))])),
    }
    a_nested_match {
        channel("/", match key {
            "a" => match key.len() { 1 => one, _ => many },
            _ => NoRoute,
        }),
    }
    sets_of_routes {
        channel(
            "/",
            routes = [
                orders::routes(&limits),
                with([audit], match key { "quote" => quote }),
                given,
            ],
            match key {
                "ping" => pong,
                _ => with([audit], match key { PONG => ping, _ => NoRoute }),
            },
        ),
    }
    conditional_parts {
        #[cfg(feature = "echo")]
        channel("/echo", #[cfg(debug_assertions)] ping = 1s, match key {
            #[cfg(unix)]
            "a" => a,
            _ => b,
        }),
    }
    endpoints_and_mounts {
        /// Alive?
        get("/livez", || async { "ok" }),
        any("/any", handler),
        mount("/docs", docs()),
    }
    another_name_for_the_crate {
        crate = toolbox::sockets,
        #[cfg(unix)] cluster = Cluster::memory(),
        ping = 1min,
        channel("/", echo),
    }
    mistakes_are_left_out_and_the_rest_is_there {
        pign = 20s,
        channel("/", match key {
            "a" => first,
            "b" => ,
            "a" => third,
        }),
    }
    a_warning {
        channel("/", middleware = [Timeout::new(100ms), Retry::new(Backoff::exponential(100ms).retries(3))], echo),
    }
}

#[test]
fn a_set_of_routes() {
    let declaration = quote! {
        Arc<App>,
        middleware = [audit],
        match key {
            /// Places an order.
            "place" => with([Timeout::new(2s)], place),
            #[cfg(unix)]
            "cancel" | CANCEL => cancel,
            key if key.starts_with(&prefix) => old,
        }
    };
    insta::assert_snapshot!(unparsed(super::expand_set(declaration, false)));
}

#[test]
fn a_set_of_sets() {
    let declaration = quote!(routes = [orders::routes(), market::routes()]);
    insta::assert_snapshot!(unparsed(super::expand_set(declaration, false)));
}

#[test]
fn a_list_without_its_brackets_gets_them_so_that_the_compiler_says_nothing_else() {
    for name in ["hosts", "origins", "subprotocols"] {
        let name = proc_macro2::Ident::new(name, proc_macro2::Span::call_site());
        let declaration = quote!(#name = "*", channel("/", #name = "*", echo));
        assert_eq!(errors(declaration.clone()), 2, "{name}");
        let expansion = pretty(declaration);
        assert_eq!(expansion.matches(r#"["*"]"#).count(), 2, "{expansion}");
    }
}

#[test]
fn an_empty_list_has_a_type() {
    let expansion = pretty(quote!(channel("/", origins = [], echo)));
    assert!(expansion.contains(r#".origins([""; 0])"#), "{expansion}");
    assert_eq!(errors(quote!(channel("/", hosts = [], echo))), 1);
}

#[test]
fn with_schema_a_router_describes_its_arms() {
    let set = quote! {
        match key {
            /// Places an order.
            "order.place" => with([Timeout::new(2s)], place_order),
            "quote" | LISTED => balance([(2, Http::post("http://a/")), (1, local)]),
            #[cfg(unix)] key if key.starts_with("legacy.") => legacy,
        }
    };
    insta::assert_snapshot!(unparsed(super::expand_set(set, true)));
}

#[test]
fn with_schema_a_channel_describes_its_sets() {
    let declaration = quote! {
        channel("/", routes = [orders::routes()], match key.parse::<Action>() {
            Ok(Action::Buy) => buy, Err(_) => NoRoute,
        }),
    };
    insta::assert_snapshot!(unparsed(super::expand(declaration, true)));
}

#[test]
fn a_half_typed_target_leaves_the_rest_of_the_gateway() {
    let expansion = expand(quote! {
        middleware = [audit],
        channel("/", match key { "a" => orders., "b" => second, _ => third }),
        channel("/other", fourth),
    })
    .to_string();
    for part in [
        "audit",
        "orders [:: core :: compile_error !",
        "second",
        "third",
        "fourth",
        "\"/other\"",
    ] {
        assert!(expansion.contains(part), "{part} is lost in {expansion}");
    }
    assert_eq!(expansion.matches("compile_error").count(), 1);
}

#[test]
fn every_mistake_of_a_declaration_is_reported() {
    let reported = errors(quote! {
        stat = 1,
        chanel("/"),
        channel("/a", ping = 0s, ping = 5sec, match key { "a" | "a" => x }),
        channel("/a", balance([(0, x)])),
        match key { _ => x },
    });
    // The repeated key and path have two places.
    assert_eq!(reported, 14);
}

#[test]
fn no_input_makes_the_macro_panic() {
    let declaration = quote! {
        crate = a::b, state = s, http = [a, b()], middleware = [c],
        #[cfg(x)] get("/{a}", || async {}), mount("/m", m),
        /// docs
        channel("/{x}/{*rest}", origins = ["*"], idle_timeout = 5min, max_message_size = 1.5MiB, match key.parse::<X>() {
            #[cfg(y)] "a" | 'b' if g => with([T::new(0s)], balance([(1, x), (-2, orders.), (3, match key { _ => {} })])),
            Ok(X { a, .. }) => Http::post("ws://").header("é", 1),
            _ => CloseCode::new::<99999999999999999999>(),
        }),
    };
    let trees: Vec<_> = declaration.into_iter().collect();
    // Every piece of a declaration, alone and with something missing in the middle.
    for start in 0..trees.len() {
        for end in start..=trees.len() {
            let piece: TokenStream = trees[start..end].iter().cloned().collect();
            expand_all(piece);
            let around: TokenStream = trees[..start]
                .iter()
                .chain(&trees[end..])
                .cloned()
                .collect();
            expand_all(around);
        }
    }
}

// Long: a table.
#[test]
fn no_group_makes_the_macro_panic() {
    let pieces = [
        "",
        ",",
        "=",
        "=>",
        "match",
        "match key",
        "match {}",
        "channel",
        "channel()",
        "channel(,)",
        "channel(\"/\",)",
        "channel(\"/\", match key {})",
        "channel(\"/\", with())",
        "channel(\"/\", with([]))",
        "channel(\"/\", with([,],,))",
        "channel(\"/\", balance())",
        "channel(\"/\", balance([()]))",
        "channel(\"/\", balance([(,)]))",
        "get()",
        "mount(,)",
        "http",
        "http =",
        "http = []",
        "http = [,]",
        "http = [] x",
        "routes = [match key { _ => x }]",
        "channel(\"/\", routes = [x, with([], match key {}), balance([])], y)",
        "App",
        "with([a], b)",
        "= 1",
        "x = ",
        "x == 1",
        "crate",
        "crate =",
        "crate = 1",
        "#",
        "#[]",
        "#[cfg]",
        "#[cfg] channel(\"/\", x)",
        "#[cfg(a)]",
        "#[doc = 1] x = 1",
        "///",
        "'a",
        "_",
        "..",
        "|x|",
        "0x",
        "1e5",
        "5s",
        "5",
        "1.5h",
        "99999999999999999999h",
        "r#match",
        "r#match = 1",
        "channel(\"/\", match key { => })",
        "channel(\"/\", match key { x })",
        "channel(\"/\", match key { x if => y })",
        "channel(\"/\", match key { | => y, _ })",
        "channel(\"\", x)",
        "channel(\"/{\", x)",
        "channel(b\"/\", x)",
        "channel(c\"/\", 'x')",
        "channel(\"/\\u{1F600}\", x)",
    ];
    for first in pieces {
        for second in pieces {
            if let Ok(tokens) = format!("{first} {second}").parse::<TokenStream>() {
                expand_all(tokens);
            }
            if let Ok(tokens) = format!("{first}, {second}").parse::<TokenStream>() {
                expand_all(tokens);
            }
        }
    }
}

fn expanded(tokens: TokenStream) -> String {
    expand(tokens).to_string()
}

#[test]
fn parameters_of_the_path_are_known() {
    let good = expanded(quote!(channel(
        "/{tenant}/{*rest}",
        match key {
            "a" => with(
                [x],
                Http::post("http://a/{tenant}/{rest}?q={?q}&id={/a/id}")
            ),
            _ => Http::post(url),
        }
    )));
    assert!(!good.contains("compile_error"), "{good}");
    let wrong = expanded(quote!(channel(
        "/{tenant}",
        Http::method(M, "http://a/{tenent}")
    )));
    assert!(wrong.contains("did you mean `{tenant}`?"), "{wrong}");
    let none = expanded(quote!(channel(
        "/",
        balance([(1, Http::get("http://a/{id}")), (1, b)])
    )));
    assert!(
        none.contains("has no parameter `id`; it has none"),
        "{none}"
    );
    // The whole path is not known.
    assert!(!expanded(quote!(channel(path, Http::get("http://a/{id}")))).contains("compile_error"));
}

#[test]
fn other_braces_are_expanded() {
    for url in [
        "http://a/{}",
        "http://{id}/",
        "http://a/{/a~b}",
        "http://a/{id",
    ] {
        let found = expanded(quote!(channel("/{id}", Http::get(#url))));
        assert_eq!(found.matches("compile_error").count(), 1, "{url}: {found}");
    }
}
