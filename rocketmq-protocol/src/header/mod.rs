//! A command's header in its two encodings, and the typed fields it carries.
//!
//! A typed request writes its fields straight into the frame ([`HeaderFields`], [`FieldSink`]); a received header's
//! fields are read where they lie ([`ExtFields`], [`FromFields`]). No map is built on the way.

pub mod binary;
pub mod json;

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use crate::code::LanguageCode;

/// The encoding of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SerializeType {
    /// A JSON object: what every peer reads.
    Json = 0,
    /// The compact binary form: 4.0 and later. Codes beyond `i16` do not fit it.
    RocketMq = 1,
}

/// What every header has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The request's or response's code.
    pub code: i32,
    /// The sender's language.
    pub language: LanguageCode,
    /// The sender's `MQVersion` ordinal.
    pub version: i32,
    /// Ties a response to its request.
    pub opaque: i32,
    /// Bit 0: a response. Bit 1: no answer is wanted.
    pub flag: i32,
    /// What went wrong, in words.
    pub remark: Option<ByteString>,
}

/// Why a header cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The serialize type is neither JSON nor ROCKETMQ.
    #[error("{0} is not a serialize type")]
    UnknownSerializeType(u8),
    /// The header's length is larger than its frame.
    #[error("the header's length {header_bytes} does not fit the frame's {frame_bytes} bytes")]
    BadLength {
        /// The length that the frame claims for its header.
        header_bytes: usize,
        /// The frame's length.
        frame_bytes: usize,
    },
    /// The header's bytes make no sense.
    #[error("the header is malformed at byte {at}: {what}")]
    Malformed {
        /// Where.
        at: usize,
        /// What was expected there.
        what: &'static str,
    },
    /// A mandatory field is missing.
    #[error("the custom field <{0}> is null")]
    Missing(&'static str),
    /// A field's value is not of its type.
    #[error("the custom field <{field}> is {value:?}, which is not a valid {wanted}")]
    BadValue {
        /// The field.
        field: &'static str,
        /// Its value.
        value: Box<str>,
        /// Its type.
        wanted: &'static str,
    },
}

/// Takes the fields of a header that is being written.
pub trait FieldSink {
    /// A field with a text.
    fn text(&mut self, key: &str, value: &str);
    /// A field with a number.
    fn number(&mut self, key: &str, value: i64);
    /// A field with a truth value.
    fn truth(&mut self, key: &str, value: bool) {
        self.text(key, if value { "true" } else { "false" });
    }
}

/// A header's own fields, to be written.
pub trait HeaderFields {
    /// Hands every field that is set to `sink`.
    fn write_fields(&self, sink: &mut impl FieldSink);
}

/// A header's own fields, as read.
pub trait FromFields: Sized {
    /// Picks this header's fields and passes over all others.
    ///
    /// # Errors
    /// A mandatory field that is missing, or a value that is not of its type.
    fn from_fields(fields: &ExtFields) -> Result<Self, HeaderError>;
}

/// A header without fields of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoFields;

impl HeaderFields for NoFields {
    fn write_fields(&self, _: &mut impl FieldSink) {}
}

impl FromFields for NoFields {
    fn from_fields(_: &ExtFields) -> Result<Self, HeaderError> {
        Ok(Self)
    }
}

impl<T: HeaderFields> HeaderFields for &T {
    fn write_fields(&self, sink: &mut impl FieldSink) {
        (**self).write_fields(sink);
    }
}

/// The extra fields of a received header, in the frame's own bytes.
#[derive(Clone, Debug, Default)]
pub struct ExtFields {
    pub(crate) encoding: Option<SerializeType>,
    pub(crate) bytes: Bytes,
}

impl ExtFields {
    /// Calls `visit` with each field until it says to stop.
    ///
    /// # Errors
    /// The encoding is broken.
    pub fn for_each<'a>(
        &'a self,
        mut visit: impl FnMut(Cow<'a, str>, RawField<'a>),
    ) -> Result<(), HeaderError> {
        let with_owner = |key, text| visit(key, RawField { text, owner: &self.bytes });
        match self.encoding {
            None => Ok(()),
            Some(SerializeType::Json) => json::for_each_field(&self.bytes, with_owner),
            Some(SerializeType::RocketMq) => binary::for_each_field(&self.bytes, with_owner),
        }
    }

    /// As [`for_each`](Self::for_each), but for the fields that Java takes for null: those of a binary header that are
    /// empty.
    ///
    /// # Errors
    /// The encoding is broken.
    pub(crate) fn for_each_given<'a>(
        &'a self,
        mut visit: impl FnMut(Cow<'a, str>, RawField<'a>),
    ) -> Result<(), HeaderError> {
        let empty_is_null = self.encoding == Some(SerializeType::RocketMq);
        self.for_each(|key, value| {
            if !(empty_is_null && value.text.is_empty()) {
                visit(key, value);
            }
        })
    }

    /// One field's value. To read several, use a typed header.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<ByteString> {
        let mut found = None;
        let whole = self.for_each(|name, value| {
            if name == key {
                found = Some(value.to_shared());
            }
        });
        whole.ok().and(found)
    }
}

/// One field's value and the bytes it lies in.
#[derive(Clone, Debug)]
pub struct RawField<'a> {
    /// The value.
    pub text: Cow<'a, str>,
    owner: &'a Bytes,
}

impl RawField<'_> {
    /// The value as a slice of the frame, or a string of its own if it held escapes.
    #[must_use]
    pub fn to_shared(&self) -> ByteString {
        match &self.text {
            Cow::Borrowed(text) => ByteString::try_from(self.owner.slice_ref(text.as_bytes()))
                .expect("a slice that was read as UTF-8 is UTF-8"),
            Cow::Owned(text) => ByteString::from(text.as_str()),
        }
    }
}

/// A type that a header field can have.
pub trait FieldValue: Sized {
    /// Whether no text at all is as good as no field.
    const EMPTY_IS_ABSENT: bool = false;

    /// Writes the field.
    fn put(&self, key: &str, sink: &mut impl FieldSink);

    /// Reads the field; `None` means that the header does not have it.
    ///
    /// # Errors
    /// The value is missing or not of this type.
    fn read(key: &'static str, raw: Option<RawField<'_>>) -> Result<Self, HeaderError>;
}

fn parse<T: std::str::FromStr>(
    key: &'static str,
    raw: Option<RawField<'_>>,
    wanted: &'static str,
) -> Result<T, HeaderError> {
    let raw = raw.ok_or(HeaderError::Missing(key))?;
    raw.text.parse().map_err(|_| HeaderError::BadValue {
        field: key,
        value: raw.text.chars().take(64).collect::<String>().into(),
        wanted,
    })
}

impl FieldValue for i32 {
    fn put(&self, key: &str, sink: &mut impl FieldSink) {
        sink.number(key, i64::from(*self));
    }

    fn read(key: &'static str, raw: Option<RawField<'_>>) -> Result<Self, HeaderError> {
        parse(key, raw, "32-bit integer")
    }
}

impl FieldValue for i64 {
    fn put(&self, key: &str, sink: &mut impl FieldSink) {
        sink.number(key, *self);
    }

    fn read(key: &'static str, raw: Option<RawField<'_>>) -> Result<Self, HeaderError> {
        parse(key, raw, "64-bit integer")
    }
}

impl FieldValue for bool {
    fn put(&self, key: &str, sink: &mut impl FieldSink) {
        sink.truth(key, *self);
    }

    /// As Java's `Boolean.parseBoolean`: anything but "true" is false.
    fn read(key: &'static str, raw: Option<RawField<'_>>) -> Result<Self, HeaderError> {
        Ok(raw.ok_or(HeaderError::Missing(key))?.text.eq_ignore_ascii_case("true"))
    }
}

impl FieldValue for ByteString {
    const EMPTY_IS_ABSENT: bool = true;

    fn put(&self, key: &str, sink: &mut impl FieldSink) {
        sink.text(key, self);
    }

    fn read(key: &'static str, raw: Option<RawField<'_>>) -> Result<Self, HeaderError> {
        Ok(raw.ok_or(HeaderError::Missing(key))?.to_shared())
    }
}

impl<T: FieldValue> FieldValue for Option<T> {
    fn put(&self, key: &str, sink: &mut impl FieldSink) {
        if let Some(value) = self {
            value.put(key, sink);
        }
    }

    fn read(key: &'static str, raw: Option<RawField<'_>>) -> Result<Self, HeaderError> {
        match raw {
            Some(raw) if raw.text.is_empty() && T::EMPTY_IS_ABSENT => Ok(None),
            Some(raw) => T::read(key, Some(raw)).map(Some),
            None => Ok(None),
        }
    }
}

/// Declares a header: its fields with their names on the wire. `Option` fields may be absent. Behind a name may stand what
/// the real brokers put up with: `optional` is absent without harm and then has its type's default, `tolerant` may also
/// be anything, `or_negative` is −1 if it is absent.
macro_rules! header {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $key:literal $($mode:ident)?,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl $crate::header::HeaderFields for $name {
            fn write_fields(&self, sink: &mut impl $crate::header::FieldSink) {
                $($crate::header::FieldValue::put(&self.$field, $key, sink);)*
            }
        }

        impl $crate::header::FromFields for $name {
            fn from_fields(fields: &$crate::header::ExtFields) -> Result<Self, $crate::header::HeaderError> {
                $(let mut $field = None;)*
                fields.for_each_given(|key, value| match key.as_ref() {
                    $($key => $field = Some(value),)*
                    _ => {}
                })?;
                Ok(Self { $($field: $crate::header::field!($key, $field $(, $mode)?)?,)* })
            }
        }
    };
}
pub(crate) use header;

/// Reads one field of a header; see `header!`.
macro_rules! field {
    ($key:literal, $raw:ident) => {
        $crate::header::FieldValue::read($key, $raw)
    };
    ($key:literal, $raw:ident, optional) => {
        match $raw {
            None => Ok(Default::default()),
            given => $crate::header::FieldValue::read($key, given),
        }
    };
    ($key:literal, $raw:ident, or_negative) => {
        match $raw {
            None => Ok(-1),
            given => $crate::header::FieldValue::read($key, given),
        }
    };
    ($key:literal, $raw:ident, tolerant) => {
        Ok::<_, $crate::header::HeaderError>($crate::header::FieldValue::read($key, $raw).unwrap_or_default())
    };
}
pub(crate) use field;

/// Appends a whole header, without its length, to `out`.
pub fn encode(out: &mut BytesMut, encoding: SerializeType, head: &Head, fields: &impl HeaderFields) {
    match encoding {
        SerializeType::Json => json::encode(out, head, fields),
        SerializeType::RocketMq => binary::encode(out, head, fields),
    }
}
