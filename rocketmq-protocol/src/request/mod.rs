//! The requests, one file a family: fields, code, and what the answer's header holds.

mod client;
mod consumer;
mod kv_config;
mod name_server;
mod offset;
mod pull;
mod send;
mod send_back;

pub use client::{ConsumerListRequest, HeartbeatRequest, NotifyConsumerIdsChanged, UnregisterClientRequest};
pub use consumer::CheckClientConfigRequest;
pub use kv_config::{
    DeleteKvConfigRequest, GetKvConfigRequest, GetKvConfigResponse, KvListByNamespaceRequest,
    PutKvConfigRequest,
};
pub use name_server::{
    AllTopicsRequest, BrokerClusterInfoRequest, BrokerHeartbeatRequest, BrokerMemberGroupRequest,
    DeleteTopicInNamesrvRequest, QueryDataVersionRequest, QueryDataVersionResponse, RegisterBrokerRequest,
    RegisterBrokerResponse, RegisterTopicRequest, RouteInfoRequest, UnregisterBrokerRequest,
};
pub use offset::{
    EarliestStoreTimeRequest, MaxOffsetRequest, MinOffsetRequest, OffsetResponse, QueryConsumerOffsetRequest,
    SearchOffsetRequest, TimestampResponse, UpdateConsumerOffsetRequest,
};
pub use pull::{PullMessageRequest, PullMessageResponse, pull_sys_flag};
pub use send::{SendMessageRequest, SendMessageRequestV1, SendMessageResponse};
pub use send_back::SendBackRequest;

use crate::code::RequestCode;
use crate::header::{FromFields, HeaderFields};

/// A request with its code and the header of its answer. The body goes beside it.
pub trait Request: HeaderFields {
    /// The header of the answer.
    type Response: FromFields;

    /// The request's code.
    fn code(&self) -> RequestCode;
}

macro_rules! request {
    ($name:ident => $code:ident, $response:ty) => {
        impl $crate::request::Request for $name {
            type Response = $response;

            fn code(&self) -> $crate::code::RequestCode {
                $crate::code::RequestCode::$code
            }
        }
    };
}
pub(crate) use request;
