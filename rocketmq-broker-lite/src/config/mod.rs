//! The configurations, under the names of Java's properties.
//!
//! A configuration is a plain struct with a `Default` that suits embedding: loopback, a free port. Its table of
//! [`Setting`]s says what each Java property is called, how its text is read and what it allows. That one table reads
//! properties files, prints `-p`, and checks a configuration before anything starts.

mod broker;
mod error;
mod namesrv;
#[cfg(feature = "cli")]
mod properties;
#[cfg(feature = "cli")]
mod property_keys;
mod rule;
mod setting;

pub use broker::{BrokerConfig, FlushDiskType};
pub use error::ConfigError;
pub use namesrv::NamesrvConfig;
#[cfg(feature = "cli")]
pub(crate) use properties::{FromProperties, read_properties};
pub(crate) use setting::check;
#[cfg(feature = "cli")]
pub(crate) use setting::print;
