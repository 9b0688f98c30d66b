//! Writing strict JSON and fastjson's form of it.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

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
