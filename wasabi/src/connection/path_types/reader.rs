//! The reader that tries what a type takes from a path. It accepts the types that axum's `Path` accepts.

use std::{any::type_name, cell::Cell};

use serde::{
    Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use super::{
    Parameter,
    value::{Misfit, Name, Value},
};

/// Texts that common types are read from: numbers, characters and strings; `bool`; UUIDs; addresses; dates.
const GUESSES: &[&str] = &[
    "1",
    "true",
    "00000000-0000-4000-8000-000000000000",
    "192.0.2.1",
    "192.0.2.1:80",
    "2000-01-01",
    "2000-01-01T00:00:00Z",
    "a",
];

/// Reads a whole path.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) parameters: &'a [Parameter<'a>],
    /// For each parameter, which guess stands for its value.
    pub(super) guesses: &'a [usize],
    /// The parameter whose value was refused, and whether no guess is left for it.
    pub(super) refused: &'a Cell<Option<(usize, bool)>>,
}

impl<'a> Reader<'a> {
    fn count(self, wanted: usize) -> Result<(), Misfit> {
        match self.parameters.len() == wanted {
            true => Ok(()),
            false => Err(Misfit::Count(wanted)),
        }
    }

    /// Reads the value of a parameter, and notes if it is refused.
    fn value<T>(
        self,
        at: usize,
        read: impl FnOnce(Value<'a>) -> Result<T, Misfit>,
    ) -> Result<T, Misfit> {
        let (name, known) = self.parameters[at];
        let guess = self.guesses[at];
        let text = match (known, guess) {
            (Some(text), 0) => text,
            (Some(_), _) => return Err(Misfit::Value),
            (None, guess) => GUESSES[guess],
        };
        let value = Value {
            name,
            text,
            is_guess: known.is_none(),
            is_element: false,
        };
        let read = read(value);
        if let Err(Misfit::Value) = read {
            let was_last = known.is_some() || guess + 1 == GUESSES.len();
            self.refused.set(Some((at, was_last)));
        }
        read
    }

    fn only(self) -> Result<usize, Misfit> {
        self.count(1).map(|()| 0)
    }
}

macro_rules! only_value {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            let only = self.only()?;
            self.value(only, |value| value.$method(visitor))
        })*
    };
}

macro_rules! unsupported {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Misfit> {
            Err(Misfit::Unsupported(type_name::<V::Value>()))
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Misfit;

    only_value! {
        deserialize_any deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_byte_buf
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    unsupported! { deserialize_bytes deserialize_option deserialize_identifier deserialize_ignored_any }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(Each { all: self, next: 0 })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.count(len)?;
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_map(Each { all: self, next: 0 })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let only = self.only()?;
        self.value(only, |value| {
            value.deserialize_enum(name, variants, visitor)
        })
    }
}

/// The parameters one by one, as elements or as fields.
struct Each<'a> {
    all: Reader<'a>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Each<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        let at = self.next;
        if at == self.all.parameters.len() {
            return Ok(None);
        }
        self.next += 1;
        let element = |value| Value {
            is_element: true,
            ..value
        };
        let read = |value| seed.deserialize(element(value));
        self.all.value(at, read).map(Some)
    }
}

impl<'de> MapAccess<'de> for Each<'_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        match self.all.parameters.get(self.next) {
            Some((name, _)) => seed.deserialize(Name(name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let at = self.next;
        self.next += 1;
        self.all.value(at, |value| seed.deserialize(value))
    }
}
