//! The warm-up, and the counted stretch of time after it.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::proc_stat::Proc;

/// When counting begins and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    opens: Instant,
    closes: Instant,
}

impl Window {
    pub(super) fn new(warmup: f64, seconds: f64) -> Self {
        let opens = Instant::now() + Duration::from_secs_f64(warmup);
        Self { opens, closes: opens + Duration::from_secs_f64(seconds) }
    }

    /// Whether what ended at that moment counts.
    pub(super) fn counts(&self, at: Instant) -> bool {
        at >= self.opens && at < self.closes
    }

    /// Whether all is over by that moment.
    pub(super) fn is_over(&self, at: Instant) -> bool {
        at >= self.closes
    }

    pub(super) fn seconds(&self) -> f64 {
        (self.closes - self.opens).as_secs_f64()
    }

    /// Reads the processor time at both ends of the window, on a thread of its own: a busy runtime's timers are late.
    pub(super) fn meter_cpu(self, watch: Option<u32>) -> JoinHandle<io::Result<CpuSeconds>> {
        thread::spawn(move || {
            thread::sleep(self.opens.saturating_duration_since(Instant::now()));
            let meter = CpuMeter::start(watch)?;
            thread::sleep(self.closes.saturating_duration_since(Instant::now()));
            meter.stop()
        })
    }
}

/// Processor time used, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuSeconds {
    pub(super) own: f64,
    pub(super) watched: Option<f64>,
}

/// Measures the processor time of this process, and of another if asked to.
#[derive(Debug)]
pub(super) struct CpuMeter {
    watched: Option<Proc>,
    from: CpuSeconds,
}

impl CpuMeter {
    pub(super) fn start(watch: Option<u32>) -> io::Result<Self> {
        let watched = watch.map(Proc::of);
        Ok(Self { from: cpu_now(watched.as_ref())?, watched })
    }

    pub(super) fn stop(self) -> io::Result<CpuSeconds> {
        let to = cpu_now(self.watched.as_ref())?;
        let watched = to.watched.zip(self.from.watched).map(|(to, from)| to - from);
        Ok(CpuSeconds { own: to.own - self.from.own, watched })
    }
}

fn cpu_now(watched: Option<&Proc>) -> io::Result<CpuSeconds> {
    Ok(CpuSeconds { own: Proc::own().cpu_seconds()?, watched: watched.map(Proc::cpu_seconds).transpose()? })
}
