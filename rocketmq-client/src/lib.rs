//! The RocketMQ client for Rust.
//!
//! It mirrors the API of the Apache RocketMQ Java client over the remoting protocol of RocketMQ 4.9 and 5.x. Start with
//! [`DefaultMQProducer`] to send and [`DefaultMQPushConsumer`] to receive.
//!
//! - It logs through `tracing` only: no subscriber is installed, no file is written.
//! - It runs on the tokio runtime of the program, whatever its flavour.
//! - Settings are `Duration`s and plain numbers; a `Duration` longer than a year counts as a year.
//! - Errors are [`Error`]: what was tried, where, what came back, whether to try again.

mod config;
mod consumer;
mod error;
mod instance;
mod producer;
mod rebalance;
mod route;
mod validate;

pub use bytes::Bytes;
pub use consumer::{
    ConsumeConcurrentlyContext, ConsumeConcurrentlyStatus, ConsumeFromWhere, DefaultMQPushConsumer,
    DefaultMQPushConsumerBuilder, IntoConsumeConcurrentlyStatus, MessageListenerConcurrently, MessageModel,
    MessageSelector,
};
pub use error::{Attempt, Error, ErrorKind, Result, SendOutcome};
pub use instance::ShutdownReport;
pub use producer::{
    DefaultMQProducer, DefaultMQProducerBuilder, MessageQueueSelector, SelectMessageQueueByHash,
    SelectMessageQueueByRandom, SendRequest, SendTicket,
};
pub use rebalance::{AllocateMessageQueueAveragely, AllocateMessageQueueStrategy};
pub use rocketmq_protocol::ByteString;
pub use rocketmq_protocol::code::ResponseCode;
pub use rocketmq_protocol::compression::CompressionType;
pub use rocketmq_protocol::message::{
    IntoKeys, Message, MessageExt, MessageQueue, Properties, SendResult, SendStatus, SysFlag,
};
