//! JSON pointers (RFC 6901).

/// One step of a JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointerToken {
    /// The name of an object's member, without escapes.
    pub name: String,
    /// The token as the index of an array's element, where it is one.
    pub index: Option<usize>,
}

/// The steps of a pointer to something inside a document; the pointer to the whole document is a mistake.
pub fn pointer(text: &str) -> Result<Vec<PointerToken>, String> {
    let Some(tokens) = text.strip_prefix('/') else {
        let dotted = text.trim_start_matches(['$', '.', '#']);
        return Err(format!(
            "`{}` is not a JSON pointer; start it with `/`: write `/{}`",
            text.escape_debug(),
            dotted.replace('.', "/").escape_debug()
        ));
    };
    tokens
        .split('/')
        .map(|token| {
            token_of(token).ok_or_else(|| {
                format!(
                    "`{}` is not a JSON pointer; write `~0` for `~`",
                    text.escape_debug()
                )
            })
        })
        .collect()
}

fn token_of(token: &str) -> Option<PointerToken> {
    let mut after_tildes = token.split('~').skip(1);
    let escapes_are_known = after_tildes.all(|rest| rest.starts_with(['0', '1']));
    let is_index = token == "0" || !token.starts_with(['0', '+']);
    escapes_are_known.then(|| PointerToken {
        name: token.replace("~1", "/").replace("~0", "~"),
        index: token.parse().ok().filter(|_| is_index),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_names_and_indexes() {
        let token = |name: &str, index| PointerToken {
            name: name.to_owned(),
            index,
        };
        assert_eq!(
            pointer("/a~1b/0/~0/01"),
            Ok(vec![
                token("a/b", None),
                token("0", Some(0)),
                token("~", None),
                token("01", None),
            ])
        );
        assert_eq!(pointer("/"), Ok(vec![token("", None)]));
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let message = |text| pointer(text).expect_err(text);
        assert_eq!(
            message("$.header.topic"),
            "`$.header.topic` is not a JSON pointer; start it with `/`: write `/header/topic`"
        );
        assert_eq!(
            message("/a~b"),
            "`/a~b` is not a JSON pointer; write `~0` for `~`"
        );
        assert!(pointer("").is_err());
        assert!(pointer("/~").is_err());
    }
}
