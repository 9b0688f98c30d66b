//! What a broker tells each name server about itself, plain or compressed.

use std::collections::BTreeMap;
use std::io::Read;

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};

use super::json;
use super::topic_config::{DataVersion, TopicConfig, TopicConfigTable};

/// The largest body that is taken once decompressed: 64 MiB, some 500,000 topics.
const MAX_PLAIN_BYTES: u64 = 64 * 1024 * 1024;
/// What any body may grow to.
const FREE_PLAIN_BYTES: u64 = 1024 * 1024;
/// How many times its length a larger body may grow to: ten times what topics named by counting do.
const MAX_RATIO: u64 = 128;

/// A broker's topics. Java: `RegisterBrokerBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegisterBrokerBody {
    /// Addresses of filter servers; empty since 4.x.
    pub filter_server_list: Vec<String>,
    /// The topics.
    pub topic_config_serialize_wrapper: TopicConfigTable,
}

/// Why a registration's body cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterBodyError {
    /// The JSON is wrong.
    #[error("the registration's JSON is wrong: {0}")]
    Json(#[from] serde_json::Error),
    /// The compressed body cannot be decompressed, or is larger than 64 MiB.
    #[error("the registration cannot be decompressed: {0}")]
    Compression(#[from] std::io::Error),
    /// The decompressed body's lengths do not add up.
    #[error("the registration's {0} is cut short")]
    Truncated(&'static str),
    /// A topic's line is wrong.
    #[error("the registration's topic line {0:?} is wrong")]
    BadTopic(String),
}

impl RegisterBrokerBody {
    /// Reads a body, compressed or not.
    ///
    /// # Errors
    /// See [`RegisterBodyError`].
    pub fn decode(body: &Bytes, compressed: bool) -> Result<Self, RegisterBodyError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        if compressed { Self::decode_compressed(body) } else { Ok(json::from_slice(body)?) }
    }

    /// ```text
    /// length 4, data version JSON | topic count 4 | length 4, topic line ... | length 4, filter servers JSON
    /// ```
    ///
    /// and, from 5.0 on, queue mappings, which are not read.
    fn decode_compressed(body: &Bytes) -> Result<Self, RegisterBodyError> {
        let mut plain = Vec::new();
        let most = (body.len() as u64).saturating_mul(MAX_RATIO).clamp(FREE_PLAIN_BYTES, MAX_PLAIN_BYTES);
        flate2::read::ZlibDecoder::new(&body[..]).take(most).read_to_end(&mut plain)?;
        let mut rest = &plain[..];
        let data_version: DataVersion = json::from_slice(sized(&mut rest, "data version")?)?;
        let count = rest.try_get_i32().map_err(|_| RegisterBodyError::Truncated("topic count"))?;
        let mut topic_config_table = BTreeMap::new();
        for _ in 0..count {
            let topic = parse_topic(sized(&mut rest, "topic")?)?;
            topic_config_table.insert(topic.topic_name.clone(), topic);
        }
        let filter_server_list = json::from_slice(sized(&mut rest, "filter server list")?)?;
        Ok(Self {
            filter_server_list,
            topic_config_serialize_wrapper: TopicConfigTable { data_version, topic_config_table },
        })
    }
}

fn sized<'a>(rest: &mut &'a [u8], what: &'static str) -> Result<&'a [u8], RegisterBodyError> {
    let length = rest.try_get_i32().ok().and_then(|length| usize::try_from(length).ok());
    let parts = length.and_then(|length| rest.split_at_checked(length));
    let (taken, left) = parts.ok_or(RegisterBodyError::Truncated(what))?;
    *rest = left;
    Ok(taken)
}

/// `name readQueueNums writeQueueNums perm FILTER_TYPE`, and in 5.x the attributes as JSON.
fn parse_topic(line: &[u8]) -> Result<TopicConfig, RegisterBodyError> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let parsed = (|| {
        let name = words.next()?;
        let mut number = || words.next()?.parse::<i32>().ok();
        let (read_queue_nums, write_queue_nums, perm) = (number()?, number()?, number()?);
        let topic_filter_type = words.next()?.to_owned();
        Some(TopicConfig {
            read_queue_nums,
            write_queue_nums,
            perm,
            topic_filter_type,
            ..TopicConfig::new(name, 0)
        })
    })();
    parsed.ok_or_else(|| RegisterBodyError::BadTopic(line.chars().take(200).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn push_sized(out: &mut Vec<u8>, text: &str) {
        out.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }

    fn compressed(plain: &[u8]) -> Bytes {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn a_body_that_grows_beyond_measure_is_cut_and_refused() {
        let mut plain = Vec::new();
        push_sized(&mut plain, "{}");
        let count = 1_000_000u32;
        plain.extend_from_slice(&count.to_be_bytes());
        for _ in 0..count {
            push_sized(&mut plain, "T 4 8 6 SINGLE_TAG");
        }
        push_sized(&mut plain, "[]");
        let body = compressed(&plain);
        assert!(plain.len() > body.len() * 200, "{} bytes became {}", body.len(), plain.len());
        assert!(RegisterBrokerBody::decode(&body, true).is_err());
    }

    #[test]
    fn a_hundred_thousand_topics_are_taken() {
        let mut plain = Vec::new();
        push_sized(&mut plain, "{}");
        plain.extend_from_slice(&100_000u32.to_be_bytes());
        for number in 0..100_000 {
            push_sized(&mut plain, &format!("orders-topic-{number} 8 8 6 SINGLE_TAG"));
        }
        push_sized(&mut plain, "[]");
        let body = RegisterBrokerBody::decode(&compressed(&plain), true).unwrap();
        assert_eq!(body.topic_config_serialize_wrapper.topic_config_table.len(), 100_000);
    }

    #[test]
    fn every_truncation_of_a_compressed_body_is_an_error() {
        let mut plain = Vec::new();
        push_sized(&mut plain, r#"{"counter":1,"timestamp":2}"#);
        plain.extend_from_slice(&1u32.to_be_bytes());
        push_sized(&mut plain, "T 4 8 6 SINGLE_TAG");
        push_sized(&mut plain, "[]");
        let body = RegisterBrokerBody::decode(&compressed(&plain), true).unwrap();
        let topic = &body.topic_config_serialize_wrapper.topic_config_table["T"];
        assert_eq!((topic.read_queue_nums, topic.write_queue_nums, topic.perm), (4, 8, 6));
        for end in 0..plain.len() {
            assert!(RegisterBrokerBody::decode(&compressed(&plain[..end]), true).is_err(), "{end} bytes");
        }
        let whole = compressed(&plain);
        assert!(RegisterBrokerBody::decode(&whole.slice(..whole.len() / 2), true).is_err());
    }
}
