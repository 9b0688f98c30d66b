//! Java's sets, as lists that hold each element once. A peer pays for what it makes others keep: of a list of a million
//! `{}` one element is left.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

/// Reads a list and leaves out what came before in it.
pub(super) fn each_once<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Hash,
{
    deserializer.deserialize_seq(EachOnce(PhantomData))
}

struct EachOnce<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Hash> Visitor<'de> for EachOnce<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        // Keyed at random, so that nobody can make two elements look the same.
        let keys = RandomState::new();
        let (mut seen, mut elements) = (HashSet::new(), Vec::new());
        while let Some(element) = list.next_element::<T>()? {
            if seen.insert(keys.hash_one(&element)) {
                elements.push(element);
            }
        }
        Ok(elements)
    }
}
