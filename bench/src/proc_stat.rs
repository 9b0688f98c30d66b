//! What the kernel says of a process: processor time and memory.

use std::fs;
use std::io;

/// A process or thread, as the name of its folder in `/proc`.
#[derive(Clone, Debug)]
pub(crate) struct Proc(String);

impl Proc {
    /// This process.
    pub(crate) fn own() -> Self {
        Self("self".to_owned())
    }

    /// The thread that asks.
    pub(crate) fn own_thread() -> Self {
        Self("thread-self".to_owned())
    }

    /// The process of that id.
    pub(crate) fn of(pid: u32) -> Self {
        Self(pid.to_string())
    }

    /// Processor time used so far, in user mode and in the kernel, to the tick (10 ms). A process counts all its threads.
    pub(crate) fn cpu_seconds(&self) -> io::Result<f64> {
        Ok((self.stat(UTIME)? + self.stat(STIME)?) / ticks_per_second())
    }

    /// How long ago the process started, to the tick.
    pub(crate) fn age_ms(&self) -> io::Result<f64> {
        let uptime = fs::read_to_string("/proc/uptime")?;
        let uptime: f64 = parse(uptime.split_whitespace().next(), "/proc/uptime")?;
        Ok((uptime - self.stat(START_TIME)? / ticks_per_second()) * 1e3)
    }

    /// The most memory that was ever resident, in KiB.
    pub(crate) fn rss_peak_kb(&self) -> io::Result<u64> {
        self.status("VmHWM:")
    }

    /// The memory that is resident now, in KiB.
    pub(crate) fn rss_kb(&self) -> io::Result<u64> {
        self.status("VmRSS:")
    }

    fn stat(&self, field: usize) -> io::Result<f64> {
        let path = format!("/proc/{}/stat", self.0);
        let stat = fs::read_to_string(&path)?;
        // The command's name, in parentheses, may itself hold spaces and parentheses.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        parse(after_name.split_whitespace().nth(field), &path)
    }

    fn status(&self, key: &str) -> io::Result<u64> {
        let path = format!("/proc/{}/status", self.0);
        let status = fs::read_to_string(&path)?;
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        parse(line.and_then(|rest| rest.split_whitespace().next()), &path)
    }
}

/// Fields of `stat`, counted from the one behind the command's name.
const UTIME: usize = 11;
const STIME: usize = 12;
const START_TIME: usize = 19;

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

fn parse<T: std::str::FromStr>(text: Option<&str>, path: &str) -> io::Result<T> {
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| io::Error::other(format!("{path} is not as expected: {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_figures() {
        let own = Proc::own();
        assert!(own.cpu_seconds().unwrap() >= 0.0);
        assert!(own.age_ms().unwrap() >= 0.0);
        assert!(own.rss_peak_kb().unwrap() >= own.rss_kb().unwrap() / 2);
        assert!(Proc::own_thread().cpu_seconds().unwrap() <= own.cpu_seconds().unwrap() + 0.1);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(Proc::of(u32::MAX).cpu_seconds().is_err());
    }
}
