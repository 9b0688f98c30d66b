//! Runnable examples of the RocketMQ client; see the files beside this one.
