//! What a store can be told; names and defaults are Java's.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::FlushDiskType;
use crate::delay::levels::DelayLevels;

/// How a store works. `Default` is what Java's broker does.
#[derive(Clone, Debug)]
pub(crate) struct StoreConfig {
    /// The directory of all files (`storePathRootDir`); made if it is missing. Default `store`, below the working
    /// directory.
    pub(crate) root_dir: PathBuf,
    /// The bytes of one commit log file. Default 1 GiB. It bounds the record's size: a record must fit with 8 bytes to
    /// spare.
    pub(crate) mapped_file_size_commit_log: u64,
    /// The bytes of one consume queue file, rounded down to whole units of 20 bytes. Default 6,000,000.
    pub(crate) mapped_file_size_consume_queue: u64,
    /// When a message counts as stored. Default `AsyncFlush`.
    pub(crate) flush_disk_type: FlushDiskType,
    /// How often the log is flushed in the background. Default 500 ms.
    pub(crate) flush_interval_commit_log: Duration,
    /// A background flush waits for so many pages of 4 KiB. Default 4.
    pub(crate) flush_commit_log_least_pages: u32,
    /// After this time a background flush takes what there is. Default 10 s.
    pub(crate) flush_commit_log_thorough_interval: Duration,
    /// How often consume queues are written to their files. Default 1 s.
    pub(crate) flush_interval_consume_queue: Duration,
    /// The longest body in bytes. Default 4 MiB.
    pub(crate) max_message_size: usize,
    /// A log that is damaged before its end is cut there, as Java's broker does; what lies behind is kept in `damaged`.
    /// Otherwise the store does not open. Default false.
    pub(crate) truncate_damaged_log: bool,
    /// Messages are refused when more of the disk is used, in per cent; 100 never refuses (`diskSpaceWarningLevelRatio`).
    /// Default 90.
    pub(crate) disk_space_warning_level_ratio: u32,
    /// What the delay levels mean.
    pub(crate) delay_levels: DelayLevels,
    /// The most of one pull.
    pub(crate) pull_limits: PullLimits,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            root_dir: PathBuf::from("store"),
            mapped_file_size_commit_log: 1 << 30,
            mapped_file_size_consume_queue: 6_000_000,
            flush_disk_type: FlushDiskType::AsyncFlush,
            flush_interval_commit_log: Duration::from_millis(500),
            flush_commit_log_least_pages: 4,
            flush_commit_log_thorough_interval: Duration::from_secs(10),
            flush_interval_consume_queue: Duration::from_secs(1),
            max_message_size: 4 << 20,
            truncate_damaged_log: false,
            disk_space_warning_level_ratio: 90,
            delay_levels: DelayLevels::default(),
            pull_limits: PullLimits::default(),
        }
    }
}

/// The most that one pull brings, whatever it asks for; its first message may be longer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PullLimits {
    /// Of messages that are likely in the page cache (`maxTransferCountOnMessageInMemory`). Default 32.
    pub(crate) in_memory_count: usize,
    /// Their bytes (`maxTransferBytesOnMessageInMemory`). Default 256 KiB.
    pub(crate) in_memory_bytes: usize,
    /// Of messages that must come from the disk (`maxTransferCountOnMessageInDisk`). Default 8.
    pub(crate) on_disk_count: usize,
    /// Their bytes (`maxTransferBytesOnMessageInDisk`). Default 64 KiB.
    pub(crate) on_disk_bytes: usize,
}

impl Default for PullLimits {
    fn default() -> Self {
        Self { in_memory_count: 32, in_memory_bytes: 256 << 10, on_disk_count: 8, on_disk_bytes: 64 << 10 }
    }
}
