//! Java's enums in bodies: written by name, and read by name or by ordinal.

/// Declares an enum with its names on the wire. As fastjson does, it is read by its name in any case or by its ordinal;
/// another name and null are the default, another number is refused.
macro_rules! wire_enum {
    (
        $(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }
        ordinals: [$($ordinal:ident),*]
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(match self { $(Self::$variant => $text,)* })
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const NAMES: &[(&str, $name)] = &[$(($text, $name::$variant),)*];
                const ORDINALS: &[$name] = &[$($name::$ordinal,)*];
                $crate::body::wire_enum::Choice::read(deserializer)?.among(NAMES, ORDINALS)
            }
        }
    };
}
pub(crate) use wire_enum;

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};

/// What stands for a value of an enum.
pub(crate) enum Choice {
    Name(String),
    Ordinal(i64),
    Nothing,
}

impl Choice {
    pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoiceVisitor)
    }

    /// The value meant.
    pub(crate) fn among<T: Copy + Default, E: Error>(
        self,
        names: &[(&str, T)],
        ordinals: &[T],
    ) -> Result<T, E> {
        match self {
            Self::Nothing => Ok(T::default()),
            Self::Name(name) => {
                let known = names.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
                Ok(known.map_or_else(T::default, |(_, value)| *value))
            }
            Self::Ordinal(number) => {
                let value = usize::try_from(number).ok().and_then(|number| ordinals.get(number));
                value.copied().ok_or_else(|| E::custom(format_args!("{number} is no ordinal of the enum")))
            }
        }
    }
}

struct ChoiceVisitor;

impl Visitor<'_> for ChoiceVisitor {
    type Value = Choice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name or an ordinal")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Choice, E> {
        Ok(Choice::Name(name.to_owned()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Choice, E> {
        Ok(Choice::Ordinal(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Choice, E> {
        Ok(Choice::Ordinal(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    fn visit_unit<E: Error>(self) -> Result<Choice, E> {
        Ok(Choice::Nothing)
    }
}
