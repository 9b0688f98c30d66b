//! The clusters that a name server knows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::route::BrokerData;

/// All brokers, and which belong to which cluster. Java: `ClusterInfo`. Real name servers write it in fastjson's
/// dialect whatever the asker's version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterInfo {
    /// Broker groups by name.
    pub broker_addr_table: BTreeMap<String, BrokerData>,
    /// Names of broker groups by cluster.
    pub cluster_addr_table: BTreeMap<String, BTreeSet<String>>,
}
