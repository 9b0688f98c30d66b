//! Asking whether a broker takes a subscription: code 46.

use serde::{Deserialize, Serialize};

use super::request;
use crate::body::subscription::SubscriptionData;
use crate::header::{HeaderFields, NoFields};

/// Whether the broker takes a subscription; the body is the request itself as JSON. Java: `CheckClientRequestBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckClientConfigRequest {
    /// The client's id.
    pub client_id: String,
    /// The consumer's group.
    pub group: String,
    /// The subscription.
    pub subscription_data: SubscriptionData,
}

impl HeaderFields for CheckClientConfigRequest {
    fn write_fields(&self, _: &mut impl crate::header::FieldSink) {}
}

request!(CheckClientConfigRequest => CheckClientConfig, NoFields);
