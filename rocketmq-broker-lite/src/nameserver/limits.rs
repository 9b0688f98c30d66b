//! What a name server takes in at most, so that a hostile registration cannot fill its memory.

use super::route_table::Registration;

/// The most of everything. A registration that goes beyond is refused as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The longest name or address, in bytes.
    pub(super) name_bytes: usize,
    /// The longest name of a topic, in bytes: a retry topic's name is longer than its group's.
    pub(super) topic_name_bytes: usize,
    /// Brokers, by address.
    pub(super) brokers: usize,
    /// Brokers that register on one connection: a container of brokers holds a few.
    pub(super) brokers_on_connection: usize,
    /// Pairs of a topic and a broker's name: a hundred brokers with ten thousand topics each.
    pub(super) routes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            name_bytes: 255,
            topic_name_bytes: 512,
            brokers: 65_536,
            brokers_on_connection: 1_024,
            routes: 1_000_000,
        }
    }
}

/// Why a registration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LimitError {
    #[error("{field} is {bytes} bytes long, the limit is {limit}")]
    TooLong { field: &'static str, bytes: usize, limit: usize },
    #[error("{field}: there would be {count} {what}, the limit is {limit}")]
    TooMany { field: &'static str, what: &'static str, count: usize, limit: usize },
}

impl Limits {
    /// Whether all names in a registration are short enough.
    pub(super) fn check_names(&self, registration: &Registration) -> Result<(), LimitError> {
        let names = [
            ("clusterName", &registration.cluster),
            ("brokerName", &registration.broker_name),
            ("brokerAddr", &registration.broker_addr),
            ("haServerAddr", &registration.ha_server_addr),
        ];
        for (field, name) in names {
            check_length(field, name, self.name_bytes)?;
        }
        let topics = registration.topics.topic_config_table.values();
        topics.map(|config| &config.topic_name).try_for_each(|name| self.check_topic(name))
    }

    pub(super) fn check_topic(&self, topic: &str) -> Result<(), LimitError> {
        check_length("topicName", topic, self.topic_name_bytes)
    }
}

fn check_length(field: &'static str, name: &str, limit: usize) -> Result<(), LimitError> {
    match name.len() {
        bytes if bytes > limit => Err(LimitError::TooLong { field, bytes, limit }),
        _ => Ok(()),
    }
}

/// Whether a number of things is within its limit.
pub(super) fn check_count(
    field: &'static str,
    what: &'static str,
    count: usize,
    limit: usize,
) -> Result<(), LimitError> {
    if count > limit { Err(LimitError::TooMany { field, what, count, limit }) } else { Ok(()) }
}
