//! What work costs, for tests of how the cost grows.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time that this thread spends on `work`: other load on the machine does not count.
pub(crate) fn cpu_time(work: impl FnOnce()) -> Duration {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
    };
    let before = now();
    work();
    now() - before
}

/// Holds the cost of `large` against that of `small`, which is a tenth of it: quadratic work would cost a hundred times as
/// much, linear work ten times. Thirty times is let pass. The best of some attempts counts.
pub(crate) fn assert_linear(small: usize, large: usize, cost: impl Fn(usize) -> Duration) {
    assert_eq!(small * 10, large);
    let best = |count| (0..3).map(|_| cost(count)).min().unwrap_or_default();
    let (few, many) = (best(small), best(large));
    assert!(many < few * 30, "{small} cost {few:?}, {large} cost {many:?}");
}
