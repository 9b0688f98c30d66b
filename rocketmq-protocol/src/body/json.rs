//! The dialect of fastjson, which Java writes: integer keys without quotes (`{0:"a"}`) and objects as keys
//! (`{{"queueId":0}:5}`). Reading takes both that and strict JSON; writing offers both.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

/// How deep objects and arrays may nest.
const MAX_DEPTH: usize = 64;

/// Reads a value from strict JSON or from fastjson's dialect. An object that stands as a key becomes a string key that
/// holds the object's text.
///
/// # Errors
/// Text that is neither, or not of the type.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text).or_else(|strict| match normalize(text) {
        Some(normalized) => serde_json::from_slice(&normalized),
        None => Err(strict),
    })
}

/// Writes strict JSON.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn to_vec(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(value)
}

/// Writes fastjson's compact form: integer keys stand without quotes.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn to_fastjson(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    write(value, CompactFormatter)
}

/// Writes fastjson's pretty form, indented by tabs: that of RocketMQ's configuration files.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn to_fastjson_pretty(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    write(value, TabFormatter(PrettyFormatter::with_indent(b"\t")))
}

fn write(value: &impl Serialize, layout: impl Formatter) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    let formatter = BareKeys { layout, key: KeyState::Outside };
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))?;
    Ok(out)
}

/// The pretty layout without a space behind the colon.
struct TabFormatter(PrettyFormatter<'static>);

impl Formatter for TabFormatter {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b":")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

/// Any layout, but integer keys lose the quotes that serde_json puts around them: the opening quote of a key is held
/// back until it shows whether a string or a number follows.
struct BareKeys<L> {
    layout: L,
    key: KeyState,
}

#[derive(Clone, Copy, PartialEq)]
enum KeyState {
    /// Not in a key.
    Outside,
    /// A key began, but nothing of it is written.
    Begun,
    /// A string key whose opening quote is written.
    Quoted,
    /// An integer key.
    Bare,
}

impl<L> BareKeys<L> {
    /// Writes the quote that was held back.
    fn open_quote<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.key == KeyState::Begun {
            self.key = KeyState::Quoted;
            writer.write_all(b"\"")?;
        }
        Ok(())
    }
}

macro_rules! integer_keys {
    ($($method:ident: $type:ty),*) => {
        $(fn $method<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: $type) -> io::Result<()> {
            if self.key == KeyState::Begun {
                self.key = KeyState::Bare;
            }
            self.layout.$method(writer, value)
        })*
    };
}

impl<L: Formatter> Formatter for BareKeys<L> {
    integer_keys!(write_i8: i8, write_i16: i16, write_i32: i32, write_i64: i64, write_u8: u8, write_u16: u16, write_u32: u32, write_u64: u64);

    fn begin_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.key == KeyState::Outside { writer.write_all(b"\"") } else { Ok(()) }
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.open_quote(writer)?;
        self.layout.write_string_fragment(writer, fragment)
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: serde_json::ser::CharEscape,
    ) -> io::Result<()> {
        self.open_quote(writer)?;
        self.layout.write_char_escape(writer, escape)
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open_quote(writer)?;
        if self.key == KeyState::Bare { Ok(()) } else { writer.write_all(b"\"") }
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.layout.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.key = KeyState::Begun;
        self.layout.begin_object_key(writer, first)
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.key = KeyState::Outside;
        self.layout.end_object_key(writer)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_object_value(writer)
    }
}

/// Turns the dialect into strict JSON; `None` if it nests too deep or ends inside a value.
fn normalize(text: &[u8]) -> Option<Vec<u8>> {
    let mut normalizer = Normalizer { text, at: 0, out: Vec::with_capacity(text.len() + 64) };
    normalizer.value(0)?;
    Some(normalizer.out)
}

struct Normalizer<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

impl Normalizer<'_> {
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Copies one byte if it is the one wanted.
    fn copy(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| {
            self.out.push(byte);
            self.at += 1;
        })
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'{' => self.list(b'{', b'}', |this| {
                this.key(depth + 1)?;
                this.copy(b':')?;
                this.value(depth + 1)
            }),
            b'[' => self.list(b'[', b']', |this| this.value(depth + 1)),
            b'"' => self.string(),
            _ => self.bare(),
        }
    }

    fn list(&mut self, open: u8, close: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.copy(open)?;
        if self.peek()? != close {
            item(self)?;
            while self.peek()? == b',' {
                self.copy(b',')?;
                item(self)?;
            }
        }
        self.copy(close)
    }

    fn key(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => self.object_key(depth),
            _ => {
                self.out.push(b'"');
                self.bare()?;
                self.out.push(b'"');
                Some(())
            }
        }
    }

    /// An object as a key: its normalized text, as a string.
    fn object_key(&mut self, depth: usize) -> Option<()> {
        let start = self.out.len();
        self.value(depth)?;
        let object = String::from_utf8(self.out.split_off(start)).ok()?;
        serde_json::to_writer(&mut self.out, &object).ok()
    }

    fn string(&mut self) -> Option<()> {
        let from = self.at;
        self.at += 1;
        loop {
            match self.text.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.out.extend_from_slice(&self.text[from..self.at]);
        Some(())
    }

    /// A number, `true`, `false`, `null`, or a name without quotes.
    fn bare(&mut self) -> Option<()> {
        let from = self.at;
        while matches!(
            self.text.get(self.at),
            Some(b'-' | b'+' | b'.' | b'_' | b'$' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
        ) {
            self.at += 1;
        }
        self.out.extend_from_slice(&self.text[from..self.at]);
        (self.at > from).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn bare_integer_keys_are_read_and_written() {
        let table: BTreeMap<i64, String> = from_slice(br#"{0:"10.0.0.1:10911",-1 : "x"}"#).unwrap();
        assert_eq!(table[&0], "10.0.0.1:10911");
        assert_eq!(to_fastjson(&table).unwrap(), br#"{-1:"x",0:"10.0.0.1:10911"}"#);
    }

    #[test]
    fn names_that_look_like_numbers_keep_their_quotes() {
        let table = BTreeMap::from([("7", 1), ("", 2), ("a\"b", 3)]);
        assert_eq!(to_fastjson(&table).unwrap(), br#"{"":2,"7":1,"a\"b":3}"#);
    }

    #[test]
    fn objects_as_keys_become_their_text() {
        let table: BTreeMap<String, i64> =
            from_slice(br#"{{"brokerName":"b","queueId":1,"topic":"T"}:5}"#).unwrap();
        assert_eq!(table[r#"{"brokerName":"b","queueId":1,"topic":"T"}"#], 5);
    }

    #[test]
    fn the_pretty_form_is_that_of_the_configuration_files() {
        let offsets =
            BTreeMap::from([("offsetTable", BTreeMap::from([("T@g", BTreeMap::from([(0, 1), (1, 3)]))]))]);
        assert_eq!(
            String::from_utf8(to_fastjson_pretty(&offsets).unwrap()).unwrap(),
            "{\n\t\"offsetTable\":{\n\t\t\"T@g\":{\n\t\t\t0:1,\n\t\t\t1:3\n\t\t}\n\t}\n}"
        );
    }

    #[test]
    fn a_value_that_nests_without_end_is_refused() {
        let deep = [b"{0:".repeat(100_000), b"1".to_vec()].concat();
        assert!(from_slice::<serde_json::Value>(&deep).is_err());
    }

    #[test]
    fn every_truncation_is_an_error() {
        let text = br#"{0:{"a":[1,true,"x\"y"]},{"b":null}:{}}"#;
        assert!(from_slice::<serde_json::Value>(text).is_ok());
        for end in 0..text.len() {
            assert!(from_slice::<serde_json::Value>(&text[..end]).is_err(), "{end} bytes");
        }
    }

    proptest! {
        #[test]
        fn the_dialect_round_trips(table in proptest::collection::btree_map(any::<i64>(), ".{0,20}", 0..10)) {
            let read: BTreeMap<i64, String> = from_slice(&to_fastjson(&table).unwrap()).unwrap();
            prop_assert_eq!(&read, &table);
            let read: BTreeMap<i64, String> = from_slice(&to_fastjson_pretty(&table).unwrap()).unwrap();
            prop_assert_eq!(read, table);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = from_slice::<serde_json::Value>(&bytes);
        }
    }
}
