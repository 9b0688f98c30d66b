//! Receiving messages.

mod assignment;
mod filter;
mod group;
mod limits;
mod listener;
mod offset;
mod process_queue;
mod pull;
pub(crate) mod push;
mod reach;
mod rebalance;
mod records;
mod subscriptions;

pub use filter::MessageSelector;
pub use listener::{
    ConsumeConcurrentlyContext, ConsumeConcurrentlyStatus, IntoConsumeConcurrentlyStatus,
    MessageListenerConcurrently,
};
pub use offset::ConsumeFromWhere;
pub use push::{DefaultMQPushConsumer, DefaultMQPushConsumerBuilder};
pub use rocketmq_protocol::body::heartbeat::MessageModel;
