//! The modules of a crate and the arrows between them, read from its sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path as it is written: `["crate", "error", "Fault"]`.
type Names = Vec<String>;

/// The file of a module by its path in the crate: `["connection", "driver"]`; that of the root is empty.
pub(super) type Module = Vec<String>;

/// From the module that names something to the one that defines it.
pub(super) type Arrows = BTreeSet<(Module, Module)>;

pub(super) struct Sources(BTreeMap<Module, File>);

/// What one file names.
#[derive(Default)]
struct File {
    /// What is imported, with the name that it has here.
    imports: Vec<(String, Names)>,
    /// Paths that begin with `crate` or `super` outside of an import.
    paths: Vec<Names>,
}

impl Sources {
    /// Reads every file of a crate but those of its tests.
    pub(super) fn of(crate_name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(crate_name);
        let mut files = BTreeMap::new();
        read(&root.join("src"), &mut Vec::new(), &mut files);
        Self(files)
    }

    #[cfg(test)]
    pub(super) fn from_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let files = texts.into_iter().map(|(path, text)| {
            let module = path.split('/').filter(|part| !part.is_empty());
            (module.map(str::to_owned).collect(), File::of(text))
        });
        Self(files.collect())
    }

    pub(super) fn modules(&self) -> impl Iterator<Item = &Module> {
        self.0.keys()
    }

    /// What uses what. The root only declares and exports, so that nothing is an arrow of its own.
    pub(super) fn arrows(&self) -> Arrows {
        let mut arrows = Arrows::new();
        for (from, file) in self.0.iter().filter(|(module, _)| !module.is_empty()) {
            let imports = file.imports.iter().map(|(_, path)| path);
            for path in imports.chain(&file.paths) {
                if let Some(to) = self.resolve(from, path, 0)
                    && !to.is_empty()
                    && to != *from
                {
                    arrows.insert((from.clone(), to));
                }
            }
        }
        arrows
    }

    /// The module that defines what a path in this module leads to; `None` for what is of another crate.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (from.clone(), &path[1..]),
            "super" => {
                let ups = path.iter().take_while(|name| *name == "super").count();
                let kept = from.len().saturating_sub(ups);
                (from[..kept].to_vec(), &path[ups..])
            }
            first => {
                // Of another crate, if it is not a module of this one.
                let child = child(from, first);
                self.0.contains_key(&child).then_some((child, &path[1..]))?
            }
        };
        while let Some(name) = rest.first() {
            let name = if name == "__private" { "private" } else { name };
            let next = child(&at, name);
            if !self.0.contains_key(&next) {
                break;
            }
            (at, rest) = (next, &rest[1..]);
        }
        // What is exported from elsewhere belongs there.
        if let Some(name) = rest.first()
            && depth < 8
            && let Some(file) = self.0.get(&at)
            && let Some((_, exported)) = file.imports.iter().find(|(own, _)| own == name)
        {
            return self.resolve(&at, exported, depth + 1);
        }
        Some(at)
    }
}

fn child(module: &Module, name: &str) -> Module {
    let mut child = module.clone();
    child.push(name.to_owned());
    child
}

fn read(folder: &Path, module: &mut Module, files: &mut BTreeMap<Module, File>) {
    for entry in fs::read_dir(folder).expect("the sources") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let is_of_tests = matches!(name.as_str(), "tests" | "models" | "fixtures" | "fuzzing");
        if is_of_tests {
            continue;
        }
        module.push(name);
        if path.is_dir() {
            read(&path, module, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let is_root = module.len() == 1 && module[0] == "lib";
            let module = if is_root { Vec::new() } else { module.clone() };
            files.insert(module, File::of(&text));
        }
        module.pop();
    }
}

impl File {
    fn of(text: &str) -> Self {
        let mut file = Self::default();
        file.look(text.parse().expect("tokens"), 0);
        file
    }

    /// Looks at everything but inline modules of tests; `inline` is how many inline modules it is in.
    // Long: one arm for each token.
    fn look(&mut self, tokens: TokenStream, inline: usize) {
        let mut tokens = tokens.into_iter().peekable();
        let mut is_test = false;
        let mut before: Option<char> = None;
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(punct) => {
                    before = Some(punct.as_char());
                    continue;
                }
                TokenTree::Group(group) => {
                    let is_attribute =
                        before == Some('#') && group.delimiter() == Delimiter::Bracket;
                    if is_attribute {
                        is_test |= is_cfg_test(group.stream());
                    } else {
                        self.look(group.stream(), inline);
                    }
                }
                TokenTree::Literal(_) => {}
                TokenTree::Ident(ident) => match ident.to_string().as_str() {
                    "use" => {
                        let tree = tokens.by_ref().take_while(|token| !is_punct(token, ';'));
                        let tree: Vec<_> = tree.collect();
                        if !std::mem::take(&mut is_test) {
                            self.import(&mut Vec::new(), &tree, inline);
                        }
                    }
                    "mod" => {
                        let _name = tokens.next();
                        if let Some(TokenTree::Group(body)) = tokens.peek() {
                            let body = body.stream();
                            tokens.next();
                            if !std::mem::take(&mut is_test) {
                                self.look(body, inline + 1);
                            }
                        }
                        is_test = false;
                    }
                    "fn" | "impl" | "struct" | "enum" | "trait" | "const" | "static" => {
                        is_test = false
                    }
                    first @ ("crate" | "super") => {
                        let mut path = vec![first.to_owned()];
                        while tokens.peek().is_some_and(|token| is_punct(token, ':')) {
                            tokens.next();
                            tokens.next_if(|token| is_punct(token, ':'));
                            match tokens.next_if(|token| matches!(token, TokenTree::Ident(_))) {
                                Some(name) => path.push(name.to_string()),
                                None => break,
                            }
                        }
                        self.paths
                            .extend((path.len() > 1).then(|| outside(path, inline)).flatten());
                    }
                    _ => {}
                },
            }
            before = None;
        }
    }

    /// Takes the tree of a `use` apart.
    fn import(&mut self, prefix: &mut Names, tree: &[TokenTree], inline: usize) {
        for branch in tree.split(|token| is_punct(token, ',')) {
            let mut path = prefix.clone();
            let mut own_name = None;
            let mut tokens = branch.iter();
            while let Some(token) = tokens.next() {
                match token {
                    TokenTree::Ident(ident) if ident == "as" => own_name = tokens.next(),
                    TokenTree::Ident(ident) => path.push(ident.to_string()),
                    TokenTree::Group(group) => {
                        let inner: Vec<_> = group.stream().into_iter().collect();
                        self.import(&mut path.clone(), &inner, inline);
                        path.clear();
                    }
                    _ => {}
                }
            }
            if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                path.pop();
            }
            let Some(last) = path.last() else { continue };
            let own_name = own_name.map_or_else(|| last.clone(), ToString::to_string);
            self.imports
                .extend(outside(path, inline).map(|path| (own_name, path)));
        }
    }
}

/// The path as it is outside of so many inline modules; `None` if it does not leave them.
fn outside(mut path: Names, inline: usize) -> Option<Names> {
    if path[0] == "super" {
        let ups = path.iter().take_while(|name| *name == "super").count();
        if ups < inline {
            return None;
        }
        path.drain(..inline);
        if ups == inline {
            path.insert(0, "self".to_owned());
        }
    }
    Some(path)
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

/// `cfg(test)`, `cfg(all(test, ..))`, and what is for models and fuzzing.
fn is_cfg_test(attribute: TokenStream) -> bool {
    let attribute = attribute.to_string().replace(' ', "");
    ["cfg(test", "cfg(all(test", "cfg(fuzzing"]
        .iter()
        .any(|start| attribute.starts_with(start))
}
