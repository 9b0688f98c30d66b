//! What [`Message::keys`](super::Message::keys) takes.

/// One string of keys, or a list of them.
///
/// Implemented for strings and for everything that can be iterated over strings; `M` only tells the two apart and is
/// always inferred.
#[diagnostic::on_unimplemented(
    message = "keys are a string, or a list of strings",
    label = "neither of the two"
)]
pub trait IntoKeys<M> {
    /// The keys, separated by one space.
    fn into_keys(self) -> String;
}

/// Marks a string of keys.
#[derive(Debug)]
#[doc(hidden)]
pub enum OneString {}

/// Marks a list of keys.
#[derive(Debug)]
#[doc(hidden)]
pub enum ManyStrings {}

impl<S: AsRef<str>> IntoKeys<OneString> for S {
    fn into_keys(self) -> String {
        joined([self])
    }
}

impl<K: AsRef<str>, I: IntoIterator<Item = K>> IntoKeys<ManyStrings> for I {
    fn into_keys(self) -> String {
        joined(self)
    }
}

/// A key that holds spaces is several: brokers split there, and find nothing by an empty key.
fn joined<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> String {
    let mut joined = String::new();
    for key in keys {
        for part in key.as_ref().split(' ').filter(|part| !part.is_empty()) {
            if !joined.is_empty() {
                joined.push(' ');
            }
            joined.push_str(part);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_spaces_is_several_keys() {
        assert_eq!("a b".into_keys(), "a b");
        assert_eq!(String::from(" a  b ").into_keys(), "a b");
        assert_eq!(["a b", "c"].into_keys(), "a b c");
        assert_eq!([String::new(), "c".to_owned()].iter().into_keys(), "c");
        assert_eq!(None::<&str>.into_keys(), "");
    }
}
