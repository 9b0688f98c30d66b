//! Finding where a topic's queues are: asking the name servers, once for everyone who wants to know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::route::{TopicRouteData, perm};
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::request::RouteInfoRequest;
use tokio::sync::watch;

use super::ClientInstance;
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
type Question = (ByteString, Option<AutoCreate>);
/// `None` until it is there.
type Found = Option<Result<Arc<TopicRoute>>>;

/// The questions that are being asked. Each is a task of the instance: it outlives the callers who wait for it, so that
/// what one of them had no time for is there for the next.
#[derive(Default)]
pub(super) struct Questions(Mutex<HashMap<Question, watch::Receiver<Found>>>);

impl Questions {
    fn asked(&self) -> MutexGuard<'_, HashMap<Question, watch::Receiver<Found>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
        let mut answer = {
            let mut asked = self.questions.asked();
            match asked.get(&question) {
                Some(answer) => answer.clone(),
                None => {
                    let (sender, answer) = watch::channel(None);
                    asked.insert(question.clone(), answer.clone());
                    self.tasks.spawn(Arc::clone(self).answer(question, sender));
                    answer
                }
            }
        };
        match answer.wait_for(Option::is_some).await {
            Ok(found) => found.clone().unwrap_or_else(|| Err(Error::closed())),
            // The task ended without an answer: the client has been shut down.
            Err(_) => Err(Error::closed()),
        }
    }

    async fn answer(self: Arc<Self>, question: Question, answer: watch::Sender<Found>) {
        let (topic, create) = &question;
        let found = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Error::closed()),
            found = guarded_async("a route query", self.find_route(topic, create.as_ref())) => {
                found.unwrap_or_else(|panic| Err(Error::panicked("a route query", panic)))
            }
        };
        // First: whoever comes from here on asks anew, or finds the route in the table.
        self.questions.asked().remove(&question);
        answer.send_replace(Some(found));
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
