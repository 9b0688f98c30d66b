//! The table of texts: codes 100, 101, 102 and 219.

use std::sync::Arc;

use rocketmq_protocol::body::json;
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::request::{
    DeleteKvConfigRequest, GetKvConfigRequest, GetKvConfigResponse, KvListByNamespaceRequest,
    PutKvConfigRequest,
};

use super::Processor;
use crate::server::answer::Answer;
use crate::server::dispatch::{Family, Request};
use crate::server::refusal::Refusal;

pub(super) const FAMILY: Family<Processor> = &[
    (RequestCode::PutKvConfig, Processor::put_kv),
    (RequestCode::GetKvConfig, Processor::get_kv),
    (RequestCode::DeleteKvConfig, Processor::delete_kv),
    (RequestCode::GetKvListByNamespace, Processor::kv_list),
];

impl Processor {
    fn put_kv(self: &Arc<Self>, request: &Request<'_>) -> Result<Answer, Refusal> {
        let PutKvConfigRequest { namespace, key, value } = request.header()?;
        self.kv().put(&namespace, &key, &value)?;
        Ok(Answer::ok())
    }

    fn get_kv(self: &Arc<Self>, request: &Request<'_>) -> Result<Answer, Refusal> {
        let GetKvConfigRequest { namespace, key } = request.header()?;
        match self.kv().get(&namespace, &key) {
            Some(value) => Ok(Answer::fields(GetKvConfigResponse { value: Some(value.into()) })),
            None => {
                let remark = format!("No config item, Namespace: {namespace} Key: {key}");
                Err(Refusal::new(ResponseCode::QueryNotFound, remark))
            }
        }
    }

    fn delete_kv(self: &Arc<Self>, request: &Request<'_>) -> Result<Answer, Refusal> {
        let DeleteKvConfigRequest { namespace, key } = request.header()?;
        self.kv().delete(&namespace, &key);
        Ok(Answer::ok())
    }

    fn kv_list(self: &Arc<Self>, request: &Request<'_>) -> Result<Answer, Refusal> {
        let KvListByNamespaceRequest { namespace } = request.header()?;
        match self.kv().list(&namespace) {
            Some(table) => Ok(Answer::body(json::to_fastjson(&table)?)),
            None => {
                let remark = format!("No config item, Namespace: {namespace}");
                Err(Refusal::new(ResponseCode::QueryNotFound, remark))
            }
        }
    }
}
