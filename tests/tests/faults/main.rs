//! What clients and brokers do while a peer is slow, silent or gone. The faults are made, not waited for.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

mod name_servers;
mod silent_broker;
mod slow_broker;
mod slow_readers;
