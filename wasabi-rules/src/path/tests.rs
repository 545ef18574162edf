use super::*;

#[test]
fn a_character_is_written_in_one_way() {
    let cases = [
        ("/", "/"),
        ("/api/", "/api/"),
        ("/%61pi/%41", "/api/A"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/caf\u{e9}", "/caf%C3%A9"),
        ("/a%3Ab%40c", "/a:b@c"),
        ("/a%20b", "/a%20b"),
        ("/%2561", "/%2561"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a.", "/a."),
        ("/...", "/..."),
        ("/%7Bx%7d", "/{x}"),
        ("*", "*"),
    ];
    for (path, expected) in cases {
        assert_eq!(normal_path(path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn ambiguous_paths_are_refused() {
    for path in [
        "//",
        "//a",
        "/a//b",
        "/a//",
        "/.",
        "/..",
        "/a/../b",
        "/a/%2e%2E/b",
        "/a/.%2e",
        "/a/./",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a%00",
        "/%",
        "/%6",
        "/%zz",
        "/%+1",
        "/..;x/a",
        "/a/..%3b",
    ] {
        assert!(normal_path(path).is_err(), "{path}");
    }
}

#[test]
fn declared_paths_have_named_parameters() {
    for (path, names) in [
        ("/", &[][..]),
        ("/a/", &[]),
        ("/a/{x}/c", &["x"]),
        ("/a-{b}/{c}", &["b", "c"]),
        ("/{*rest}", &["rest"]),
        ("/{{x}}", &[]),
        ("/caf%C3%A9", &[]),
        ("/.well-known/x", &[]),
        ("/a%20b", &[]),
    ] {
        let found = declared_path(path).expect(path);
        assert_eq!(found, names, "{path}");
    }
}

// Long: a table.
#[test]
fn mistakes_say_what_to_write() {
    let message = |path: &str| declared_path(path).expect_err(path);
    for (path, expected) in [
        ("chat", "a path must start with `/`; write `\"/chat\"`"),
        ("", "a path must start with `/`; write `\"/\"`"),
        (
            "/:id",
            "parameters are in braces: write `{id}` instead of `:id`",
        ),
        (
            "/*",
            "the rest of a path is in braces: write `{*rest}` instead of `*`",
        ),
        ("/a b", "` ` is not allowed in a path: write it as `%20`"),
        (
            "/\u{e9}",
            "`\u{e9}` is not allowed in a path: write it as `%C3%A9`",
        ),
        (
            "/a?b=c",
            "`?` is not allowed in a path: the query is not a part of the path; read it with the `Query` extractor",
        ),
        (
            "/{a}/{b}/{a}",
            "the parameter `a` occurs twice, at 1 and 3 of `a`, `b`, `a`",
        ),
        (
            "/%61dmin",
            "`%61` matches no request, because paths are normalized; write `a`",
        ),
        (
            "/caf%c3%A9",
            "`%c3` matches no request, because paths are normalized; write `%C3`",
        ),
        (
            "/a//b",
            "requests with an empty segment in the path are refused; write one `/`",
        ),
        (
            "/a/../b",
            "requests with `..` in the path are refused; write the path without it",
        ),
        (
            "/..;x",
            "requests with `..;x` in the path are refused; write the path without it",
        ),
        ("/a%2Fb", "requests with `%2F` in the path are refused"),
        (
            "/50%",
            "`%` must be followed by two hexadecimal digits; write `%25` for a percent sign",
        ),
        (
            "/%7Bx",
            "`%7B` matches no request, because paths are normalized; write `{{`",
        ),
    ] {
        assert_eq!(message(path), expected);
    }
    assert!(message("/{id").starts_with("invalid braces in"));
    assert!(message("/{}").starts_with("invalid braces in"));
    assert!(message("/{a}-{b}").starts_with("invalid parameters in"));
    assert!(message("/{*a}/b").starts_with("`{*..}` takes the rest of the path"));
    assert!(mount_path("/a/{*rest}").is_err() && mount_path("/a/{b}").is_ok());
}

/// Every short text of the characters that matter.
#[test]
fn parameters_are_those_of_the_router() {
    let mut paths = vec!["/".to_owned()];
    for _ in 0..7 {
        let longer = paths.iter().flat_map(|path| {
            let ends = ['/', '{', '}', '*', 'a'];
            ends.map(|end| format!("{path}{end}"))
        });
        paths = longer.collect();
        for path in &paths {
            let is_inserted = matchit::Router::new().insert(path, ()).is_ok();
            // It overlooks a slash that begins a name.
            let expected = is_inserted && !path.replace("{{", "").contains("{/");
            assert_eq!(parameters(path).is_ok(), expected, "{path}");
        }
    }
}
