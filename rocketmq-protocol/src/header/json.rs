//! The JSON header: an object whose `extFields` hold the request's own fields, all values as strings.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::binary::Digits;
use super::{ExtFields, FieldSink, Head, HeaderError, HeaderFields, SerializeType};
use crate::code::LanguageCode;
use crate::dialect::{Fault, Scanner, convert};

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
    let mut scanner = Scanner::new(header);
    for_each_member(&mut scanner, |scanner, key| {
        match member_named(&key) {
            "code" => head.code = integer(scanner)?,
            "version" => head.version = integer(scanner)?,
            "opaque" => head.opaque = integer(scanner)?,
            "flag" => head.flag = integer(scanner)?,
            "language" => head.language = language(scanner)?,
            "remark" => head.remark = scalar(scanner)?.map(|text| ByteString::from(&*text)),
            "extFields" => {
                let object = scanner.peek() == Some(b'{');
                let from = scanner.place();
                if object {
                    for_each_member(scanner, |scanner, _| Ok(scanner.skip_value(2)?))?;
                    let bytes = header.slice(from..scanner.place());
                    fields = ExtFields { encoding: Some(SerializeType::Json), bytes };
                } else if scanner.text(1)? == "null" {
                    fields = ExtFields::default();
                } else {
                    return Err(HeaderError::Malformed { at: from, what: "an object" });
                }
            }
            _ => scanner.skip_value(1)?,
        }
        Ok(())
    })?;
    scanner.end()?;
    Ok((head, fields))
}

/// The member that a name is meant for: as elsewhere in the dialect, a name that is only alike does.
fn member_named(name: &str) -> &str {
    const MEMBERS: [&str; 7] = ["code", "version", "opaque", "flag", "language", "remark", "extFields"];
    if MEMBERS.contains(&name) {
        return name;
    }
    MEMBERS.into_iter().find(|member| convert::same_name(name, member)).unwrap_or("")
}

/// By name, or by number: Java reads both. A name that is not known is some other language's; a number must be known.
fn language(scanner: &mut Scanner<'_>) -> Result<LanguageCode, HeaderError> {
    let quoted = matches!(scanner.peek(), Some(b'"' | b'\''));
    let at = scanner.place();
    let text = scanner.text(1)?;
    match text.parse() {
        _ if text == "null" => Ok(LanguageCode::Other),
        Ok(number) => match LanguageCode::from_i32(number) {
            None if !quoted => Err(HeaderError::Malformed { at, what: "a language" }),
            known => Ok(known.unwrap_or(LanguageCode::Other)),
        },
        Err(_) if quoted => Ok(LanguageCode::from_name(&text)),
        Err(_) => Err(HeaderError::Malformed { at, what: "a language" }),
    }
}

pub(super) fn for_each_field<'a>(
    fields: &'a Bytes,
    mut visit: impl FnMut(Cow<'a, str>, Cow<'a, str>),
) -> Result<(), HeaderError> {
    for_each_member(&mut Scanner::new(fields), |scanner, key| {
        if let Some(value) = scalar(scanner)? {
            visit(key, value);
        }
        Ok(())
    })
}

/// Reads an object; `member` is called before each value, and reads it.
fn for_each_member<'a>(
    scanner: &mut Scanner<'a>,
    mut member: impl FnMut(&mut Scanner<'a>, Cow<'a, str>) -> Result<(), HeaderError>,
) -> Result<(), HeaderError> {
    scanner.expect(b'{', "an object")?;
    let mut first = true;
    while scanner.next_item(std::mem::take(&mut first), b'}')? {
        let key = scanner.name()?;
        scanner.expect(b':', "a colon")?;
        member(scanner, key)?;
    }
    Ok(())
}

/// A value as text; `None` for null.
fn scalar<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Cow<'a, str>>, HeaderError> {
    Ok(Some(scanner.text(1)?).filter(|text| text != "null"))
}

fn integer(scanner: &mut Scanner<'_>) -> Result<i32, HeaderError> {
    let at = scanner.place();
    let number = convert::integer(&scanner.text(1)?).and_then(|number| i32::try_from(number).ok());
    number.ok_or(HeaderError::Malformed { at, what: "a 32-bit integer" })
}

impl From<Fault> for HeaderError {
    fn from(fault: Fault) -> Self {
        Self::Malformed { at: fault.at, what: fault.wanted }
    }
}
