//! The machine's memory, for guessing what the page cache still holds.

use std::fs;

/// Assumed where the system does not tell.
const UNKNOWN_BYTES: i64 = 8 << 30;
/// The part of the memory that counts as page cache of the log (`accessMessageInMemoryMaxRatio`).
const CACHE_PERCENT: i64 = 40;

/// A record farther than this from the log's end counts as being on disk only.
pub(super) fn cached_log_bytes() -> i64 {
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_bytes(&text));
    total.unwrap_or(UNKNOWN_BYTES) / 100 * CACHE_PERCENT
}

fn total_bytes(meminfo: &str) -> Option<i64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found_among_other_lines() {
        assert_eq!(total_bytes("MemFree: 1 kB\nMemTotal:       16 kB\n"), Some(16_384));
        assert_eq!(total_bytes("MemTotal: many\n"), None);
    }
}
