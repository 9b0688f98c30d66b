//! Receiving messages.

mod filter;
mod listener;
pub(crate) mod push;

pub use filter::MessageSelector;
pub use listener::{ConsumeConcurrentlyContext, ConsumeConcurrentlyStatus, MessageListenerConcurrently};
pub use push::{ConsumeFromWhere, DefaultMQPushConsumer, DefaultMQPushConsumerBuilder, ShutdownReport};
pub use rocketmq_protocol::body::heartbeat::MessageModel;
