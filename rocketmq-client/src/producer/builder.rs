//! A producer before it starts.

use std::time::Duration;

use rocketmq_protocol::ByteString;
use rocketmq_protocol::message::AUTO_CREATE_TOPIC_KEY;

use super::DefaultMQProducer;
use crate::config::{self, ClientConfig, client_config_setters};
use crate::error::Result;
use crate::instance::AutoCreate;

/// The group that Java's producers have when none is given; no client may use it.
pub(super) const DEFAULT_GROUP: &str = "DEFAULT_PRODUCER";

#[derive(Clone, Debug)]
pub(super) struct ProducerConfig {
    pub(super) producer_group: ByteString,
    pub(super) auto_create: AutoCreate,
    pub(super) send_msg_timeout: Duration,
    pub(super) send_msg_max_timeout_per_request: Option<Duration>,
    pub(super) retry_times_when_send_failed: usize,
    pub(super) retry_times_when_send_async_failed: usize,
    pub(super) retry_another_broker_when_not_store_ok: bool,
    pub(super) compress_msg_body_over_howmuch: usize,
    pub(super) compress_level: u32,
    pub(super) max_message_size: usize,
    pub(super) send_latency_fault_enable: bool,
    pub(super) start_detector_enable: bool,
    pub(super) detect_timeout: Duration,
    pub(super) detect_interval: Duration,
    pub(super) await_termination_when_shutdown: Duration,
    pub(super) back_pressure_for_async_send_num: usize,
    pub(super) back_pressure_for_async_send_size: usize,
}

/// Collects the settings of a [`DefaultMQProducer`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens before start()"]
pub struct DefaultMQProducerBuilder {
    pub(super) client: ClientConfig,
    pub(super) config: ProducerConfig,
}

impl DefaultMQProducerBuilder {
    pub(super) fn new(producer_group: ByteString) -> Self {
        Self {
            client: ClientConfig::default(),
            config: ProducerConfig {
                producer_group,
                auto_create: AutoCreate {
                    key: ByteString::from_static(AUTO_CREATE_TOPIC_KEY),
                    queue_nums: 4,
                },
                send_msg_timeout: Duration::from_secs(3),
                send_msg_max_timeout_per_request: None,
                retry_times_when_send_failed: 2,
                retry_times_when_send_async_failed: 2,
                retry_another_broker_when_not_store_ok: false,
                compress_msg_body_over_howmuch: 4096,
                compress_level: 5,
                max_message_size: 4 * 1024 * 1024,
                send_latency_fault_enable: false,
                start_detector_enable: false,
                detect_timeout: Duration::from_millis(200),
                detect_interval: Duration::from_secs(2),
                await_termination_when_shutdown: Duration::from_secs(30),
                back_pressure_for_async_send_num: 1024,
                back_pressure_for_async_send_size: 100 * 1024 * 1024,
            },
        }
    }

    client_config_setters!();

    /// The topic from whose brokers and settings an unknown topic is made. Default `TBW102`.
    #[doc(alias = "setCreateTopicKey")]
    pub fn create_topic_key(mut self, topic: impl Into<String>) -> Self {
        self.config.auto_create.key = topic.into().into();
        self
    }

    /// How many queues an unknown topic gets on each broker. Default 4.
    #[doc(alias = "setDefaultTopicQueueNums")]
    pub fn default_topic_queue_nums(mut self, queues: u16) -> Self {
        self.config.auto_create.queue_nums = i32::from(queues);
        self
    }

    /// How long a send may take with all its tries. Default 3 s.
    #[doc(alias = "setSendMsgTimeout")]
    pub fn send_msg_timeout(mut self, timeout: Duration) -> Self {
        self.config.send_msg_timeout = config::timeout(timeout);
        self
    }

    /// How long each try but the last may take, so that a broker that hangs leaves time for another. Default: a third of
    /// the send's time where there is another broker to go to, else all of it. Java's default is always all of it.
    #[doc(alias = "setSendMsgMaxTimeoutPerRequest")]
    pub fn send_msg_max_timeout_per_request(mut self, timeout: Duration) -> Self {
        self.config.send_msg_max_timeout_per_request = Some(config::timeout(timeout));
        self
    }

    /// How often a failed `send` is tried again, on another broker if there is one. Default 2. A send to a queue of the
    /// caller's choice is tried once.
    ///
    /// Before a broker is tried again that has failed in the same send, there is a pause: a sixteenth of the send's time,
    /// then three times that, and never more than half of what is left.
    #[doc(alias = "setRetryTimesWhenSendFailed")]
    pub fn retry_times_when_send_failed(mut self, times: usize) -> Self {
        self.config.retry_times_when_send_failed = times;
        self
    }

    /// The same for `send_async`. Default 2.
    #[doc(alias = "setRetryTimesWhenSendAsyncFailed")]
    pub fn retry_times_when_send_async_failed(mut self, times: usize) -> Self {
        self.config.retry_times_when_send_async_failed = times;
        self
    }

    /// Whether a message that was stored, but with a status other than `SEND_OK`, is sent again to another broker. Default
    /// false. If no other broker does better, the send succeeds with the status that it has.
    #[doc(alias = "setRetryAnotherBrokerWhenNotStoreOK")]
    pub fn retry_another_broker_when_not_store_ok(mut self, retry: bool) -> Self {
        self.config.retry_another_broker_when_not_store_ok = retry;
        self
    }

    /// From how many bytes on a body is compressed with zlib. Default 4096. Batches are not compressed.
    #[doc(alias = "setCompressMsgBodyOverHowmuch")]
    pub fn compress_msg_body_over_howmuch(mut self, bytes: usize) -> Self {
        self.config.compress_msg_body_over_howmuch = bytes;
        self
    }

    /// zlib's level, 0 to 9. Default 5.
    #[doc(alias = "setCompressLevel")]
    pub fn compress_level(mut self, level: u32) -> Self {
        self.config.compress_level = level;
        self
    }

    /// The largest body, or encoded batch, in bytes before compression. Default 4 MiB, which is also the brokers'.
    #[doc(alias = "setMaxMessageSize")]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.config.max_message_size = bytes;
        self
    }

    /// Java's latency fault tolerance: a broker that took 550 ms or more for a send is left out for 2 s to 30 s, the longer
    /// the slower it was, as long as there are others. Default false.
    ///
    /// Whatever is set here, a broker that could not be reached or was silent for the time of a try is left out until it
    /// answers again, at least 1 s, and longer if that repeats.
    #[doc(alias = "sendLatencyFaultEnable")]
    #[doc(alias = "setSendLatencyFaultEnable")]
    #[doc(alias = "sendLatencyEnable")]
    pub fn send_latency_fault_enable(mut self, enable: bool) -> Self {
        self.config.send_latency_fault_enable = enable;
        self
    }

    /// With [`send_latency_fault_enable`](Self::send_latency_fault_enable): whether a broker that could not be reached is
    /// used only after it has answered a question that is asked in the background. Default false.
    #[doc(alias = "startDetectorEnable")]
    #[doc(alias = "setStartDetectorEnable")]
    pub fn start_detector_enable(mut self, enable: bool) -> Self {
        self.config.start_detector_enable = enable;
        self
    }

    /// How long that question may take. Default 200 ms.
    #[doc(alias = "setDetectTimeout")]
    pub fn detect_timeout(mut self, timeout: Duration) -> Self {
        self.config.detect_timeout = config::timeout(timeout);
        self
    }

    /// How often a broker is asked at the most. Default 2 s, at least 10 ms; Java's rhythm is 3 s.
    #[doc(alias = "setDetectInterval")]
    pub fn detect_interval(mut self, interval: Duration) -> Self {
        self.config.detect_interval = config::interval(interval);
        self
    }

    /// How long `shutdown` waits for sends that are under way. Default 30 s. Those that are still under way then fail, and
    /// may have been stored.
    pub fn await_termination_when_shutdown(mut self, timeout: Duration) -> Self {
        self.config.await_termination_when_shutdown = config::timeout(timeout);
        self
    }

    /// How many sends `send_async` lets be in flight. Default 1024, at least 1.
    #[doc(alias = "setBackPressureForAsyncSendNum")]
    pub fn back_pressure_for_async_send_num(mut self, sends: usize) -> Self {
        self.config.back_pressure_for_async_send_num = sends;
        self
    }

    /// How many bytes of bodies `send_async` lets be in flight. Default 100 MiB.
    #[doc(alias = "setBackPressureForAsyncSendSize")]
    pub fn back_pressure_for_async_send_size(mut self, bytes: usize) -> Self {
        self.config.back_pressure_for_async_send_size = bytes;
        self
    }

    /// Starts the producer. No broker is spoken to yet: the first send to a topic asks for its route.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig) for a setting out of range,
    /// [`ErrorKind::NoNameServer`](crate::ErrorKind::NoNameServer) if none is given.
    ///
    /// # Cancel safety
    /// A start that is dropped leaves no producer behind.
    pub async fn start(self) -> Result<DefaultMQProducer> {
        DefaultMQProducer::start(self).await
    }
}
