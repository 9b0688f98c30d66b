//! The JSON header: an object whose `extFields` hold the request's own fields, all values as strings.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::binary::Digits;
use super::{ExtFields, FieldSink, Head, HeaderError, HeaderFields, SerializeType};
use crate::code::LanguageCode;

/// How deep values that nobody asked for may nest.
const MAX_DEPTH: usize = 32;

/// Appends the header with its keys in the order in which Java writes them.
pub(super) fn encode(out: &mut BytesMut, head: &Head, fields: &impl HeaderFields) {
    let mut digits = Digits::default();
    out.put_slice(b"{\"code\":");
    out.put_slice(digits.format(i64::from(head.code)).as_bytes());
    let mut sink = Sink { out, any: false };
    fields.write_fields(&mut sink);
    if sink.any {
        out.put_u8(b'}');
    }
    out.put_slice(b",\"flag\":");
    out.put_slice(digits.format(i64::from(head.flag)).as_bytes());
    out.put_slice(b",\"language\":\"");
    out.put_slice(head.language.name().as_bytes());
    out.put_slice(b"\",\"opaque\":");
    out.put_slice(digits.format(i64::from(head.opaque)).as_bytes());
    if let Some(remark) = &head.remark {
        out.put_slice(b",\"remark\":");
        put_string(out, remark);
    }
    out.put_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    out.put_slice(digits.format(i64::from(head.version)).as_bytes());
    out.put_u8(b'}');
}

/// Opens `extFields` with the first field.
struct Sink<'a> {
    out: &'a mut BytesMut,
    any: bool,
}

impl FieldSink for Sink<'_> {
    fn text(&mut self, key: &str, value: &str) {
        self.out.put_slice(if self.any { b"," } else { b",\"extFields\":{" });
        self.any = true;
        put_string(self.out, key);
        self.out.put_u8(b':');
        put_string(self.out, value);
    }

    fn number(&mut self, key: &str, value: i64) {
        let mut digits = Digits::default();
        self.text(key, digits.format(value));
    }
}

fn put_string(out: &mut BytesMut, text: &str) {
    out.put_u8(b'"');
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.put_slice(&text.as_bytes()[plain_from..at]);
        plain_from = at + 1;
        match byte {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            other => {
                out.put_slice(b"\\u00");
                out.put_u8(b'0' + (other >> 4));
                out.put_u8(b"0123456789abcdef"[usize::from(other & 0xF)]);
            }
        }
    }
    out.put_slice(&text.as_bytes()[plain_from..]);
    out.put_u8(b'"');
}

/// Reads the fixed keys, in any order and any of them absent, and leaves `extFields` where it is. As in Java, a header
/// that names no language is Java's.
pub(crate) fn decode(header: &Bytes) -> Result<(Head, ExtFields), HeaderError> {
    let mut head =
        Head { code: 0, language: LanguageCode::Java, version: 0, opaque: 0, flag: 0, remark: None };
    let mut fields = ExtFields::default();
    let mut scanner = Scanner { bytes: header, at: 0 };
    scanner.object(|scanner, key| {
        match &*key {
            "code" => head.code = scanner.integer()?,
            "version" => head.version = scanner.integer()?,
            "opaque" => head.opaque = scanner.integer()?,
            "flag" => head.flag = scanner.integer()?,
            "language" => head.language = language(&scanner.scalar()?.unwrap_or_default()),
            "remark" => head.remark = scanner.scalar()?.map(|text| ByteString::from(&*text)),
            "extFields" => {
                let from = scanner.at;
                scanner.skip_value(0)?;
                let bytes = header.slice(from..scanner.at);
                if bytes.first() == Some(&b'{') {
                    fields = ExtFields { encoding: Some(SerializeType::Json), bytes };
                }
            }
            _ => scanner.skip_value(0)?,
        }
        Ok(())
    })?;
    scanner.end()?;
    Ok((head, fields))
}

/// By name, or by number: Java reads both.
fn language(text: &str) -> LanguageCode {
    let number = text.parse().ok();
    number.map_or_else(
        || LanguageCode::from_name(text),
        |number| LanguageCode::from_i32(number).unwrap_or(LanguageCode::Other),
    )
}

pub(super) fn for_each_field<'a>(
    fields: &'a Bytes,
    mut visit: impl FnMut(Cow<'a, str>, Cow<'a, str>),
) -> Result<(), HeaderError> {
    let mut scanner = Scanner { bytes: fields, at: 0 };
    scanner.object(|scanner, key| {
        if matches!(scanner.peek(), Some(b'{' | b'[')) {
            return scanner.skip_value(0);
        }
        if let Some(value) = scanner.scalar()? {
            visit(key, value);
        }
        Ok(())
    })
}

/// Reads JSON from the front; white space is skipped before every token.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn fail<T>(&self, what: &'static str) -> Result<T, HeaderError> {
        Err(HeaderError::Malformed { at: self.at, what })
    }

    fn peek(&mut self) -> Option<u8> {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), HeaderError> {
        if self.peek() != Some(byte) {
            return self.fail(what);
        }
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), HeaderError> {
        if self.peek().is_some() { self.fail("the end of the header") } else { Ok(()) }
    }

    /// Reads an object; `member` is called at each value.
    fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), HeaderError>,
    ) -> Result<(), HeaderError> {
        self.expect(b'{', "an object")?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':', "a colon")?;
            self.peek();
            member(self, key)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.fail("a comma or the object's end"),
            }
        }
        self.at += 1;
        Ok(())
    }

    /// A string, number or truth value as text; `None` for null.
    fn scalar(&mut self) -> Result<Option<Cow<'a, str>>, HeaderError> {
        if self.peek() == Some(b'"') {
            return self.string().map(Some);
        }
        let from = self.at;
        self.skip_value(MAX_DEPTH)?;
        let text = String::from_utf8_lossy(&self.bytes[from..self.at]);
        Ok((text != "null").then_some(text))
    }

    fn integer(&mut self) -> Result<i32, HeaderError> {
        let at = self.at;
        let Some(text) = self.scalar()? else { return Ok(0) };
        text.parse().map_err(|_| HeaderError::Malformed { at, what: "a 32-bit integer" })
    }

    fn string(&mut self) -> Result<Cow<'a, str>, HeaderError> {
        self.expect(b'"', "a string")?;
        let from = self.at;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => return self.string_with_escapes(from),
                Some(_) => self.at += 1,
                None => return self.fail("the string's end"),
            }
        }
        let text = &self.bytes[from..self.at];
        self.at += 1;
        Ok(String::from_utf8_lossy(text))
    }

    fn string_with_escapes(&mut self, from: usize) -> Result<Cow<'a, str>, HeaderError> {
        let mut text = self.bytes[from..self.at].to_vec();
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut text)?;
                }
                Some(byte) => {
                    text.push(*byte);
                    self.at += 1;
                }
                None => return self.fail("the string's end"),
            }
        }
        self.at += 1;
        Ok(Cow::Owned(match String::from_utf8(text) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }))
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), HeaderError> {
        let Some(kind) = self.bytes.get(self.at) else { return self.fail("an escape") };
        self.at += 1;
        let plain = match kind {
            b'"' | b'\\' | b'/' | b'\'' => *kind,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0B,
            b'u' => return self.unicode_escape(text),
            _ => return self.fail("an escape"),
        };
        text.push(plain);
        Ok(())
    }

    fn unicode_escape(&mut self, text: &mut Vec<u8>) -> Result<(), HeaderError> {
        let mut units = vec![self.hex_unit()?];
        // The first half of a surrogate pair wants its second.
        if (0xD800..0xDC00).contains(&units[0]) && self.bytes[self.at..].starts_with(b"\\u") {
            self.at += 2;
            units.push(self.hex_unit()?);
        }
        for character in char::decode_utf16(units) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }

    fn hex_unit(&mut self) -> Result<u16, HeaderError> {
        let digits = self.bytes.get(self.at..self.at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(unit) = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) else {
            return self.fail("four hexadecimal digits");
        };
        self.at += 4;
        Ok(unit)
    }

    fn skip_value(&mut self, depth: usize) -> Result<(), HeaderError> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{' | b'[') if depth >= MAX_DEPTH => self.fail("a value that nests less"),
            Some(b'{') => self.object(|scanner, _| scanner.skip_value(depth + 1)),
            Some(b'[') => self.skip_array(depth + 1),
            _ => {
                let from = self.at;
                while matches!(
                    self.bytes.get(self.at),
                    Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
                ) {
                    self.at += 1;
                }
                if self.at == from { self.fail("a value") } else { Ok(()) }
            }
        }
    }

    fn skip_array(&mut self, depth: usize) -> Result<(), HeaderError> {
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.skip_value(depth)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return self.fail("a comma or the array's end"),
            }
        }
        self.at += 1;
        Ok(())
    }
}
