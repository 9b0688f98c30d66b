//! Sending a case and looking at what has become of it.

use std::fmt::Write;
use std::time::Duration;

use rocketmq_client::Message;
use rocketmq_protocol::body::consumer_list::ConsumerList;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::route::TopicRouteData;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::message::batch;
use rocketmq_protocol::message::record::Record;
use tests::{Cluster, RawClient, frame, unique};

use super::table::{Case, Release};

/// How long a peer may keep silent before it is taken to have nothing to say.
const SILENCE: Duration = Duration::from_secs(5);

/// The hash code of `TagA`: what is in a consume queue.
const CODE_OF_TAG_A: i32 = 2_598_919;

/// A cluster with a topic of two messages, tagged `TagA` and `TagB`, in queue 0.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    namesrv_addr: String,
    broker_addr: String,
    broker_version: i32,
    topic: String,
}

/// The names of one case.
struct Names {
    topic: String,
    group: String,
    new: String,
}

impl Names {
    /// `$T`: the topic with two messages. `$G`, `$N`: a group and a name of this case's own. `$A`: the code of `TagA`.
    /// `$BAD`: a byte that no UTF-8 has. `$NL`, `$TAB`, `$NUL`: those characters.
    fn fill(&self, text: &str) -> Vec<u8> {
        let filled = text
            .replace("$TAB", "\t")
            .replace("$NL", "\n")
            .replace("$NUL", "\0")
            .replace("$BAD", "\u{1}BAD\u{1}")
            .replace("$T", &self.topic)
            .replace("$G", &self.group)
            .replace("$N", &self.new)
            .replace("$A", &CODE_OF_TAG_A.to_string());
        let mut bytes = Vec::new();
        for (at, part) in filled.split("\u{1}BAD\u{1}").enumerate() {
            if at > 0 {
                bytes.push(0xFF);
            }
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

fn request(code: i32, ext_fields: &str, body: &[u8]) -> Vec<u8> {
    let header = format!(
        r#"{{"code":{code},"language":"JAVA","version":401,"opaque":77,"flag":0,"serializeTypeCurrentRPC":"JSON","extFields":{ext_fields}}}"#
    );
    frame(&header, body)
}

/// The code of an answer, or why there is none.
fn code(answer: Option<&RemotingCommand>) -> String {
    match answer {
        Some(answer) => answer.code().to_string(),
        None => "none".to_owned(),
    }
}

impl Probe {
    /// Makes the topic.
    pub(crate) async fn new(mq: &Cluster) -> Self {
        let producer = mq.producer().start().await.unwrap();
        let topic = unique("dialect");
        let _ = producer.send(Message::new(topic.clone(), "creates the topic")).await.unwrap();
        producer.shutdown().await;
        let mut client = RawClient::connect(mq.namesrv_addr()).await;
        client.send(&request(106, "{}", b"")).await;
        let answer = client.answer().await.unwrap();
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        let broker_addr = text.split('"').find(|part| part.starts_with("127.0.0.1:")).unwrap().to_owned();
        let topic = unique("tagged");
        let probe = Self {
            namesrv_addr: mq.namesrv_addr().to_owned(),
            broker_addr,
            broker_version: answer.version(),
            topic,
        };
        probe.fill_topic().await;
        probe
    }

    async fn fill_topic(&self) {
        let mut client = RawClient::connect(&self.broker_addr).await;
        for tag in ["TagA", "TagB"] {
            let fields = format!(
                r#"{{"a":"p","b":"{}","c":"TBW102","d":"4","e":"0","f":"0","g":"0","h":"0","i":"TAGS\u0001{tag}\u0002"}}"#,
                self.topic
            );
            client.send(&request(310, &fields, tag.as_bytes())).await;
            assert_eq!(client.answer().await.unwrap().code(), 0);
        }
        // The real broker builds its consume queue a little later.
        let fields = format!(r#"{{"topic":"{}","queueId":"0"}}"#, self.topic);
        loop {
            client.send(&request(30, &fields, b"")).await;
            if client.answer().await.unwrap().field("offset").as_deref() == Some("2") {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Which of the real ones this is.
    pub(crate) fn release(&self) -> Release {
        // The ordinals of MQVersion.
        if self.broker_version < 450 { Release::V4 } else { Release::V5 }
    }

    /// Sends a case and says what has become of it.
    pub(crate) async fn outcome(&self, case: &Case) -> String {
        let names = Names { topic: self.topic.clone(), group: unique("group"), new: unique("new") };
        let text = names.fill(&case.text);
        match &*case.kind {
            "subscription" => {
                let before = r#"{"clientID":"me","producerDataSet":[],"consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"$G","messageModel":"CLUSTERING","unitMode":false,"subscriptionDataSet":["#;
                self.heartbeat(&names, &[&names.fill(before), &text[..], b"]}]}"].concat()).await
            }
            "consumer" => {
                let before = names.fill(r#"{"clientID":"me","producerDataSet":[],"consumerDataSet":["#);
                self.heartbeat(&names, &[&before, &text[..], b"]}"].concat()).await
            }
            "heartbeat" => self.heartbeat(&names, &text).await,
            "46" => code(self.ask(&self.broker_addr, &request(46, "{}", &text)).await.as_ref()),
            "header" => self.header(&names, &text).await,
            "35" => self.unregister(&names, &text).await,
            "register" => {
                let fields = names.fill(
                    r#"{"brokerName":"$N","brokerAddr":"$N:1","clusterName":"c$N","haServerAddr":"127.0.0.1:2","brokerId":"0","compressed":"false","bodyCrc32":"0"}"#,
                );
                self.register(&names, &fields, &text).await
            }
            "103" => {
                let body = names.fill(
                    r#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":1,"timestamp":2},"topicConfigTable":{"$N":{"order":false,"perm":6,"readQueueNums":3,"topicFilterType":"SINGLE_TAG","topicName":"$N","topicSysFlag":0,"writeQueueNums":3},"2$N":{"perm":6,"topicName":"2$N"}}}}"#,
                );
                self.register(&names, &text, &body).await
            }
            "104" | "105" | "322" => {
                let request = request(case.kind.parse().unwrap(), std::str::from_utf8(&text).unwrap(), b"{}");
                code(self.ask(&self.namesrv_addr, &request).await.as_ref())
            }
            number => self.fields(number.parse().unwrap(), &text).await,
        }
    }

    async fn ask(&self, addr: &str, request: &[u8]) -> Option<RemotingCommand> {
        let mut client = RawClient::connect(addr).await;
        answer(&mut client, request).await
    }

    /// What the heartbeat is answered; the members that its group then has; what its subscription lets through; whether
    /// it is at least of version 5.
    async fn heartbeat(&self, names: &Names, body: &[u8]) -> String {
        let mut client = RawClient::connect(&self.broker_addr).await;
        let answered = answer(&mut client, &request(34, "{}", body)).await;
        let mut outcome = code(answered.as_ref());
        if answered.is_none() {
            return outcome;
        }
        let fields = names.fill(r#"{"consumerGroup":"$G"}"#);
        let members = answer(&mut client, &request(38, std::str::from_utf8(&fields).unwrap(), b"")).await;
        match members {
            Some(members) if members.is_success() => {
                let list: ConsumerList = json::from_slice(members.body()).unwrap();
                write!(outcome, " members={}", list.consumer_id_list.join(",")).unwrap();
            }
            _ => return outcome + " no members",
        }
        for sub_version in [0, 5] {
            let fields = names.fill(
                r#"{"consumerGroup":"$G","topic":"$T","queueId":"0","queueOffset":"0","maxMsgNums":"32","sysFlag":"0","commitOffset":"0","suspendTimeoutMillis":"0","subVersion":"VERSION"}"#,
            );
            let fields = String::from_utf8(fields).unwrap().replace("VERSION", &sub_version.to_string());
            let pulled = answer(&mut client, &request(11, &fields, b"")).await;
            write!(outcome, " pull:{}", describe_pull(pulled.as_ref())).unwrap();
        }
        outcome
    }

    /// A member that sends 35 with these fields: is it still one?
    async fn unregister(&self, names: &Names, fields: &[u8]) -> String {
        let mut client = RawClient::connect(&self.broker_addr).await;
        let body = names.fill(
            r#"{"clientID":"me","producerDataSet":[],"consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"$G","messageModel":"CLUSTERING","subscriptionDataSet":[]}]}"#,
        );
        answer(&mut client, &request(34, "{}", &body)).await.unwrap();
        let left = answer(&mut client, &request(35, std::str::from_utf8(fields).unwrap(), b"")).await;
        let group = names.fill(r#"{"consumerGroup":"$G"}"#);
        let members = answer(&mut client, &request(38, std::str::from_utf8(&group).unwrap(), b"")).await;
        let stays = if members.is_some_and(|members| members.is_success()) { "member" } else { "gone" };
        format!("{} {stays}", code(left.as_ref()))
    }

    /// A whole header, that of a request for the topic's end offset, with a body that is to be passed over.
    async fn header(&self, names: &Names, header: &[u8]) -> String {
        let fields = names.fill(r#"{"topic":"$T","queueId":"0"}"#);
        let fields = String::from_utf8(fields).unwrap();
        // Bytes that are no UTF-8 may stand in a header, too.
        let header = [header].concat();
        let text = header.windows(2).position(|window| window == b"$F");
        let header = match text {
            Some(at) => [&header[..at], fields.as_bytes(), &header[at + 2..]].concat(),
            None => header,
        };
        let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
        let frame = [&length(4 + header.len() + 4)[..], &length(header.len()), &header[..], b"body"].concat();
        let answered = self.ask(&self.broker_addr, &frame).await;
        let mut outcome = code(answered.as_ref());
        if let Some(answered) = answered {
            // A header without one gets what the peer makes up.
            match answered.opaque() {
                given @ (7 | 8) => write!(outcome, " opaque={given}").unwrap(),
                _ => outcome.push_str(" opaque=other"),
            }
            if let Some(offset) = answered.field("offset") {
                write!(outcome, " offset={offset}").unwrap();
            }
        }
        outcome
    }

    /// What a registration is answered, and the route that its topic then has. There are two topics in each: a first
    /// registration of a single one is refused by 5.x.
    async fn register(&self, names: &Names, fields: &[u8], body: &[u8]) -> String {
        let mut broker = RawClient::connect(&self.namesrv_addr).await;
        let registered = answer(&mut broker, &request(103, std::str::from_utf8(fields).unwrap(), body)).await;
        let mut outcome = code(registered.as_ref());
        let fields = names.fill(r#"{"topic":"$N"}"#);
        let route =
            self.ask(&self.namesrv_addr, &request(105, std::str::from_utf8(&fields).unwrap(), b"")).await;
        match route {
            Some(route) if route.is_success() => {
                let route: TopicRouteData = json::from_slice(route.body()).unwrap();
                for queue in &route.queue_datas {
                    write!(
                        outcome,
                        " read={} write={} perm={} flag={}",
                        queue.read_queue_nums, queue.write_queue_nums, queue.perm, queue.topic_sys_flag
                    )
                    .unwrap();
                }
                for broker in &route.broker_datas {
                    let ids: Vec<_> =
                        broker.broker_addrs.iter().map(|(id, addr)| format!("{id}={addr}")).collect();
                    write!(outcome, " brokers={}", ids.join(",")).unwrap();
                }
            }
            route => write!(outcome, " route:{}", code(route.as_ref())).unwrap(),
        }
        drop(broker);
        outcome.replace(&names.new, "$N")
    }

    /// A request to the broker whose fields are the case.
    async fn fields(&self, request_code: i32, fields: &[u8]) -> String {
        let body = if request_code == 320 {
            batch::encode(&[Message::new("T", "one"), Message::new("T", "two")]).unwrap()
        } else {
            bytes::Bytes::from_static(b"body")
        };
        let request = request(request_code, std::str::from_utf8(fields).unwrap(), &body);
        let answered = self.ask(&self.broker_addr, &request).await;
        if request_code == 11 {
            return describe_pull(answered.as_ref());
        }
        let mut outcome = code(answered.as_ref());
        let Some(answered) = answered else { return outcome };
        for name in ["MSG_REGION", "TRACE_ON", "offset"] {
            if let Some(value) = answered.field(name) {
                write!(outcome, " {name}={value}").unwrap();
            }
        }
        outcome
    }
}

/// The answer to the request: not what the broker asks or tells meanwhile.
async fn answer(client: &mut RawClient, request: &[u8]) -> Option<RemotingCommand> {
    client.send(request).await;
    loop {
        match client.answer_within(SILENCE).await {
            Ok(Some(answer)) if !answer.is_response() => {}
            Ok(answer) => return answer,
            Err(_) => return None,
        }
    }
}

fn describe_pull(answer: Option<&RemotingCommand>) -> String {
    let mut text = code(answer);
    let mut body = answer.map(|answer| &answer.body()[..]).unwrap_or_default();
    while let Ok(record) = Record::parse(body) {
        write!(text, ",{}", String::from_utf8_lossy(record.body)).unwrap();
        let length = u32::from_be_bytes(*body.first_chunk().unwrap());
        body = &body[usize::try_from(length).unwrap()..];
    }
    text
}
