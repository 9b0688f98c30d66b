//! A broker's tables: in memory for those who ask, and below `config/` of the store's directory for the next start.

pub(crate) mod consumer_offset;
pub(crate) mod file;
pub(crate) mod save_queue;
pub(crate) mod subscription_group;
pub(crate) mod topic;
