//! A type that stands for another, such as `Shared<P>` for `P`, forwards every method of their trait: one that it leaves
//! out would be the trait's default, whatever the other does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{
    FnArg, ImplItem, Item, ItemImpl, ItemTrait, ReceiverKind, TraitItem, Type, TypeParamBound,
    WherePredicate,
};

/// What a type does its own way although it stands for others.
const OWN: &[(&str, &str)] = &[
    // Which node answers is known only when a request arrives.
    ("Balance", "route"),
    ("Balance", "owes_reply_on"),
];

/// The traits and the impls of a crate.
#[derive(Default)]
struct Found {
    /// The methods of each trait that take `&self`.
    traits: BTreeMap<String, BTreeSet<String>>,
    impls: Vec<(String, String, BTreeSet<String>)>,
}

impl Found {
    fn read(&mut self, directory: &Path) {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.read(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                self.add(&fs::read_to_string(&path).expect("a source"));
            }
        }
    }

    fn add(&mut self, text: &str) {
        for item in syn::parse_file(text).expect("Rust").items {
            match item {
                Item::Trait(item) => {
                    self.traits.insert(item.ident.to_string(), methods(&item));
                }
                Item::Impl(item) => self.impls.extend(standing_for_another(&item)),
                _ => {}
            }
        }
    }

    /// What is not forwarded.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (of, by, defined) in &self.impls {
            let methods = self.traits.get(of).into_iter().flatten();
            let left = methods.filter(|method| !defined.contains(*method));
            let left = left.filter(|method| !OWN.contains(&(by, method)));
            missing.extend(left.map(|method| format!("{by}: {of}::{method}")));
        }
        missing
    }
}

/// The methods that take `&self`.
fn methods(item: &ItemTrait) -> BTreeSet<String> {
    let methods = item.items.iter().filter_map(|item| match item {
        TraitItem::Fn(method) => Some(&method.sig),
        _ => None,
    });
    let borrowing = methods.filter(|signature| match signature.inputs.first() {
        Some(FnArg::Receiver(this)) => matches!(this.kind, ReceiverKind::Reference(..)),
        _ => false,
    });
    borrowing
        .map(|signature| signature.ident.to_string())
        .collect()
}

/// The trait, the type and its methods, if a parameter of the type has the same trait.
fn standing_for_another(item: &ItemImpl) -> Option<(String, String, BTreeSet<String>)> {
    let of = name(&item.trait_.as_ref()?.0)?;
    let Type::Path(by) = &*item.self_ty else {
        return None;
    };
    let own = item.generics.type_params().map(|param| &param.bounds);
    let clause = item.generics.where_clause.as_ref();
    let predicates = clause.into_iter().flat_map(|clause| &clause.predicates);
    let more = predicates.filter_map(|predicate| match predicate {
        WherePredicate::Type(predicate) => Some(&predicate.bounds),
        _ => None,
    });
    let is_same = |bound: &TypeParamBound| match bound {
        TypeParamBound::Trait(bound) => name(&bound.path).as_ref() == Some(&of),
        _ => false,
    };
    let stands = own.chain(more).flatten().any(is_same);
    let defined = item.items.iter().filter_map(|item| match item {
        ImplItem::Fn(method) => Some(method.sig.ident.to_string()),
        _ => None,
    });
    let defined = defined.collect();
    let by = name(&by.path)?;
    stands.then_some((of, by, defined))
}

fn name(path: &syn::Path) -> Option<String> {
    path.segments.last().map(|last| last.ident.to_string())
}

#[test]
fn what_stands_for_another_forwards_every_method() {
    let mut found = Found::default();
    found.read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasabi/src"));
    assert!(found.impls.len() > 10, "{:?}", found.impls);
    assert_eq!(found.missing(), [""; 0]);
}

#[test]
fn a_method_that_is_left_out_is_found() {
    let mut found = Found::default();
    found.add("trait A { fn a(&self); fn b(&self) {} fn c(self) {} }");
    found.add("impl<T: A> A for Box<T> { fn a(&self) {} } impl A for B { fn a(&self) {} }");
    found.add("impl<T> A for Arc<T> where T: A { fn b(&self) {} }");
    assert_eq!(found.missing(), ["Box: A::b", "Arc: A::a"]);
}
