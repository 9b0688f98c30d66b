//! The body of a batch: its messages one behind the other.
//!
//! ```text
//! total size 4 | magic 4 (0) | body CRC 4 (0) | flag 4 | body length 4, body | properties length 2, properties
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::properties::{MAX_PROPERTIES_BYTES, lossy};
use super::wire::WireProperties;
use super::{Message, Properties};

const FIXED_BYTES: usize = 22;

/// One message inside a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchEntry {
    /// The producer's own number.
    pub flag: i32,
    /// The body.
    pub body: Bytes,
    /// The properties.
    pub properties: Properties,
}

/// Why bytes are not a batch, or messages cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The bytes end inside a message, or its lengths do not add up.
    #[error("the batch's message {0} is cut short or its lengths do not add up")]
    Malformed(usize),
    /// A message's properties are too long.
    #[error(
        "the properties of the batch's message {index} are {found_bytes} bytes long; {MAX_PROPERTIES_BYTES} are the most"
    )]
    PropertiesTooLong {
        /// The message's number, from 0.
        index: usize,
        /// The properties' length.
        found_bytes: usize,
    },
}

/// The size of one message in a batch's body.
#[must_use]
pub fn encoded_len(message: &Message) -> usize {
    FIXED_BYTES + message.body().len() + message.properties().as_str().len()
}

/// Encodes the messages as one body.
///
/// # Errors
/// [`BatchError::PropertiesTooLong`].
pub fn encode(messages: &[Message]) -> Result<Bytes, BatchError> {
    let mut out = BytesMut::with_capacity(messages.iter().map(encoded_len).sum());
    for (index, message) in messages.iter().enumerate() {
        let properties = message.properties().as_str().as_bytes();
        let too_long = BatchError::PropertiesTooLong { index, found_bytes: properties.len() };
        let properties_length = i16::try_from(properties.len()).map_err(|_| too_long)?;
        let size = |length: usize| u32::try_from(length).map_err(|_| BatchError::Malformed(index));
        out.put_u32(size(encoded_len(message))?);
        out.put_i32(0);
        out.put_i32(0);
        out.put_i32(message.get_flag());
        out.put_u32(size(message.body().len())?);
        out.put_slice(message.body());
        out.put_i16(properties_length);
        out.put_slice(properties);
    }
    Ok(out.freeze())
}

/// Reads the messages of a batch's body, as slices of it.
///
/// # Errors
/// [`BatchError::Malformed`] with the number of the message that is wrong.
pub fn decode(mut body: Bytes) -> Result<Vec<BatchEntry>, BatchError> {
    let mut entries = Vec::new();
    while !body.is_empty() {
        let entry = decode_one(&mut body).ok_or(BatchError::Malformed(entries.len()))?;
        entries.push(entry);
    }
    Ok(entries)
}

fn decode_one(body: &mut Bytes) -> Option<BatchEntry> {
    let total = usize::try_from(body.try_get_i32().ok()?).ok()?.checked_sub(4)?;
    if total > body.len() {
        return None;
    }
    let mut message = body.split_to(total);
    message.try_get_i64().ok()?;
    let flag = message.try_get_i32().ok()?;
    let body_length = usize::try_from(message.try_get_i32().ok()?).ok()?;
    let content = (body_length <= message.len()).then(|| message.split_to(body_length))?;
    let properties_length = usize::try_from(message.try_get_i16().ok()?).ok()?;
    (properties_length == message.len()).then(|| BatchEntry {
        flag,
        body: content,
        properties: Properties::from_wire(lossy(message)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_truncation_is_an_error_or_a_shorter_batch() {
        let messages = [Message::new("T", "one").keys(["k"]), Message::new("T", "two")];
        let bytes = encode(&messages).unwrap();
        let first = encoded_len(&messages[0]);
        for end in 1..bytes.len() {
            let decoded = decode(bytes.slice(..end));
            assert_eq!(decoded.is_ok(), end == first, "{end} bytes");
        }
    }

    proptest! {
        #[test]
        fn batches_round_trip(bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..8)) {
            let messages: Vec<_> =
                bodies.iter().map(|body| Message::new("T", body.clone()).tags("A").flag(3)).collect();
            let decoded = decode(encode(&messages).unwrap()).unwrap();
            prop_assert_eq!(decoded.len(), messages.len());
            for (entry, message) in decoded.iter().zip(&messages) {
                prop_assert_eq!(&entry.body, message.body());
                prop_assert_eq!(entry.flag, 3);
                prop_assert_eq!(&entry.properties, message.properties());
            }
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(bytes.into());
        }
    }
}
