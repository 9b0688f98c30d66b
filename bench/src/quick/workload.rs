//! What is measured.

use super::QuickOptions;
use super::contest::Client;
use crate::serve::Flush;

/// One kind of work, the same for every client and broker.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) size: usize,
    pub(super) flush: Flush,
    /// Left out when time is short.
    pub(super) optional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sync,
    Batch,
    Consume,
}

/// All there are, in the order in which they run.
pub(super) fn all() -> Vec<Workload> {
    let workload = |name, kind, size| Workload { name, kind, size, flush: Flush::Async, optional: false };
    vec![
        Workload { flush: Flush::Sync, ..workload("SYNC_FLUSH sync, 16 tasks, 1 KiB", Kind::Sync, 1024) },
        workload("consume, listener batch 1, 1 KiB", Kind::Consume, 1024),
        workload("sync, 16 tasks, 1 KiB", Kind::Sync, 1024),
        workload("batch of 32, 1 task, 1 KiB", Kind::Batch, 1024),
        Workload { optional: true, ..workload("sync, 16 tasks, 128 B", Kind::Sync, 128) },
        Workload { optional: true, ..workload("batch of 32, 1 task, 128 B", Kind::Batch, 128) },
    ]
}

/// What the machine allows at best, measured by `bench floor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Floor {
    pub(super) name: &'static str,
    pub(super) arguments: &'static str,
}

pub(super) const ECHO_1K: Floor = Floor {
    name: "bare echo of 1,300/250 bytes, 16 in flight",
    arguments: "echo --request 1300 --answer 250 --inflight 16",
};
pub(super) const ECHO_128: Floor = Floor {
    name: "bare echo of 400/250 bytes, 16 in flight",
    arguments: "echo --request 400 --answer 250 --inflight 16",
};
pub(super) const FSYNC_1: Floor =
    Floor { name: "write + fdatasync of 1,124 bytes, 1 a sync", arguments: "fsync --per-sync 1" };
pub(super) const FSYNC_16: Floor =
    Floor { name: "write + fdatasync of 1,124 bytes, 16 a sync", arguments: "fsync --per-sync 16" };
pub(super) const FSYNC_64: Floor =
    Floor { name: "write + fdatasync of 1,124 bytes, 64 a sync", arguments: "fsync --per-sync 64" };

/// All floors, in the order in which they are shown.
pub(super) const FLOORS: [Floor; 5] = [ECHO_1K, ECHO_128, FSYNC_1, FSYNC_16, FSYNC_64];

impl Workload {
    /// The floors that are measured in each round of this workload, so that they meet the same minutes.
    pub(super) fn floors(&self) -> &'static [Floor] {
        match (self.kind, self.flush, self.size) {
            (Kind::Sync, Flush::Sync, _) => &[FSYNC_1, FSYNC_16, FSYNC_64],
            (Kind::Sync, Flush::Async, 1024) => &[ECHO_1K, ECHO_128],
            _ => &[],
        }
    }

    /// The floor that does the same work.
    pub(super) fn own_floor(&self) -> Option<Floor> {
        match (self.kind, self.flush, self.size) {
            (Kind::Sync, Flush::Sync, _) => Some(FSYNC_16),
            (Kind::Sync, Flush::Async, 128) => Some(ECHO_128),
            (Kind::Sync, Flush::Async, _) => Some(ECHO_1K),
            _ => None,
        }
    }

    pub(super) fn mode(&self) -> &'static str {
        match self.kind {
            Kind::Sync => "sync",
            Kind::Batch => "batch",
            Kind::Consume => "consume",
        }
    }

    /// A topic of its own on each broker.
    pub(super) fn topic(&self) -> String {
        format!("Bench-{}-{}", self.mode(), self.size)
    }

    /// The arguments behind the mode: both clients take the same.
    pub(super) fn arguments(
        &self,
        client: Client,
        namesrv: &str,
        watch: u32,
        options: &QuickOptions,
    ) -> Vec<String> {
        let mut arguments = vec![("--namesrv", namesrv.to_owned())];
        arguments.push(("--topic", self.topic()));
        arguments.push(("--size", self.size.to_string()));
        arguments.push(("--watch", watch.to_string()));
        if self.kind == Kind::Consume {
            arguments.push(("--batch", "1".to_owned()));
            arguments.push(("--count", options.count.to_string()));
        } else {
            arguments.push(("--threads", if self.kind == Kind::Sync { "16" } else { "1" }.to_owned()));
            arguments.push(("--seconds", options.seconds.to_string()));
            arguments.push(("--warmup", client.warmup(options).to_string()));
        }
        arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_topics_tell_workloads_of_one_stage_apart() {
        let workloads = all();
        for (index, one) in workloads.iter().enumerate() {
            for other in &workloads[index + 1..] {
                assert_ne!(one.name, other.name);
                assert!(one.flush != other.flush || one.topic() != other.topic(), "{}", one.name);
            }
        }
    }
}
