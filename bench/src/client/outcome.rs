//! What a run came to: one JSON object.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::Value;

use super::window::CpuSeconds;
use crate::Json;
use crate::proc_stat::Proc;

/// The figures of a run, by the names that Bench.java gives them.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    figures: Json,
    errors: Errors,
}

impl Outcome {
    pub(super) fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.figures.insert(key.to_owned(), value.into());
    }

    pub(super) fn put_rate(&mut self, messages: u64, bytes: u64, seconds: f64) {
        self.put("msgs", messages);
        self.put("seconds", rounded(seconds));
        self.put("msgs_per_s", rounded(messages as f64 / seconds));
        self.put("mb_per_s", rounded(bytes as f64 / seconds / 1e6));
    }

    pub(super) fn put_latencies(&mut self, latencies: &Latencies) {
        let percentile = |share| rounded(latencies.0.value_at_quantile(share) as f64 / 1e3);
        self.put("p50_us", percentile(0.50));
        self.put("p99_us", percentile(0.99));
        self.put("p999_us", percentile(0.999));
        self.put("max_us", rounded(latencies.0.max() as f64 / 1e3));
    }

    pub(super) fn put_cpu(&mut self, used: CpuSeconds) {
        self.put("cpu_window_s", rounded(used.own));
        if let Some(watched) = used.watched {
            self.put("watched_cpu_window_s", rounded(watched));
        }
    }

    pub(super) fn errors_mut(&mut self) -> &mut Errors {
        &mut self.errors
    }

    /// Adds what is known only at the end.
    pub(super) fn finish(mut self) -> io::Result<Json> {
        let kinds = self.errors.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.figures.insert("errors".into(), kinds.values().sum::<u64>().into());
        if !kinds.is_empty() {
            self.figures.insert("error_kinds".into(), format!("{kinds:?}").into());
        }
        let own = Proc::own();
        self.figures.insert("rss_peak_kb".into(), own.rss_peak_kb()?.into());
        self.figures.insert("rss_end_kb".into(), own.rss_kb()?.into());
        self.figures.insert("cpu_total_s".into(), rounded(own.cpu_seconds()?).into());
        Ok(self.figures)
    }
}

/// How often what went wrong.
#[derive(Debug, Default)]
pub(super) struct Errors(Mutex<BTreeMap<String, u64>>);

impl Errors {
    pub(super) fn note(&self, error: impl Display) {
        // Numbers and ids would make every error a kind of its own.
        let text: String =
            error.to_string().chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
        let kind = text.lines().next().unwrap_or_default().chars().take(120).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    }

    pub(super) fn absorb(&mut self, others: &Self) {
        let own = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (kind, count) in others.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *own.entry(kind.clone()).or_default() += count;
        }
    }
}

/// Latencies in nanoseconds, to two digits: few enough buckets to stay in the processor's cache.
#[derive(Clone, Debug)]
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    const MAX_NS: u64 = 60_000_000_000;

    pub(super) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1_000, Self::MAX_NS, 2);
        Self(histogram.expect("bounds and digits are within what the histogram allows"))
    }

    pub(super) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(Self::MAX_NS));
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }
}

/// To two digits behind the point, as Bench.java prints.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut latencies = Latencies::new();
        for us in 1..=100 {
            latencies.record(Duration::from_micros(us));
        }
        let mut outcome = Outcome::default();
        outcome.put_latencies(&latencies);
        let p50 = outcome.figures["p50_us"].as_f64().unwrap();
        assert!((49.0..52.0).contains(&p50), "{p50}");
    }

    #[test]
    fn errors_that_differ_in_numbers_are_of_one_kind() {
        let mut outcome = Outcome::default();
        outcome.errors_mut().note("no answer in 3000 ms");
        outcome.errors_mut().note("no answer in 2999 ms");
        let figures = outcome.finish().unwrap();
        assert_eq!(figures["errors"], 2);
        assert_eq!(figures["error_kinds"], r#"{"no answer in #### ms": 2}"#);
    }
}
