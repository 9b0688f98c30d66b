//! What a program receives.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use bytestring::ByteString;

use super::content::{Content, content_readers};
use super::java::JavaHost;
use super::outgoing::fmt_content;
use super::properties::lossy;
use super::record::{Record, RecordError, stored_crc, stored_size};
use super::wire::{WireMessageExt, WireProperties};
use super::{Properties, SysFlag, id::OffsetMessageId, names};
use crate::compression::{DecompressError, decompress};

/// A received message with what the broker added to it. Java: `MessageExt`.
///
/// Its strings and its body are slices of the frame it came in: cloning is cheap, and a message that is kept for long
/// keeps its frame (a pull answer, 256 KiB by default) in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageExt {
    content: Content,
    broker_name: Option<ByteString>,
    queue_id: i32,
    store_size: i32,
    queue_offset: i64,
    sys_flag: SysFlag,
    born_timestamp: i64,
    born_host: SocketAddr,
    store_timestamp: i64,
    store_host: SocketAddr,
    commit_log_offset: i64,
    body_crc: i32,
    reconsume_times: i32,
    prepared_transaction_offset: i64,
}

impl MessageExt {
    content_readers!();

    /// The id that the producer gave, or else the offset message id.
    #[must_use]
    #[doc(alias = "getMsgId")]
    pub fn msg_id(&self) -> String {
        self.content.properties.get(names::UNIQ_KEY).map_or_else(|| self.offset_msg_id(), str::to_owned)
    }

    /// Where the broker stored the message, as 32 hexadecimal digits (56 for IPv6): address, port, and physical offset.
    #[must_use]
    #[doc(alias = "getOffsetMsgId")]
    pub fn offset_msg_id(&self) -> String {
        let mut text = String::with_capacity(56);
        OffsetMessageId { store_host: self.store_host, physical_offset: self.commit_log_offset }
            .push_to(&mut text);
        text
    }

    /// The name of the broker it came from.
    #[must_use]
    #[doc(alias = "getBrokerName")]
    pub fn broker_name(&self) -> Option<&str> {
        self.broker_name.as_deref()
    }

    /// The queue's number on its broker, from 0.
    #[must_use]
    #[doc(alias = "getQueueId")]
    pub fn queue_id(&self) -> i32 {
        self.queue_id
    }

    /// The message's size in the commit log, in bytes.
    #[must_use]
    #[doc(alias = "getStoreSize")]
    pub fn store_size(&self) -> i32 {
        self.store_size
    }

    /// The message's place in its queue, from 0.
    #[must_use]
    #[doc(alias = "getQueueOffset")]
    pub fn queue_offset(&self) -> i64 {
        self.queue_offset
    }

    /// RocketMQ's own flags. A body that came compressed is plain here, and its flag is cleared.
    #[must_use]
    #[doc(alias = "getSysFlag")]
    pub fn sys_flag(&self) -> SysFlag {
        self.sys_flag
    }

    /// When the producer made it, in milliseconds since 1970.
    #[must_use]
    #[doc(alias = "getBornTimestamp")]
    pub fn born_timestamp(&self) -> i64 {
        self.born_timestamp
    }

    /// The producer's address, as the broker saw it.
    #[must_use]
    #[doc(alias = "getBornHost")]
    pub fn born_host(&self) -> SocketAddr {
        self.born_host
    }

    /// When the broker stored it, in milliseconds since 1970.
    #[must_use]
    #[doc(alias = "getStoreTimestamp")]
    pub fn store_timestamp(&self) -> i64 {
        self.store_timestamp
    }

    /// The broker's address.
    #[must_use]
    #[doc(alias = "getStoreHost")]
    pub fn store_host(&self) -> SocketAddr {
        self.store_host
    }

    /// The message's physical offset: its first byte in the commit log.
    #[must_use]
    #[doc(alias = "getCommitLogOffset")]
    pub fn commit_log_offset(&self) -> i64 {
        self.commit_log_offset
    }

    /// The CRC-32 of the body as it is stored (compressed if it was), without its highest bit.
    #[must_use]
    #[doc(alias = "getBodyCRC")]
    pub fn body_crc(&self) -> i32 {
        self.body_crc
    }

    /// How often the message was given back to be consumed again; 0 the first time.
    #[must_use]
    #[doc(alias = "getReconsumeTimes")]
    pub fn reconsume_times(&self) -> i32 {
        self.reconsume_times
    }

    /// The physical offset of the half message, for messages of a transaction; else 0.
    #[must_use]
    #[doc(alias = "getPreparedTransactionOffset")]
    pub fn prepared_transaction_offset(&self) -> i64 {
        self.prepared_transaction_offset
    }
}

impl WireMessageExt for MessageExt {
    fn decode(bytes: &Bytes) -> Result<(Self, Bytes), RecordError> {
        let record = Record::parse(bytes)?;
        let store_size = stored_size(bytes);
        let rest_from = usize::try_from(store_size).map_err(|_| RecordError::BadLength("total size"))?;
        let content = Content {
            topic: lossy(bytes.slice_ref(record.topic)),
            flag: record.flag,
            properties: Properties::from_bytes(bytes.slice_ref(record.properties)),
            body: bytes.slice_ref(record.body),
            transaction_id: None,
        };
        let message = Self {
            content,
            broker_name: None,
            queue_id: record.queue_id,
            store_size,
            queue_offset: record.queue_offset,
            sys_flag: record.sys_flag,
            born_timestamp: record.born_timestamp,
            born_host: record.born_host,
            store_timestamp: record.store_timestamp,
            store_host: record.store_host,
            commit_log_offset: record.physical_offset,
            body_crc: stored_crc(bytes),
            reconsume_times: record.reconsume_times,
            prepared_transaction_offset: record.prepared_transaction_offset,
        };
        Ok((message, bytes.slice(rest_from..)))
    }

    fn decompress(&mut self, limit_bytes: usize) -> Result<(), DecompressError> {
        if self.sys_flag.has(SysFlag::COMPRESSED) {
            self.content.body = decompress(&self.content.body, self.sys_flag, limit_bytes)?;
            self.sys_flag = self.sys_flag.without(SysFlag::COMPRESSED);
        }
        Ok(())
    }

    fn topic_shared(&self) -> &ByteString {
        &self.content.topic
    }

    fn set_topic(&mut self, topic: impl Into<ByteString>) {
        self.content.topic = topic.into();
    }

    fn set_broker_name(&mut self, broker_name: ByteString) {
        self.broker_name = Some(broker_name);
    }

    fn set_reconsume_times(&mut self, reconsume_times: i32) {
        self.reconsume_times = reconsume_times;
    }

    fn set_transaction_id(&mut self, transaction_id: impl Into<ByteString>) {
        self.content.transaction_id = Some(transaction_id.into());
    }

    fn properties_mut(&mut self) -> &mut Properties {
        &mut self.content.properties
    }
}

/// As Java's `toString`, whose `msgId` is the offset message id.
impl fmt::Display for MessageExt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MessageExt [brokerName={}, queueId={}, storeSize={}, queueOffset={}, sysFlag={}, bornTimestamp={}, \
             bornHost={}, storeTimestamp={}, storeHost={}, msgId={}, commitLogOffset={}, bodyCRC={}, \
             reconsumeTimes={}, preparedTransactionOffset={}, toString()=",
            self.broker_name.as_deref().unwrap_or("null"),
            self.queue_id,
            self.store_size,
            self.queue_offset,
            self.sys_flag.0,
            self.born_timestamp,
            JavaHost(self.born_host),
            self.store_timestamp,
            JavaHost(self.store_host),
            self.offset_msg_id(),
            self.commit_log_offset,
            self.body_crc,
            self.reconsume_times,
            self.prepared_transaction_offset,
        )?;
        // Java's decoder makes no empty body.
        let body = Some(&self.content.body[..]).filter(|body| !body.is_empty());
        fmt_content(f, &self.content, body)?;
        f.write_str("]")
    }
}
