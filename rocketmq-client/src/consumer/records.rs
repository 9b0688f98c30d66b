//! The messages of an answer to a pull.

use bytes::Bytes;
use rocketmq_protocol::body::subscription::SubscriptionData;
use rocketmq_protocol::message::wire::{WireMessageExt, WireMessageQueue};
use rocketmq_protocol::message::{MessageExt, MessageQueue, names};
use rocketmq_protocol::request::PullMessageResponse;

use super::process_queue::{Pulled, Record};
use crate::instance::Answer;

/// What a record is at least: everything before its physical offset, and that.
const READABLE_BYTES: usize = 36;

/// What an answer brought.
pub(super) struct Decoded {
    /// Each with its offset and its size in bytes, in the order of offsets.
    pub(super) messages: Vec<(i64, usize, Pulled)>,
    /// The offset to pull next.
    pub(super) next_offset: i64,
}

/// The messages of an answer that pass the filter: the broker compares only the tags' hash codes. Bytes that are no message stand for one all the same, so that they are reported, not passed over.
pub(super) fn decode(
    queue: &MessageQueue,
    subscription: &SubscriptionData,
    answer: &Answer<PullMessageResponse>,
    first_offset: i64,
    max_messages: i32,
) -> Decoded {
    let bounds = &answer.header;
    let pulled = |record| Pulled { record, min_offset: bounds.min_offset, max_offset: bounds.max_offset };
    // As many as were asked for, unless the answer is too short for that many.
    let wanted = usize::try_from(max_messages).unwrap_or(0);
    let mut messages = Vec::with_capacity(wanted.min(answer.body.len() / READABLE_BYTES));
    let mut expected = first_offset;
    let mut rest = answer.body.clone();
    while !rest.is_empty() {
        match MessageExt::decode(&rest) {
            Ok((mut message, after)) => {
                let bytes = rest.len() - after.len();
                rest = after;
                expected = message.queue_offset().saturating_add(1);
                if subscription.is_tag_type() && !subscription.matches_tag(message.get_tags()) {
                    continue;
                }
                complete(&mut message, queue);
                messages.push((message.queue_offset(), bytes, pulled(Record::Message(message))));
            }
            Err(error) => {
                let unreadable = Unreadable::of(&rest, expected);
                tracing::error!(%queue, offset = unreadable.offset, ?unreadable.physical_offset, %error,
                    "a record of the broker's answer is no message: it is given back");
                expected = unreadable.offset.saturating_add(1);
                let record = Record::Unreadable { physical_offset: unreadable.physical_offset };
                messages.push((unreadable.offset, unreadable.bytes.unwrap_or(0), pulled(record)));
                let Some(bytes) = unreadable.bytes else {
                    return Decoded { messages, next_offset: expected };
                };
                rest = rest.slice(bytes..);
            }
        }
    }
    Decoded { messages, next_offset: bounds.next_begin_offset }
}

/// Says of a message what its record does not.
fn complete(message: &mut MessageExt, queue: &MessageQueue) {
    message.set_broker_name(queue.broker_name_shared().clone());
    if message.get_property(names::TRAN_MSG) == Some("true")
        && let Some(id) = message.get_property(names::UNIQ_KEY).map(str::to_owned)
    {
        message.set_transaction_id(id);
    }
}

/// What can be made out of a record that cannot be read.
#[derive(Debug)]
struct Unreadable {
    offset: i64,
    physical_offset: Option<i64>,
    /// `None` if even that does not make sense: where the next record begins is lost with it.
    bytes: Option<usize>,
}

impl Unreadable {
    /// The record's size, offset and physical offset lie at fixed places; they count only if they make sense.
    fn of(rest: &Bytes, expected: i64) -> Self {
        let i64_at = |at: usize| {
            rest.get(at..at + 8).and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?)))
        };
        let size = rest.get(..4).and_then(|bytes| Some(i32::from_be_bytes(bytes.try_into().ok()?)));
        let size = size.and_then(|size| usize::try_from(size).ok());
        let Some(bytes) = size.filter(|size| (READABLE_BYTES..=rest.len()).contains(size)) else {
            return Self { offset: expected, physical_offset: None, bytes: None };
        };
        let offset = i64_at(20).filter(|offset| *offset >= expected).unwrap_or(expected);
        Self { offset, physical_offset: i64_at(28).filter(|offset| *offset >= 0), bytes: Some(bytes) }
    }
}
