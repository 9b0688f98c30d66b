//! A batch: each of its messages becomes a record of its own, and all of them lie in one queue one behind the
//! other.

use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::message::batch;
use rocketmq_protocol::message::wire::WireProperties;

use super::super::store_answer;
use super::single::no_timers;
use super::{Received, Sent, new_message, with_scratch};
use crate::broker::context::Context;
use crate::server::refusal::Refusal;
use crate::store::{NewMessage, Submission};
use crate::stored_properties::{copy_batch, note, push_encoded, tags_code};

/// Encodes a batch. A message's properties are its own, followed by those of the batch.
pub(super) fn encode(
    context: &Context,
    received: &Received<'_>,
    submission: &mut Submission,
) -> Result<Sent, Refusal> {
    let max_message_size = context.config.max_message_size;
    let mut of_batch = String::new();
    let sent = received.header.properties.as_deref().unwrap_or_default();
    let noted = copy_batch(sent, &context.config.broker_cluster_name, &mut of_batch);
    let delayed = noted.delay_level().map_or(true, |level| level > 0);
    if delayed || received.place.sys_flag.transaction() != 0 || received.body.len() > max_message_size {
        return Err(store_answer::illegal(max_message_size));
    }
    let entries = batch::decode(received.body.clone()).map_err(Refusal::system)?;
    if noted.has_timer || entries.iter().any(|entry| note(entry.properties.as_str()).has_timer) {
        return Err(no_timers());
    }
    if entries.is_empty() {
        return Err(Refusal::new(ResponseCode::MessageIllegal, "the batch holds no message"));
    }
    with_scratch(|joined| {
        let mut ends = Vec::with_capacity(entries.len());
        for entry in &entries {
            let start = joined.len();
            let own = entry.properties.as_str();
            push_encoded(joined, start, own);
            push_encoded(joined, start, &of_batch);
            // The batch's properties come again with each message: together they may be no more than Java's encoder has
            // room for.
            if joined.len() > max_message_size {
                return Err(store_answer::illegal(max_message_size));
            }
            ends.push((start, joined.len(), tags_code(noted.tags.or_else(|| note(own).tags))));
        }
        let new_messages: Vec<NewMessage<'_>> = entries
            .iter()
            .zip(&ends)
            .map(|(entry, (start, end, tags_code))| NewMessage {
                flag: entry.flag,
                body: &entry.body,
                properties: &joined[*start..*end],
                tags_code: *tags_code,
                ..new_message(context, received)
            })
            .collect();
        context
            .store
            .encode(&new_messages, submission)
            .map_err(|error| store_answer::refusal(&error, max_message_size))?;
        Ok(Sent {
            queue_id: received.place.answered_queue_id,
            wait: noted.wants_to_wait(),
            topic_change: received.place.topic.change,
        })
    })
}
