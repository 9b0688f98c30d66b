//! Finding where a topic's queues are: asking the name servers, once for everyone who wants to know.

use std::sync::Arc;

use futures_util::StreamExt;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::route::{TopicRouteData, perm};
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::request::RouteInfoRequest;

use super::ClientInstance;
use super::single_flight::SingleFlight;
use super::supervise::guarded_async;
use crate::error::{Error, ErrorKind, Result};
use crate::route::TopicRoute;

/// How many topics are asked for at a time when all are.
const REFRESHED_AT_ONCE: usize = 16;

/// How an unknown topic is to be created by the first send to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AutoCreate {
    /// The topic whose brokers and settings it gets.
    pub(crate) key: ByteString,
    /// How many queues it gets at the most.
    pub(crate) queue_nums: i32,
}

/// What is asked.
pub(super) type Question = (ByteString, Option<AutoCreate>);
/// The questions that are being asked: what one caller had no time to wait for is there for the next.
pub(super) type Questions = SingleFlight<Question, Result<Arc<TopicRoute>>>;

impl ClientInstance {
    /// The known route of a topic, or else the name server's.
    ///
    /// # Cancel safety
    /// The question goes on, and its answer is kept.
    pub(crate) async fn route(
        self: &Arc<Self>,
        topic: &ByteString,
        create: Option<&AutoCreate>,
    ) -> Result<Arc<TopicRoute>> {
        match self.routes.get(topic) {
            Some(route) => Ok(route),
            None => self.ask_for_route(topic, create).await,
        }
    }

    pub(super) async fn refresh_all_routes(self: &Arc<Self>) {
        let topics = futures_util::stream::iter(self.routes.topics());
        let refresh = |topic: ByteString| async move {
            // A topic that the name server does not know keeps the route it has: its first send may be under way.
            if let Err(error) = self.ask_for_route(&topic, None).await {
                tracing::debug!(%topic, %error, "the route could not be refreshed");
            }
        };
        topics.for_each_concurrent(REFRESHED_AT_ONCE, refresh).await;
    }

    /// Joins whoever asks the same, or asks.
    async fn ask_for_route(
        self: &Arc<Self>,
        topic: &ByteString,
        create: Option<&AutoCreate>,
    ) -> Result<Arc<TopicRoute>> {
        let question = (topic.clone(), create.cloned());
        let ask = || Arc::clone(self).answer(question.clone());
        let found = self.questions.join(&question, &self.tasks, ask).await;
        found.unwrap_or_else(|| Err(Error::closed()))
    }

    async fn answer(self: Arc<Self>, (topic, create): Question) -> Result<Arc<TopicRoute>> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Error::closed()),
            found = guarded_async("a route query", self.find_route(&topic, create.as_ref())) => {
                found.unwrap_or_else(|panic| Err(Error::panicked("a route query", panic)))
            }
        }
    }

    /// Asks the name servers. For a topic that is unknown there, `create` says from which topic's brokers it may be made.
    async fn find_route(&self, topic: &ByteString, create: Option<&AutoCreate>) -> Result<Arc<TopicRoute>> {
        let mut data = self.query_route(topic).await?;
        if let (None, Some(create)) = (&data, create) {
            data = self.query_route(&create.key).await?.map(|data| route_to_create(data, create.queue_nums));
        }
        let Some(data) = data else {
            return Err(self.no_route(topic, create));
        };
        let (route, changed) = self.routes.update(topic, data);
        if changed {
            tracing::debug!(%topic, publish = route.publish.len(), subscribe = route.subscribe.len(), "new route");
            self.rebalance_all();
        }
        Ok(route)
    }

    async fn query_route(&self, topic: &ByteString) -> Result<Option<TopicRouteData>> {
        const ANSWERS: [ResponseCode; 2] = [ResponseCode::Success, ResponseCode::TopicNotExist];
        let request = RouteInfoRequest { topic: topic.clone(), accept_standard_json_only: Some(true) };
        let asked = self.name_servers.call(&self.door, &request, self.api_timeout(), &ANSWERS).await;
        let answer = asked.map_err(|error| error.of_topic(&**topic))?;
        if answer.code == ResponseCode::TopicNotExist {
            return Ok(None);
        }
        let route = json::from_slice(&answer.body);
        route
            .map(Some)
            .map_err(|error| Error::bad_answer("the name server's route", error).of_topic(&**topic))
    }

    fn no_route(&self, topic: &str, create: Option<&AutoCreate>) -> Error {
        let servers = self.name_servers.addresses().join(";");
        let advice = match create {
            Some(create) => format!(
                "nor is there {} to create it from: create the topic, or set autoCreateTopicEnable=true at a broker that is \
                 registered there",
                create.key
            ),
            None => "create the topic, or check that its brokers are registered there".to_owned(),
        };
        let message = format!(
            "No route info of this topic: {topic}. The name servers [{servers}] answered that they do not know it; {advice}"
        );
        Error::new(ErrorKind::NoRoute, message)
            .of_topic(topic)
            .with_code(ResponseCode::TopicNotExist.as_i32())
    }
}

/// The route of a topic that the first send creates: that of the template, with fewer queues.
fn route_to_create(mut template: TopicRouteData, queue_nums: i32) -> TopicRouteData {
    for queues in &mut template.queue_datas {
        let nums = queue_nums.min(queues.read_queue_nums);
        queues.read_queue_nums = nums;
        queues.write_queue_nums = nums;
        queues.perm &= !perm::INHERIT;
    }
    template
}
