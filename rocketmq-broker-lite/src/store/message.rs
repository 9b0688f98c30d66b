//! What goes into the store, and what is known once it is there.

use std::net::SocketAddr;

use rocketmq_protocol::ByteString;
use rocketmq_protocol::message::SysFlag;
use rocketmq_protocol::message::record::Record;

/// A message to store, borrowed from the request that brought it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewMessage<'a> {
    /// The topic; at most 127 bytes.
    pub(crate) topic: &'a ByteString,
    /// The queue's number.
    pub(crate) queue_id: i32,
    /// The producer's own number.
    pub(crate) flag: i32,
    /// RocketMQ's own flags; the bits for IPv6 hosts are set by the store.
    pub(crate) sys_flag: SysFlag,
    /// When the producer made it, in milliseconds since 1970.
    pub(crate) born_timestamp: i64,
    /// The producer's address.
    pub(crate) born_host: SocketAddr,
    /// The broker's address.
    pub(crate) store_host: SocketAddr,
    /// How often it was given back.
    pub(crate) reconsume_times: i32,
    /// The half message's physical offset, or 0.
    pub(crate) prepared_transaction_offset: i64,
    /// The body; at most `max_message_size` bytes.
    pub(crate) body: &'a [u8],
    /// The encoded properties; at most 32,767 bytes.
    pub(crate) properties: &'a str,
    /// What the consume queue keeps for filtering. For `SCHEDULE_TOPIC_XXXX` the store puts the deliver time there
    /// instead: store time and the delay of property `DELAY`.
    pub(crate) tags_code: i64,
}

impl<'a> NewMessage<'a> {
    /// The message of a record once more, at another place and with other properties.
    pub(crate) fn again(
        record: &Record<'a>,
        topic: &'a ByteString,
        queue_id: i32,
        properties: &'a str,
        tags_code: i64,
    ) -> Self {
        Self {
            topic,
            queue_id,
            flag: record.flag,
            sys_flag: record.sys_flag,
            born_timestamp: record.born_timestamp,
            born_host: record.born_host,
            store_host: record.store_host,
            reconsume_times: record.reconsume_times,
            prepared_transaction_offset: 0,
            body: record.body,
            properties,
            tags_code,
        }
    }
}

/// Where a message came to lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Appended {
    /// The first byte's place in the log.
    pub(crate) physical_offset: i64,
    /// The record's size in bytes.
    pub(crate) size: u32,
    /// The place in the queue.
    pub(crate) queue_offset: i64,
    /// The moment, in milliseconds since 1970.
    pub(crate) store_timestamp: i64,
}

impl Appended {
    /// The place in the log right behind the record: what a synchronous flush must reach.
    pub(crate) fn end_offset(&self) -> i64 {
        self.physical_offset + i64::from(self.size)
    }
}

/// News that a message can be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    /// The topic.
    pub(crate) topic: &'a ByteString,
    /// The queue's number.
    pub(crate) queue_id: i32,
    /// The message's place in the queue.
    pub(crate) queue_offset: i64,
    /// What the consume queue keeps of it.
    pub(crate) tags_code: i64,
}
