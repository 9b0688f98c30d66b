//! What is read, and that it costs no more than the text is long.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::body::heartbeat::HeartbeatData;
use crate::body::register_broker::RegisterBrokerBody;

thread_local! {
    /// How many bytes this thread's scanners have stepped over.
    static STEPS: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn count_steps(bytes: usize) {
    STEPS.set(STEPS.get() + bytes);
}

fn steps_of(work: impl FnOnce()) -> usize {
    STEPS.set(0);
    work();
    STEPS.get()
}

/// Shapes that are dear to a careless reader, each `size` times as long as its piece.
fn nasty_shapes(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let repeat = |piece: &str| piece.repeat(size);
    let list = |open: &str, piece: &str, close: &str| format!("{open}{}{close}", repeat(piece));
    [
        ("objects as keys of objects as keys", repeat("{")),
        ("closed objects as keys", list("", "{{}:", "1")),
        ("objects as keys, closed", format!("{}1{}", repeat("{{\"a\":1}:"), repeat("}"))),
        ("arrays", repeat("[")),
        ("sets", repeat("Set[")),
        ("values that nest", format!("{}1{}", repeat("{\"a\":"), repeat("}"))),
        ("flat objects as keys", list("{", "{\"a\":1}:1,", "}")),
        ("empty members", list("{\"consumerDataSet\":[", "{},", "]}")),
        ("duplicates", list("{", "\"clientID\":\"a\",", "}")),
        ("duplicate lists", list("{", "\"consumerDataSet\":[{\"groupName\":\"g\"}],", "}")),
        ("unknown members", list("{", "\"x\":[1],", "}")),
        ("smart names", list("{", "\"CLIENT_____ID\":1,", "}")),
        ("a long name", list("{\"", "_", "\":1}")),
        ("a long string", list("{\"clientID\":\"", "a", "\"}")),
        ("escapes", list("{\"clientID\":\"", "\\u0041", "\"}")),
        ("half surrogates", list("{\"clientID\":\"", "\\ud800", "\"}")),
        ("backslashes", list("\"", "\\\\", "")),
        ("a long word", list("", "S", "")),
        ("words", list("[", "S,", "]")),
        ("commas", list("[", ",", "]")),
        ("spaces", list("", " ", "{}")),
        ("spaces between", list("{\"clientID\"", " ", ":1}")),
        ("a long number", list("{\"clientID\":", "9", "}")),
        ("null members", list("{", "\"clientID\":null,", "}")),
        (
            "subscriptions",
            list(
                "{\"consumerDataSet\":[{\"subscriptionDataSet\":[",
                "{\"codeSet\":[1,2],\"topic\":\"T\"},",
                "]}]}",
            ),
        ),
        (
            "topics",
            list("{\"topicConfigSerializeWrapper\":{\"topicConfigTable\":{", "\"T\":{\"perm\":6},", "}}}"),
        ),
    ]
    .map(|(name, text)| (name, text.into_bytes()))
    .to_vec()
}

/// Whatever the shape, each byte is stepped over a fixed number of times: once to check it, and for each level of the
/// type once to find its members and once to read them.
#[test]
fn steps_grow_as_the_text_does() {
    for size in [64, 512, 4096, 32_768] {
        for (name, text) in nasty_shapes(size) {
            let steps = steps_of(|| {
                let _ = from_slice::<HeartbeatData>(&text);
                let _ = from_slice::<RegisterBrokerBody>(&text);
                let _ = from_slice::<serde_json::Value>(&text);
                let header = bytes::Bytes::from(text.clone());
                let _ = crate::header::json::decode(&header);
            });
            assert!(steps <= 40 * text.len() + 100, "{name}: {steps} steps over {} bytes", text.len());
        }
    }
}

/// Three bytes each: kept as a hundred and more, a heartbeat of 16 MiB would take a gigabyte.
#[test]
fn what_costs_a_peer_next_to_nothing_is_not_kept_many_times() {
    let empties = "{},".repeat(10_000);
    let group = format!(r#"{{"groupName":"g","subscriptionDataSet":[{empties}]}}"#);
    let text = format!(
        r#"{{"consumerDataSet":[{empties}{group},{group}],"producerDataSet":[{empties}{{"groupName":"p"}}]}}"#
    );
    let heartbeat: HeartbeatData = from_slice(text.as_bytes()).unwrap();
    let groups: Vec<_> = heartbeat.consumer_data_set.iter().map(|data| &*data.group_name).collect();
    assert_eq!(groups, ["", "g"]);
    assert_eq!(heartbeat.consumer_data_set[1].subscription_data_set.len(), 1);
    assert_eq!(heartbeat.producer_data_set.len(), 2);
}

/// What made a broker of 364 bytes abort: keys doubled with each level.
#[test]
fn objects_as_keys_nest_once() {
    let once = br#"{{"a":{"b":1}}:1}"#;
    assert!(from_slice::<BTreeMap<String, i64>>(once).is_ok());
    for twice in [&br#"{{{"a":1}:2}:3}"#[..], br#"{{"x":{{"a":1}:2}}:3}"#, br#"{{"x":[{{"a":1}:2}]}:3}"#] {
        assert!(from_slice::<BTreeMap<String, i64>>(twice).is_err(), "{}", String::from_utf8_lossy(twice));
    }
    let in_a_value = br#"{"t":{{"a":1}:{{"b":2}:3}}}"#;
    assert!(from_slice::<serde_json::Value>(in_a_value).is_ok());
}

#[test]
fn bare_integer_keys_are_read_and_written() {
    let table: BTreeMap<i64, String> = from_slice(br#"{0:"10.0.0.1:10911",-1 : "x"}"#).unwrap();
    assert_eq!(table[&0], "10.0.0.1:10911");
    assert_eq!(to_fastjson(&table).unwrap(), br#"{-1:"x",0:"10.0.0.1:10911"}"#);
}

#[test]
fn names_that_look_like_numbers_keep_their_quotes() {
    let table = BTreeMap::from([("7", 1), ("", 2), ("a\"b", 3)]);
    assert_eq!(to_fastjson(&table).unwrap(), br#"{"":2,"7":1,"a\"b":3}"#);
}

#[test]
fn objects_as_keys_become_their_text() {
    let table: BTreeMap<String, i64> =
        from_slice(br#"{{"brokerName":"b","queueId":1,"topic":"T"}:5}"#).unwrap();
    assert_eq!(table[r#"{"brokerName":"b","queueId":1,"topic":"T"}"#], 5);
}

#[test]
fn the_pretty_form_is_that_of_the_configuration_files() {
    let offsets =
        BTreeMap::from([("offsetTable", BTreeMap::from([("T@g", BTreeMap::from([(0, 1), (1, 3)]))]))]);
    assert_eq!(
        String::from_utf8(to_fastjson_pretty(&offsets).unwrap()).unwrap(),
        "{\n\t\"offsetTable\":{\n\t\t\"T@g\":{\n\t\t\t0:1,\n\t\t\t1:3\n\t\t}\n\t}\n}"
    );
}

#[test]
fn a_value_that_nests_without_end_is_refused() {
    let deep = [b"{0:".repeat(100_000), b"1".to_vec()].concat();
    assert!(from_slice::<serde_json::Value>(&deep).is_err());
}

#[test]
fn every_truncation_is_an_error() {
    let text = br#"{0:{"a":[1,true,"x\"y"]},{"b":null}:{}}"#;
    assert!(from_slice::<serde_json::Value>(text).is_ok());
    for end in 0..text.len() {
        assert!(from_slice::<serde_json::Value>(&text[..end]).is_err(), "{end} bytes");
    }
}

proptest! {
    #[test]
    fn the_dialect_round_trips(table in proptest::collection::btree_map(any::<i64>(), ".{0,20}", 0..10)) {
        let read: BTreeMap<i64, String> = from_slice(&to_fastjson(&table).unwrap()).unwrap();
        prop_assert_eq!(&read, &table);
        let read: BTreeMap<i64, String> = from_slice(&to_fastjson_pretty(&table).unwrap()).unwrap();
        prop_assert_eq!(read, table);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = from_slice::<serde_json::Value>(&bytes);
    }
}
