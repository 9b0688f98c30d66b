//! The ROCKETMQ header:
//!
//! ```text
//! code 2 | language 1 | version 2 | opaque 4 | flag 4 | remark length 4, remark | fields length 4, fields
//! field = key length 2, key | value length 4, value
//! ```

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use super::{ExtFields, FieldSink, Head, HeaderError, HeaderFields, SerializeType};
use crate::code::LanguageCode;
use crate::message::properties::lossy;

/// Appends the header. A code or version beyond `i16` wraps, as in Java: such requests go as JSON.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the format has 16 bits for code and version, and Java wraps too"
)]
pub(super) fn encode(out: &mut BytesMut, head: &Head, fields: &impl HeaderFields) {
    out.put_i16(head.code as i16);
    out.put_u8(head.language.as_i32() as u8);
    out.put_i16(head.version as i16);
    out.put_i32(head.opaque);
    out.put_i32(head.flag);
    let remark = head.remark.as_deref().unwrap_or_default();
    out.put_u32(remark.len() as u32);
    out.put_slice(remark.as_bytes());
    let length_at = out.len();
    out.put_u32(0);
    fields.write_fields(&mut Sink(out));
    let length = (out.len() - length_at - 4) as u32;
    out[length_at..][..4].copy_from_slice(&length.to_be_bytes());
}

struct Sink<'a>(&'a mut BytesMut);

impl FieldSink for Sink<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "keys are literals, and a frame is far below 4 GiB")]
    fn text(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        self.0.put_u16(key.len() as u16);
        self.0.put_slice(key.as_bytes());
        self.0.put_u32(value.len() as u32);
        self.0.put_slice(value.as_bytes());
    }

    fn number(&mut self, key: &str, value: i64) {
        let mut digits = Digits::default();
        self.text(key, digits.format(value));
    }
}

/// Decimal digits without an allocation.
#[derive(Default)]
pub(super) struct Digits([u8; 20]);

impl Digits {
    pub(super) fn format(&mut self, value: i64) -> &str {
        let mut rest = value.unsigned_abs();
        let mut at = self.0.len();
        loop {
            at -= 1;
            self.0[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            at -= 1;
            self.0[at] = b'-';
        }
        std::str::from_utf8(&self.0[at..]).unwrap_or_default()
    }
}

/// Reads the fixed part, and leaves the fields where they are.
pub(crate) fn decode(header: &Bytes) -> Result<(Head, ExtFields), HeaderError> {
    let mut reader = Reader { bytes: header, at: 0 };
    let code = i16::from_be_bytes(reader.array("code")?);
    let language = reader.array::<1>("language")?[0];
    let version = i16::from_be_bytes(reader.array("version")?);
    let opaque = i32::from_be_bytes(reader.array("opaque")?);
    let flag = i32::from_be_bytes(reader.array("flag")?);
    let remark = reader.sized("remark")?;
    // Some clients leave out the fields' length when there are none.
    let fields = if reader.at == header.len() { &[][..] } else { reader.sized("fields")? };
    let head = Head {
        code: i32::from(code),
        language: LanguageCode::from_i32(i32::from(language)).unwrap_or(LanguageCode::Other),
        version: i32::from(version),
        opaque,
        flag,
        remark: (!remark.is_empty()).then(|| lossy(header.slice_ref(remark))),
    };
    let bytes = if fields.is_empty() { Bytes::new() } else { header.slice_ref(fields) };
    Ok((head, ExtFields { encoding: Some(SerializeType::RocketMq), bytes }))
}

pub(super) fn for_each_field<'a>(
    fields: &'a Bytes,
    mut visit: impl FnMut(Cow<'a, str>, Cow<'a, str>),
) -> Result<(), HeaderError> {
    let mut reader = Reader { bytes: fields, at: 0 };
    while reader.at < fields.len() {
        let key_length = u16::from_be_bytes(reader.array("field name's length")?);
        let key = reader.take(usize::from(key_length), "field name")?;
        let value = reader.sized("field value")?;
        visit(String::from_utf8_lossy(key), String::from_utf8_lossy(value));
    }
    Ok(())
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], HeaderError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(HeaderError::Malformed { at: self.at, what })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], HeaderError> {
        let at = self.at;
        self.take(N, what)?.try_into().map_err(|_| HeaderError::Malformed { at, what })
    }

    fn sized(&mut self, what: &'static str) -> Result<&'a [u8], HeaderError> {
        let length = u32::from_be_bytes(self.array(what)?);
        self.take(usize::try_from(length).unwrap_or(usize::MAX), what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_the_extremes() {
        for value in [0, 7, -7, i64::MAX, i64::MIN] {
            assert_eq!(Digits::default().format(value), value.to_string());
        }
    }
}
