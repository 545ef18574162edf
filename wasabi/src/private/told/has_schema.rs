//! Whether the arguments of a function know if they have a schema.

use crate::{
    extract::HasSchema,
    middleware::http::{ClientIp, Identity, Stash},
    schema::Schemas,
};

impl<T> HasSchema for Identity<T> {}
impl<T> HasSchema for Stash<T> {}
impl HasSchema for ClientIp {}

/// Arguments that all know.
pub trait AllHaveSchemas {
    /// Their schemas.
    fn schemas() -> Schemas;
}

/// Arguments of which the last one knows.
pub trait LastHasSchema {
    /// Its schema, in its place.
    fn schemas() -> Schemas;
}

/// Arguments of which the first one knows.
pub trait FirstHasSchema {
    /// Its schema.
    fn schemas() -> Schemas;
}

macro_rules! arguments {
    ($($arg:ident)*) => {
        impl<$($arg: HasSchema,)*> AllHaveSchemas for ($($arg,)*) {
            fn schemas() -> Schemas {
                Box::new([$($arg::SCHEMA),*])
            }
        }
    };
    ($first:ident; $($arg:ident)*; $last:ident) => {
        arguments!($first $($arg)* $last);

        impl<$first: HasSchema, $($arg,)* $last> FirstHasSchema for ($first, $($arg,)* $last,) {
            fn schemas() -> Schemas {
                Box::new([$first::SCHEMA])
            }
        }

        impl<$first, $($arg,)* $last: HasSchema> LastHasSchema for ($first, $($arg,)* $last,) {
            fn schemas() -> Schemas {
                Box::new([None, $(arguments!(@none $arg),)* $last::SCHEMA])
            }
        }
    };
    (@none $arg:ident) => { None };
}

arguments!();
arguments!(A1);
arguments!(A1;; A2);
arguments!(A1; A2; A3);
arguments!(A1; A2 A3; A4);
arguments!(A1; A2 A3 A4; A5);
arguments!(A1; A2 A3 A4 A5; A6);
arguments!(A1; A2 A3 A4 A5 A6; A7);
arguments!(A1; A2 A3 A4 A5 A6 A7; A8);
arguments!(A1; A2 A3 A4 A5 A6 A7 A8; A9);
arguments!(A1; A2 A3 A4 A5 A6 A7 A8 A9; A10);
