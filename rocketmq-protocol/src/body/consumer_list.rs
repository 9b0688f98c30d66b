//! The members of a consumer group.

use serde::{Deserialize, Serialize};

/// The client ids of a group's members. Java: `GetConsumerListByGroupResponseBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerList {
    /// The client ids.
    pub consumer_id_list: Vec<String>,
}
