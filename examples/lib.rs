//! Runnable examples of the RocketMQ client; see the files beside this one.

/// Compiles the programs that README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
