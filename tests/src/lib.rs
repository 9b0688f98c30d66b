//! What the tests share.
//!
//! A test takes a [`Cluster`], makes clients of it and waits on events: a [`Collector`] for messages, [`within`] for
//! everything else. The same source runs on the embedded broker and on Apache RocketMQ; see the README.

mod cluster;
mod collector;
mod committed;
mod faulty_peer;
mod java;
mod plants;
mod programs;
mod raw;
mod real;
mod wait;

pub use cluster::{Cluster, unique};
pub use collector::Collector;
pub use committed::until_committed;
pub use faulty_peer::{Direction, FaultyPeer, Flow};
pub use java::{Java, md5_of};
pub use plants::Plant;
pub use programs::BrokerProcess;
pub use raw::{RawClient, frame, request, resident_bytes};
pub use real::{RealCluster, repository};
pub use wait::{PATIENCE, eventually, within};
