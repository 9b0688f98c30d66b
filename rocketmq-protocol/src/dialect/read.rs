//! Reading a value: what is written decides less than what is asked for.

use std::borrow::Cow;

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::convert::{integer, quoted_integer, same_name, truth, without_suffix};
use super::scan::{Fault, Scanner};

type Error = serde_json::Error;

/// Reads a value from strict JSON or from fastjson's dialect. An object that stands as a key can be read as a string
/// that holds its text. Members that are null are as good as absent; of a member that comes twice the last one counts.
///
/// # Errors
/// Text that is neither, that nests deeper than 64, or that is not of the type.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    // Both real ones take the end of an object for a whole one.
    let text = if text.trim_ascii() == b"}" { b"{}" } else { text };
    let mut scanner = Scanner::new(text);
    scanner.skip_value(0)?;
    scanner.end()?;
    let mut scanner = Scanner::new(text);
    scanner.peek();
    let root = scanner.place();
    T::deserialize(&mut Reader(scanner, root))
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::custom(format_args!("expected {} at byte {}", fault.wanted, fault.at))
    }
}

/// Stands before a value, in text that was checked as a whole and whose outermost value is at that place.
struct Reader<'de>(Scanner<'de>, usize);

impl<'de> Reader<'de> {
    fn is_null(&self) -> bool {
        self.0.clone().word() == b"null"
    }

    /// Passes over null if it stands here.
    fn take_null(&mut self) -> bool {
        let found = self.is_null();
        if found {
            self.0.word();
        }
        found
    }

    /// Passes over `""` if it stands here: where no text is wanted it is as good as null.
    fn take_empty_text(&mut self) -> bool {
        let mut ahead = self.0.clone();
        let quote = ahead.peek().filter(|byte| matches!(byte, b'"' | b'\''));
        let found =
            quote.is_some_and(|quote| ahead.take(quote) && ahead.byte() == Some(quote) && ahead.take(quote));
        if found {
            self.0 = ahead;
        }
        found
    }

    fn take_empty_array(&mut self) -> bool {
        let mut ahead = self.0.clone();
        let found = ahead.take(b'[') && ahead.take(b']');
        if found {
            self.0 = ahead;
        }
        found
    }

    fn integer(&mut self) -> Result<i64, Error> {
        let at = self.0.place();
        let quoted = matches!(self.0.peek(), Some(b'"' | b'\''));
        let text = self.0.text(0)?;
        let number = if quoted { quoted_integer(&text) } else { integer(without_suffix(&text)) };
        number.ok_or_else(|| Fault { at, wanted: "a whole number" }.into())
    }

    /// A number, truth value or null without quotes.
    fn visit_word<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let at = self.0.place();
        let word = String::from_utf8_lossy(self.0.word());
        match &*word {
            "null" | "undefined" | "NaN" => visitor.visit_unit(),
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            number => match numbers(without_suffix(number)) {
                (Ok(number), ..) => visitor.visit_i64(number),
                (_, Ok(number), _) => visitor.visit_u64(number),
                (_, _, Ok(number)) if number.is_finite() => visitor.visit_f64(number),
                _ => Err(Fault { at, wanted: "a value" }.into()),
            },
        }
    }

    fn visit_list<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let mut list = List { reader: self, items: Items::default() };
        let value = visitor.visit_seq(&mut list)?;
        while list.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(value)
    }

    fn enter_object(&mut self) -> Result<(), Error> {
        Ok(self.0.expect(b'{', "an object")?)
    }
}

macro_rules! whole_numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_i64(self.integer()?)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.peek() {
            Some(b'"' | b'\'') => visit_text(self.0.string()?, visitor),
            Some(b'{') => self.deserialize_map(visitor),
            _ if self.0.enter_array() => self.visit_list(visitor),
            _ => self.visit_word(visitor),
        }
    }

    whole_numbers!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let at = self.0.place();
        let text = self.0.text(0)?;
        visitor.visit_bool(truth(&text).ok_or(Fault { at, wanted: "a truth value" })?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.take_null() { visitor.visit_str("") } else { visit_text(self.0.text(0)?, visitor) }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.take_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.take_null() || self.take_empty_text() {
            return visitor.visit_seq(Nothing);
        }
        if self.0.peek() == Some(b'{') {
            return visitor.visit_seq(One(Some(self)));
        }
        if !self.0.enter_array() {
            return Err(Fault { at: self.0.place(), wanted: "an array" }.into());
        }
        self.visit_list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.take_null() {
            return visitor.visit_map(Nothing);
        }
        self.enter_object()?;
        let mut entries = Entries { reader: self, items: Items::default() };
        let value = visitor.visit_map(&mut entries)?;
        while entries.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        // Nothing at all is an object's default inside of another one; alone it says nothing.
        if self.0.place() != self.1 && (self.take_null() || self.take_empty_text() || self.take_empty_array())
        {
            return visitor.visit_map(Nothing);
        }
        self.enter_object()?;
        let mut members = Members::find(self, fields)?;
        visitor.visit_map(&mut members)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = self.0.text(0)?.into_owned();
        visitor.visit_enum(Variant(name))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.skip_value(0)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

type Parsed<T> = Result<T, <T as std::str::FromStr>::Err>;

/// A number as each of the types that may hold it.
fn numbers(text: &str) -> (Parsed<i64>, Parsed<u64>, Parsed<f64>) {
    (text.parse(), text.parse(), text.parse())
}

fn visit_text<'de, V: Visitor<'de>>(text: Cow<'de, str>, visitor: V) -> Result<V::Value, Error> {
    match text {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

/// What null holds where a list or an object is wanted.
struct Nothing;

impl<'de> SeqAccess<'de> for Nothing {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, _: T) -> Result<Option<T::Value>, Error> {
        Ok(None)
    }
}

impl<'de> MapAccess<'de> for Nothing {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, _: K) -> Result<Option<K::Value>, Error> {
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("nothing has no value"))
    }
}

/// How far a list has been read.
#[derive(Default)]
struct Items {
    begun: bool,
    ended: bool,
}

impl Items {
    fn next(&mut self, scanner: &mut Scanner<'_>, close: u8) -> Result<bool, Fault> {
        let first = !std::mem::replace(&mut self.begun, true);
        self.ended = self.ended || !scanner.next_item(first, close)?;
        Ok(!self.ended)
    }
}

/// An object where an array of objects is wanted: the only element.
struct One<'a, 'de>(Option<&'a mut Reader<'de>>);

impl<'de> SeqAccess<'de> for One<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|reader| seed.deserialize(reader)).transpose()
    }
}

/// The elements of an array that was entered; null is none.
struct List<'a, 'de> {
    reader: &'a mut Reader<'de>,
    items: Items,
}

impl<'de> SeqAccess<'de> for List<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        while self.items.next(&mut self.reader.0, b']')? {
            if !self.reader.take_null() {
                return seed.deserialize(&mut *self.reader).map(Some);
            }
        }
        Ok(None)
    }
}

/// The members of an object whose names are not known: a table's entries, as they come.
struct Entries<'a, 'de> {
    reader: &'a mut Reader<'de>,
    items: Items,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let found = self.items.next(&mut self.reader.0, b'}')?;
        found.then(|| seed.deserialize(Key(&mut *self.reader))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.reader.0.expect(b':', "a colon")?;
        seed.deserialize(&mut *self.reader)
    }
}

/// Stands before the key of a table's entry.
struct Key<'a, 'de>(&'a mut Reader<'de>);

impl<'de> Key<'_, 'de> {
    fn visit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visit_text(self.0.0.key()?, visitor)
    }
}

macro_rules! whole_number_keys {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let at = self.0.0.place();
            let key = self.0.0.key()?;
            visitor.visit_i64(integer(&key).ok_or(Fault { at, wanted: "a whole number as a key" })?)
        })*
    };
}

impl<'de> Deserializer<'de> for Key<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(visitor)
    }

    whole_number_keys!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_struct(name, fields, visitor)
    }

    forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map enum
        identifier ignored_any
    }
}

/// The members of an object that belong to known fields, each once. They are found in one walk over the object; others
/// are passed over in it.
struct Members<'a, 'de> {
    reader: &'a mut Reader<'de>,
    found: Vec<Found>,
    next: usize,
    end: usize,
}

impl<'a, 'de> Members<'a, 'de> {
    fn find(reader: &'a mut Reader<'de>, fields: &'static [&'static str]) -> Result<Self, Error> {
        let mut found: Vec<Found> = Vec::with_capacity(fields.len());
        let mut first = true;
        while reader.0.next_item(std::mem::take(&mut first), b'}')? {
            let field = field_of(&reader.0.name()?, fields);
            reader.0.expect(b':', "a colon")?;
            if let Some((field, exact)) = field.filter(|_| !reader.is_null()) {
                let place = reader.0.place();
                match found.iter_mut().find(|found| found.field == field) {
                    // As in fastjson, a name that is only alike replaces none and is replaced by none.
                    Some(found) if exact && found.exact => found.place = place,
                    Some(_) => {}
                    None => found.push(Found { field, exact, place }),
                }
            }
            reader.0.skip_value(0)?;
        }
        let end = reader.0.place();
        Ok(Self { reader, found, next: 0, end })
    }
}

/// A field that an object has, and the place of the value that counts.
struct Found {
    field: &'static str,
    exact: bool,
    place: usize,
}

/// The field that a member is meant for, and whether it has exactly that name.
fn field_of(name: &str, fields: &'static [&'static str]) -> Option<(&'static str, bool)> {
    let exact = fields.iter().find(|field| **field == name).map(|field| (*field, true));
    exact.or_else(|| fields.iter().find(|field| same_name(name, field)).map(|field| (*field, false)))
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.found.get(self.next) {
            Some(found) => seed.deserialize(BorrowedStrDeserializer::new(found.field)).map(Some),
            None => {
                self.reader.0 = self.reader.0.at_place(self.end);
                Ok(None)
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let found = self.found.get(self.next).ok_or_else(|| Error::custom("no member is left"))?;
        self.reader.0 = self.reader.0.at_place(found.place);
        self.next += 1;
        seed.deserialize(&mut *self.reader)
    }
}

/// An enum's value: a name and nothing in it.
struct Variant(String);

impl<'de> EnumAccess<'de> for Variant {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: StringDeserializer<Error> = serde::de::IntoDeserializer::into_deserializer(self.0.clone());
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        Err(Error::custom("a name holds no value"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a name holds no value"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a name holds no value"))
    }
}
