//! Topics by themselves: codes 206, 216 and 217.

use std::sync::Arc;

use rocketmq_protocol::body::cluster::TopicList;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::route::TopicRouteData;
use rocketmq_protocol::code::RequestCode;
use rocketmq_protocol::request::{DeleteTopicInNamesrvRequest, RegisterTopicRequest};

use super::Processor;
use crate::server::answer::Answer;
use crate::server::dispatch::{Family, Request};
use crate::server::refusal::Refusal;

pub(super) const FAMILY: Family<Processor> = &[
    (RequestCode::DeleteTopicInNamesrv, Processor::delete_topic),
    (RequestCode::RegisterTopicInNamesrv, Processor::register_topic),
];

/// What goes through the whole table.
pub(super) const WHOLE_TABLE_FAMILY: Family<Processor> =
    &[(RequestCode::GetAllTopicListFromNameserver, Processor::all_topics)];

impl Processor {
    fn all_topics(self: &Arc<Self>, _: &Request<'_>) -> Result<Answer, Refusal> {
        let topics = TopicList { broker_addr: None, topic_list: self.read().topics() };
        Ok(Answer::body(json::to_fastjson(&topics)?))
    }

    fn delete_topic(self: &Arc<Self>, request: &Request<'_>) -> Result<Answer, Refusal> {
        let header: DeleteTopicInNamesrvRequest = request.header()?;
        let cluster = header.cluster_name.as_deref().filter(|cluster| !cluster.is_empty());
        self.write().delete_topic(&header.topic, cluster);
        Ok(Answer::ok())
    }

    fn register_topic(self: &Arc<Self>, request: &Request<'_>) -> Result<Answer, Refusal> {
        let header: RegisterTopicRequest = request.header()?;
        let route: TopicRouteData = json::from_slice(request.body())?;
        self.write().register_topic(&header.topic, route.queue_datas)?;
        Ok(Answer::ok())
    }
}
