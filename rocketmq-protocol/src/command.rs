//! RemotingCommand: what every frame holds.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use crate::code::{CURRENT_VERSION, LanguageCode, ResponseCode};
use crate::header::{self, ExtFields, FromFields, Head, HeaderError, HeaderFields, SerializeType};

const RESPONSE_BIT: i32 = 1;
const ONEWAY_BIT: i32 = 2;
const MAX_HEADER_BYTES: usize = 0xFF_FFFF;

/// A request or response that was received. Its fields and its body are slices of the frame and are read on demand.
#[derive(Clone, Debug)]
pub struct RemotingCommand {
    head: Head,
    serialize_type: SerializeType,
    fields: ExtFields,
    body: Bytes,
}

impl RemotingCommand {
    /// Reads a frame, as [`split_frame`](crate::frame::split_frame) returns it.
    ///
    /// # Errors
    /// A header that cannot be read.
    pub fn decode(mut frame: Bytes) -> Result<Self, HeaderError> {
        let frame_bytes = frame.len();
        let mark =
            *frame.first_chunk::<4>().ok_or(HeaderError::BadLength { header_bytes: 4, frame_bytes })?;
        let header_bytes = usize::try_from(u32::from_be_bytes(mark)).unwrap_or(usize::MAX) & MAX_HEADER_BYTES;
        if header_bytes > frame_bytes - 4 {
            return Err(HeaderError::BadLength { header_bytes, frame_bytes });
        }
        let body = frame.split_off(4 + header_bytes);
        let header = frame.slice(4..);
        let (serialize_type, (head, fields)) = match mark[0] {
            0 => (SerializeType::Json, header::json::decode(&header)?),
            1 => (SerializeType::RocketMq, header::binary::decode(&header)?),
            other => return Err(HeaderError::UnknownSerializeType(other)),
        };
        Ok(Self { head, serialize_type, fields, body })
    }

    /// The request's or response's code.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.head.code
    }

    /// True if the code is 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.head.code == ResponseCode::Success.as_i32()
    }

    /// Ties a response to its request.
    #[must_use]
    pub fn opaque(&self) -> i32 {
        self.head.opaque
    }

    /// The sender's language.
    #[must_use]
    pub fn language(&self) -> LanguageCode {
        self.head.language
    }

    /// The sender's `MQVersion` ordinal.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.head.version
    }

    /// True for a response.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.head.flag & RESPONSE_BIT != 0
    }

    /// True for a request that wants no response.
    #[must_use]
    pub fn is_oneway(&self) -> bool {
        self.head.flag & ONEWAY_BIT != 0
    }

    /// What went wrong, in words.
    #[must_use]
    pub fn remark(&self) -> Option<&str> {
        self.head.remark.as_deref()
    }

    /// The encoding in which the header came.
    #[must_use]
    pub fn serialize_type(&self) -> SerializeType {
        self.serialize_type
    }

    /// The header's own fields, typed.
    ///
    /// # Errors
    /// A mandatory field that is missing, or a value that is not of its type.
    pub fn header<H: FromFields>(&self) -> Result<H, HeaderError> {
        H::from_fields(&self.fields)
    }

    /// One field of the header.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<ByteString> {
        self.fields.get(key)
    }

    /// All fields, for logs and tests.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        // What a broken header still says is what a log wants to show.
        let _ = self.fields.for_each(|key, value| all.push((key.into_owned(), Cow::into_owned(value.text))));
        all
    }

    /// The body; empty if there is none.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// What is to be sent, but for its fields and body.
#[derive(Clone, Debug)]
pub struct Outgoing {
    head: Head,
    serialize_type: SerializeType,
}

impl Outgoing {
    /// A request. Codes that do not fit the binary header go as JSON.
    #[must_use]
    pub fn request(code: i32, opaque: i32, oneway: bool, serialize_type: SerializeType) -> Self {
        let fits = i16::try_from(code).is_ok();
        Self {
            head: Head {
                code,
                language: LanguageCode::Rust,
                version: CURRENT_VERSION,
                opaque,
                flag: if oneway { ONEWAY_BIT } else { 0 },
                remark: None,
            },
            serialize_type: if fits { serialize_type } else { SerializeType::Json },
        }
    }

    /// A response to the request with that opaque number, in the encoding that the request had. It names Java as its
    /// language: clients older than 4.9.4 cannot read RUST.
    #[must_use]
    pub fn response(
        code: i32,
        opaque: i32,
        remark: Option<ByteString>,
        serialize_type: SerializeType,
    ) -> Self {
        let head = Head {
            code,
            language: LanguageCode::Java,
            version: CURRENT_VERSION,
            opaque,
            flag: RESPONSE_BIT,
            remark,
        };
        Self { head, serialize_type }
    }

    /// Appends the frame up to its body, whose length is `body_bytes`; the body is to follow at once.
    ///
    /// # Errors
    /// A header over 16 MiB; `out` is left as it was.
    pub fn encode(
        &self,
        out: &mut BytesMut,
        fields: &impl HeaderFields,
        body_bytes: usize,
    ) -> Result<(), TooLarge> {
        let start = out.len();
        out.put_u64(0);
        header::encode(out, self.serialize_type, &self.head, fields);
        let header_bytes = out.len() - start - 8;
        let frame_bytes = 4 + header_bytes + body_bytes;
        let lengths = u32::try_from(frame_bytes).ok().zip(u32::try_from(header_bytes).ok());
        let Some((frame, header)) = lengths.filter(|_| header_bytes <= MAX_HEADER_BYTES) else {
            out.truncate(start);
            return Err(TooLarge { frame_bytes });
        };
        out[start..][..4].copy_from_slice(&frame.to_be_bytes());
        out[start + 4..][..4].copy_from_slice(&header.to_be_bytes());
        out[start + 4] = self.serialize_type as u8;
        Ok(())
    }
}

/// A command that no frame can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {frame_bytes} bytes cannot be sent")]
pub struct TooLarge {
    /// The frame's length.
    pub frame_bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::split_frame;
    use crate::header::FieldSink;
    use crate::request::{RegisterBrokerRequest, UpdateConsumerOffsetRequest};
    use proptest::prelude::*;

    fn round_trip(out: &Outgoing, fields: &impl HeaderFields, body: &[u8]) -> RemotingCommand {
        let mut bytes = BytesMut::new();
        out.encode(&mut bytes, fields, body.len()).unwrap();
        bytes.extend_from_slice(body);
        let frame = split_frame(&mut bytes, 1 << 20).unwrap().unwrap();
        assert!(bytes.is_empty());
        RemotingCommand::decode(frame).unwrap()
    }

    struct Topic;
    impl HeaderFields for Topic {
        fn write_fields(&self, sink: &mut impl FieldSink) {
            sink.text("topic", "T");
        }
    }

    #[test]
    fn headers_are_javas_to_the_byte() {
        let java = |serialize_type| Outgoing {
            head: Head {
                code: 105,
                language: LanguageCode::Java,
                version: 479,
                opaque: 7,
                flag: 0,
                remark: None,
            },
            serialize_type,
        };
        let mut json = BytesMut::new();
        java(SerializeType::Json).encode(&mut json, &Topic, 0).unwrap();
        assert_eq!(json[..8], [0, 0, 0, 0x7f, 0, 0, 0, 0x7b]);
        assert_eq!(
            &json[8..],
            br#"{"code":105,"extFields":{"topic":"T"},"flag":0,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":479}"#
        );
        let mut binary = BytesMut::new();
        java(SerializeType::RocketMq).encode(&mut binary, &Topic, 2).unwrap();
        assert_eq!(
            &binary[..],
            b"\0\0\0\x27\x01\0\0\x21\0\x69\0\x01\xdf\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\x0c\0\x05topic\0\0\0\x01T"
        );
    }

    #[test]
    fn codes_beyond_sixteen_bits_go_as_json() {
        let out = Outgoing::request(200_050, 1, false, SerializeType::RocketMq);
        assert_eq!(round_trip(&out, &Topic, b"").code(), 200_050);
    }

    #[test]
    fn every_truncation_of_a_header_is_an_error() {
        for kind in [SerializeType::Json, SerializeType::RocketMq] {
            let mut bytes = BytesMut::new();
            Outgoing::response(1, 2, Some("remark".into()), kind).encode(&mut bytes, &Topic, 0).unwrap();
            let header = bytes.split_off(8).freeze();
            for end in 0..header.len() {
                let decode = match kind {
                    SerializeType::Json => header::json::decode,
                    SerializeType::RocketMq => header::binary::decode,
                };
                let cut = header.slice(..end);
                let whole = decode(&cut).and_then(|(_, fields)| {
                    fields.for_each(|_, _| {})?;
                    if fields.bytes.is_empty() { Err(HeaderError::Missing("topic")) } else { Ok(()) }
                });
                assert!(whole.is_err(), "{kind:?} cut to {end} bytes");
            }
        }
    }

    #[test]
    fn a_missing_field_is_named_as_java_names_it() {
        let out = Outgoing::request(1, 1, false, SerializeType::Json);
        let error = round_trip(&out, &Topic, b"").header::<UpdateConsumerOffsetRequest>().unwrap_err();
        assert_eq!(error.to_string(), "the custom field <consumerGroup> is null");
    }

    proptest! {
        #[test]
        fn commands_round_trip(
            text in "[^\u{0}]{1,40}", broker_id: i64, compressed: Option<bool>, body_crc32: Option<i32>,
            body in proptest::collection::vec(any::<u8>(), 0..50), code in 0..30_000i32, opaque: i32,
        ) {
            let fields = RegisterBrokerRequest {
                broker_name: text.as_str().into(), broker_addr: "a".into(), cluster_name: "c".into(),
                ha_server_addr: text.into(), broker_id, compressed, body_crc32, heartbeat_timeout_millis: None,
            };
            for kind in [SerializeType::Json, SerializeType::RocketMq] {
                let command = round_trip(&Outgoing::request(code, opaque, true, kind), &fields, &body);
                prop_assert_eq!(command.header::<RegisterBrokerRequest>().unwrap(), fields.clone());
                prop_assert_eq!((command.code(), command.opaque(), command.is_oneway()), (code, opaque, true));
                prop_assert_eq!(&command.body()[..], &body[..]);
            }
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), kind in 0u8..3) {
            let mut frame = vec![kind, 0, 0, u8::try_from(bytes.len()).unwrap()];
            frame.extend(bytes);
            if let Ok(command) = RemotingCommand::decode(frame.into()) {
                let _ = command.fields();
            }
        }
    }
}
