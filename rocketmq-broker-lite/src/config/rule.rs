//! How the text of a setting is read and written, and which values it allows.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use rocketmq_protocol::address;

use super::FlushDiskType;
use crate::delay::levels;

/// The rule of a setting whose value is a `T`.
pub(super) trait Rule<T> {
    /// The value of that text, if it is allowed.
    fn read(&self, text: &str) -> Option<T>;
    /// The value's text.
    fn print(&self, value: &T) -> String;
    /// What is allowed, in words.
    fn allowed(&self) -> String;
}

/// The value of that text, or what would be allowed.
pub(super) fn read<T>(rule: &impl Rule<T>, text: &str) -> Result<T, String> {
    rule.read(text.trim()).ok_or_else(|| rule.allowed())
}

/// `true` or `false`.
pub(super) struct Flag;

impl Rule<bool> for Flag {
    fn read(&self, text: &str) -> Option<bool> {
        text.to_ascii_lowercase().parse().ok()
    }

    fn print(&self, value: &bool) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        "true or false".to_owned()
    }
}

/// A whole number of this range.
pub(super) struct Whole(pub(super) RangeInclusive<i64>);

impl<T: TryFrom<i64> + Display> Rule<T> for Whole {
    fn read(&self, text: &str) -> Option<T> {
        let number = text.parse().ok().filter(|number| self.0.contains(number))?;
        T::try_from(number).ok()
    }

    fn print(&self, value: &T) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        format!("a whole number from {} to {}", self.0.start(), self.0.end())
    }
}

/// A time in milliseconds of this range.
pub(super) struct Millis(pub(super) RangeInclusive<u64>);

impl Rule<Duration> for Millis {
    fn read(&self, text: &str) -> Option<Duration> {
        text.parse().ok().filter(|millis| self.0.contains(millis)).map(Duration::from_millis)
    }

    fn print(&self, value: &Duration) -> String {
        value.as_millis().to_string()
    }

    fn allowed(&self) -> String {
        format!("a number of milliseconds from {} to {}", self.0.start(), self.0.end())
    }
}

/// A time in seconds of this range.
pub(super) struct Seconds(pub(super) RangeInclusive<u64>);

impl Rule<Duration> for Seconds {
    fn read(&self, text: &str) -> Option<Duration> {
        text.parse().ok().filter(|seconds| self.0.contains(seconds)).map(Duration::from_secs)
    }

    fn print(&self, value: &Duration) -> String {
        value.as_secs().to_string()
    }

    fn allowed(&self) -> String {
        format!("a number of seconds from {} to {}", self.0.start(), self.0.end())
    }
}

/// A name that is not empty, has no blanks, and is at most so many bytes long.
pub(super) struct Name(pub(super) usize);

impl Rule<String> for Name {
    fn read(&self, text: &str) -> Option<String> {
        let good = !text.is_empty() && text.len() <= self.0 && !text.contains(char::is_whitespace);
        good.then(|| text.to_owned())
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        format!("a name of 1 to {} bytes without blanks", self.0)
    }
}

/// Delay levels: `1s 5s 10s 30s 1m`.
pub(super) struct DelayLevels;

impl Rule<String> for DelayLevels {
    fn read(&self, text: &str) -> Option<String> {
        levels::DelayLevels::parse(text).is_ok().then(|| text.to_owned())
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "a list of times with the units s, m, h or d, for example \"1s 5s 10s 30s 1m\"".to_owned()
    }
}

/// No address, or `host:port` joined by `;`.
pub(super) struct Addresses;

impl Rule<String> for Addresses {
    fn read(&self, text: &str) -> Option<String> {
        let good = |addr: &str| address::split(addr.trim()).is_ok();
        text.split(';').filter(|addr| !addr.is_empty()).all(good).then(|| text.to_owned())
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "host:port, several joined by \";\", for example 127.0.0.1:9876;[::1]:9876".to_owned()
    }
}

/// A host name or address without a port, or nothing.
pub(super) struct Host;

impl Rule<Option<String>> for Host {
    fn read(&self, text: &str) -> Option<Option<String>> {
        let good = !text.contains(|c: char| c.is_whitespace() || c == ';' || c == '/');
        good.then(|| (!text.is_empty()).then(|| text.to_owned()))
    }

    fn print(&self, value: &Option<String>) -> String {
        value.clone().unwrap_or_default()
    }

    fn allowed(&self) -> String {
        "a host name or an IP address, without a port".to_owned()
    }
}

/// An address of this machine, or the one that stands for all of them.
pub(super) struct Ip;

impl Rule<IpAddr> for Ip {
    fn read(&self, text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    fn print(&self, value: &IpAddr) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        "an IP address, for example 127.0.0.1 or 0.0.0.0".to_owned()
    }
}

/// A directory; it need not exist.
pub(super) struct Directory;

impl Rule<PathBuf> for Directory {
    fn read(&self, text: &str) -> Option<PathBuf> {
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    fn print(&self, value: &PathBuf) -> String {
        value.display().to_string()
    }

    fn allowed(&self) -> String {
        "the path of a directory".to_owned()
    }
}

/// `ASYNC_FLUSH` or `SYNC_FLUSH`.
pub(super) struct Flush;

impl Rule<FlushDiskType> for Flush {
    fn read(&self, text: &str) -> Option<FlushDiskType> {
        [FlushDiskType::AsyncFlush, FlushDiskType::SyncFlush].into_iter().find(|kind| kind.name() == text)
    }

    fn print(&self, value: &FlushDiskType) -> String {
        value.name().to_owned()
    }

    fn allowed(&self) -> String {
        "ASYNC_FLUSH or SYNC_FLUSH".to_owned()
    }
}
