//! Clients and groups: codes 34, 35, 38 and 40.

use bytestring::ByteString;

use super::request;
use crate::header::{HeaderFields, NoFields, header};

/// A client lives; the body is [`HeartbeatData`](crate::body::heartbeat::HeartbeatData).
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatRequest;

impl HeaderFields for HeartbeatRequest {
    fn write_fields(&self, _: &mut impl crate::header::FieldSink) {}
}

header! {
    /// A client leaves. Java: `UnregisterClientRequestHeader`.
    UnregisterClientRequest {
        /// The client's id.
        client_id: ByteString = "clientID" optional,
        /// The producer group it leaves.
        producer_group: Option<ByteString> = "producerGroup",
        /// The consumer group it leaves.
        consumer_group: Option<ByteString> = "consumerGroup",
        /// The broker's name.
        broker_name: Option<ByteString> = "bname",
    }
}

header! {
    /// The members of a group, please; the answer's body is
    /// [`ConsumerList`](crate::body::consumer_list::ConsumerList). Java: `GetConsumerListByGroupRequestHeader`.
    ConsumerListRequest {
        /// The group.
        consumer_group: ByteString = "consumerGroup",
    }
}

header! {
    /// A group has changed; from the broker, without an answer. Java: `NotifyConsumerIdsChangedRequestHeader`.
    NotifyConsumerIdsChanged {
        /// The group.
        consumer_group: ByteString = "consumerGroup",
    }
}

request!(HeartbeatRequest => HeartBeat, NoFields);
request!(UnregisterClientRequest => UnregisterClient, NoFields);
request!(ConsumerListRequest => GetConsumerListByGroup, NoFields);
request!(NotifyConsumerIdsChanged => NotifyConsumerIdsChanged, NoFields);
