//! Headers from any peer: whatever is missing is named, whatever is there is read.

#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use bytes::BytesMut;
use proptest::prelude::*;
use proptest::sample::Index;
use rocketmq_protocol::command::{Outgoing, RemotingCommand};
use rocketmq_protocol::header::{FieldSink, FromFields, HeaderError, HeaderFields, SerializeType};
use rocketmq_protocol::request::{
    ConsumerListRequest, PullMessageRequest, PullMessageResponse, QueryConsumerOffsetRequest,
    RegisterBrokerRequest, RouteInfoRequest, SearchOffsetRequest, SendBackRequest, SendMessageRequest,
    SendMessageRequestV1, SendMessageResponse, UnregisterClientRequest, UpdateConsumerOffsetRequest,
};

/// A header and the names of its fields on the wire, those without which the real brokers refuse it first.
struct Case {
    mandatory: &'static [&'static str],
    optional: &'static [&'static str],
    read: fn(&RemotingCommand) -> Result<(), HeaderError>,
}

impl Case {
    const fn new<H: FromFields>(
        mandatory: &'static [&'static str],
        optional: &'static [&'static str],
    ) -> Self {
        Self { mandatory, optional, read: |command| command.header::<H>().map(drop) }
    }
}

const CASES: [Case; 13] = [
    Case::new::<SendMessageRequest>(
        &["e", "f", "g", "h"],
        &["a", "b", "c", "d", "i", "j", "k", "l", "m", "n"],
    ),
    Case::new::<SendMessageRequestV1>(
        &["queueId", "sysFlag", "bornTimestamp", "flag"],
        &[
            "producerGroup",
            "topic",
            "defaultTopic",
            "defaultTopicQueueNums",
            "properties",
            "reconsumeTimes",
            "unitMode",
            "maxReconsumeTimes",
            "batch",
            "bname",
        ],
    ),
    Case::new::<SendMessageResponse>(
        &["msgId", "queueId", "queueOffset"],
        &["transactionId", "MSG_REGION", "TRACE_ON", "recallHandle"],
    ),
    Case::new::<PullMessageRequest>(
        &["consumerGroup", "topic", "queueId", "queueOffset", "maxMsgNums", "sysFlag"],
        &[
            "commitOffset",
            "suspendTimeoutMillis",
            "subVersion",
            "subscription",
            "expressionType",
            "maxMsgBytes",
            "bname",
        ],
    ),
    Case::new::<PullMessageResponse>(
        &["suggestWhichBrokerId", "nextBeginOffset", "minOffset", "maxOffset"],
        &[],
    ),
    Case::new::<QueryConsumerOffsetRequest>(
        &["topic", "queueId"],
        &["consumerGroup", "setZeroIfNotFound", "bname"],
    ),
    Case::new::<UpdateConsumerOffsetRequest>(
        &["consumerGroup", "topic", "queueId", "commitOffset"],
        &["bname"],
    ),
    Case::new::<SearchOffsetRequest>(&["topic", "queueId", "timestamp"], &["bname"]),
    Case::new::<SendBackRequest>(
        &["offset", "group", "delayLevel"],
        &["originMsgId", "originTopic", "unitMode", "maxReconsumeTimes", "bname"],
    ),
    Case::new::<UnregisterClientRequest>(&[], &["clientID", "producerGroup", "consumerGroup", "bname"]),
    Case::new::<ConsumerListRequest>(&["consumerGroup"], &[]),
    Case::new::<RouteInfoRequest>(&[], &["topic", "acceptStandardJsonOnly"]),
    Case::new::<RegisterBrokerRequest>(
        &["brokerName", "brokerAddr", "clusterName", "brokerId"],
        &["haServerAddr", "compressed", "bodyCrc32", "heartbeatTimeoutMillis"],
    ),
];

/// Fields of those names. "1" is a text, a number and, as Java reads it, a truth value.
struct Ones<'a>(&'a [&'a str]);

impl HeaderFields for Ones<'_> {
    fn write_fields(&self, sink: &mut impl FieldSink) {
        for name in self.0 {
            sink.text(name, "1");
        }
    }
}

fn command(names: &[&str], kind: SerializeType) -> RemotingCommand {
    let mut frame = BytesMut::new();
    Outgoing::request(1, 1, false, kind).encode(&mut frame, &Ones(names), 0).unwrap();
    RemotingCommand::decode(frame.freeze().slice(4..)).unwrap()
}

#[test]
fn each_mandatory_field_that_is_missing_is_named() {
    for case in &CASES {
        for missing in case.mandatory {
            let names: Vec<_> = case.mandatory.iter().copied().filter(|name| name != missing).collect();
            for kind in [SerializeType::Json, SerializeType::RocketMq] {
                let read = (case.read)(&command(&names, kind));
                assert_eq!(read, Err(HeaderError::Missing(missing)), "of {:?} in {kind:?}", case.mandatory);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_header_is_read_exactly_if_its_mandatory_fields_are_there(
        case: Index,
        present in proptest::collection::vec(proptest::bool::weighted(0.9), 24),
        unknown in proptest::option::of("[x-z]{2,9}"),
        turn: Index,
    ) {
        let case = case.get(&CASES);
        let all = case.mandatory.iter().chain(case.optional);
        let mut names: Vec<&str> = all.zip(&present).filter_map(|(name, there)| there.then_some(*name)).collect();
        names.extend(unknown.as_deref());
        // Fields come in any order.
        let turn = turn.index(names.len() + 1);
        names.rotate_left(turn);
        let first_missing = case.mandatory.iter().find(|name| !names.contains(name));
        let expected = first_missing.map_or(Ok(()), |name| Err(HeaderError::Missing(name)));
        for kind in [SerializeType::Json, SerializeType::RocketMq] {
            prop_assert_eq!((case.read)(&command(&names, kind)), expected.clone(), "{:?} of {:?}", kind, names);
        }
    }

    #[test]
    fn a_value_that_is_no_number_is_shown_with_its_name(text in "[a-z]{1,9}", kind in 0..2) {
        struct Offset<'a>(&'a str);
        impl HeaderFields for Offset<'_> {
            fn write_fields(&self, sink: &mut impl FieldSink) {
                Ones(&["group", "delayLevel"]).write_fields(sink);
                sink.text("offset", self.0);
            }
        }
        let kind = if kind == 0 { SerializeType::Json } else { SerializeType::RocketMq };
        let mut frame = BytesMut::new();
        Outgoing::request(36, 1, false, kind).encode(&mut frame, &Offset(&text), 0).unwrap();
        let command = RemotingCommand::decode(frame.freeze().slice(4..)).unwrap();
        let error = command.header::<SendBackRequest>().unwrap_err();
        let named = matches!(&error, HeaderError::BadValue { field: "offset", value, .. } if **value == *text);
        prop_assert!(named, "{}", error);
    }
}
