//! One life of a store, and the oracle that watches it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use rocketmq_protocol::ByteString;
use rocketmq_protocol::message::SCHEDULE_TOPIC;
use rocketmq_protocol::message::record::Record;

use super::super::super::*;
use super::super::{drain, message, read_queues, scan_log};
use super::chance::Chance;
use super::machine::Machine;
use crate::delay::schedule::Schedule;
use crate::tables::consumer_offset::ConsumerOffsets;
use crate::tables::topic::{TopicRules, TopicTable};

pub(super) const ROOT: &str = "/data/store";
pub(super) const GROUP: &str = "group";
pub(super) const START_MS: i64 = 1_600_000_000_000;
const STEPS: u64 = 50;

/// What lives were like.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) kept_messages: u64,
    pub(super) lost_unsynced: u64,
    pub(super) power_losses: u64,
    pub(super) kills: u64,
    pub(super) closes: u64,
}

impl Tally {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            messages: self.messages + other.messages,
            kept_messages: self.kept_messages + other.kept_messages,
            lost_unsynced: self.lost_unsynced + other.lost_unsynced,
            power_losses: self.power_losses + other.power_losses,
            kills: self.kills + other.kills,
            closes: self.closes + other.closes,
        }
    }
}

type Queue = (String, i32);

/// A message that was stored, by queue offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    id: u64,
    end_offset: i64,
}

/// A store that is open, with the broker's tables that depend on it.
pub(super) struct Running {
    pub(super) store: Arc<MessageStore>,
    pub(super) topics: TopicTable,
    pub(super) offsets: ConsumerOffsets,
    pub(super) schedule: Schedule,
}

struct Life {
    chance: Chance,
    machine: Machine,
    clock: Clock,
    config: StoreConfig,
    running: Option<Running>,
    /// What was stored.
    queues: BTreeMap<Queue, BTreeMap<i64, Sent>>,
    /// Messages of sends that failed: they may be there or not.
    doubtful: HashSet<u64>,
    /// Delayed messages that were stored, and those that are safe.
    delayed: BTreeSet<u64>,
    /// The disk was said to have the log up to here.
    safe: i64,
    topics: BTreeSet<String>,
    next_id: u64,
    tally: Tally,
    diary: Vec<String>,
}

/// Lives a life, to its end.
pub(super) fn live(seed: u64) -> Tally {
    let mut life = Life::new(seed);
    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        life.start();
        for _ in 0..STEPS {
            life.step();
        }
        life.end();
    }));
    if let Err(panic) = lived {
        if std::env::var_os("STORE_DIARY").is_some() {
            eprintln!("{}", life.diary.join("\n"));
        }
        std::panic::resume_unwind(panic);
    }
    life.tally
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let flush_disk_type =
            if chance.one_in(2) { FlushDiskType::SyncFlush } else { FlushDiskType::AsyncFlush };
        let config = StoreConfig {
            root_dir: PathBuf::from(ROOT),
            mapped_file_size_commit_log: 1_200 + 100 * chance.below(30),
            mapped_file_size_consume_queue: 20 * (1 + chance.below(20)),
            flush_disk_type,
            ..StoreConfig::default()
        };
        Self {
            chance,
            machine: Machine::new(),
            clock: Clock::standing_at(START_MS),
            config,
            running: None,
            queues: BTreeMap::new(),
            doubtful: HashSet::new(),
            delayed: BTreeSet::new(),
            safe: 0,
            topics: BTreeSet::new(),
            next_id: 1,
            tally: Tally::default(),
            diary: Vec::new(),
        }
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if std::env::var_os("STORE_DIARY").is_some() {
            self.diary.push(format!("{:>5} {}", self.machine.changes(), text()));
        }
    }

    /// Opens everything; a loss of power in the middle is survived, too.
    fn start(&mut self) {
        loop {
            let fs = self.machine.boot();
            if self.chance.one_in(10) {
                self.machine.power_fails_after(1 + self.chance.below(40));
            }
            match open(&self.config, &self.clock, fs) {
                Ok(running) => {
                    self.running = Some(running);
                    return;
                }
                Err(error) => {
                    assert!(self.machine.is_off(), "the store does not open: {error}");
                    self.note(|| "power lost while opening".into());
                    self.tally.power_losses += 1;
                    self.machine.lose_power(&mut self.chance);
                }
            }
        }
    }

    fn step(&mut self) {
        match self.chance.below(100) {
            0..42 => self.append(),
            42..45 => self.look_ahead(),
            45..55 => self.flush_log(),
            55..60 => self.flush_queues(),
            60..68 => self.commit(),
            68..72 => self.running().offsets.persist(|| self.running().store.make_safe()),
            72..78 => self.deliver(),
            78..81 => self.running().schedule.persist(|| self.running().store.make_safe()),
            81..85 => self.jump(),
            85..87 => self.close(),
            87..90 => self.kill(),
            90..94 => {
                let changes = 1 + self.chance.below(60);
                self.note(|| format!("power fails after {changes}"));
                self.machine.power_fails_after(changes);
            }
            _ => self.lose_power(),
        }
        if self.machine.is_off() {
            self.lose_power();
        }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    fn append(&mut self) {
        let topic = ["A", "B", "%RETRY%g"][self.chance.below(3) as usize];
        let queue_id = self.chance.below(2) as i32;
        let known = self.running().topics.find_or_create(topic, 2, 0);
        // An answer that rests on it waits for this.
        let saved = self.running().topics.persist();
        assert!(saved || self.machine.is_off(), "the topics cannot be saved");
        if !self.machine.is_off() {
            self.topics.insert(topic.to_owned());
        }
        let count = if self.chance.one_in(5) { 1 + self.chance.below(4) } else { 1 };
        let is_delayed = count == 1 && self.chance.one_in(4);
        let bodies: Vec<Vec<u8>> = (0..count).map(|_| self.body()).collect();
        let properties = format!("REAL_TOPIC\u{1}{topic}\u{2}REAL_QID\u{1}{queue_id}\u{2}DELAY\u{1}2\u{2}");
        let schedule = ByteString::from(SCHEDULE_TOPIC);
        let messages: Vec<_> = bodies
            .iter()
            .map(|body| match is_delayed {
                true => NewMessage { properties: &properties, ..message(&schedule, 1, body) },
                false => message(&known.name, queue_id, body),
            })
            .collect();
        let queue = (messages[0].topic.to_string(), messages[0].queue_id);
        let stored = self.running().store.append_batch(&messages);
        let ids: Vec<u64> = bodies.iter().map(|body| id_of(body)).collect();
        self.note(|| format!("append {queue:?} {ids:?} {stored:?}"));
        match stored {
            Ok(stored) => {
                for (id, appended) in ids.iter().zip(stored) {
                    self.store(
                        &queue,
                        appended.queue_offset,
                        Sent { id: *id, end_offset: appended.end_offset() },
                    );
                    if is_delayed {
                        self.delayed.insert(*id);
                    }
                }
            }
            Err(error) => {
                assert!(self.machine.is_off(), "a send fails: {error}");
                self.doubtful.extend(ids);
            }
        }
    }

    fn body(&mut self) -> Vec<u8> {
        let id = self.next_id;
        self.next_id += 1;
        self.tally.messages += 1;
        let mut body = id.to_be_bytes().to_vec();
        // Equal lengths are common: only then can stale records line up with new ones.
        let filler = if self.chance.one_in(2) { 20 } else { self.chance.below(150) };
        body.extend((0..filler).map(|at| (id + at) as u8));
        body
    }

    fn store(&mut self, queue: &Queue, queue_offset: i64, sent: Sent) {
        let before = self.queues.entry(queue.clone()).or_default().insert(queue_offset, sent);
        assert_eq!(before, None, "{queue:?} gives the offset {queue_offset} twice");
    }

    fn flush_log(&mut self) {
        let end = self.running().store.inner.log.max_offset();
        if self.running().store.make_safe() {
            self.safe = self.safe.max(end);
            self.note(|| format!("safe up to {end}"));
        }
    }

    /// What a thread of its own does at any time.
    fn look_ahead(&mut self) {
        let made = self.running().store.inner.log.prepare();
        self.note(|| format!("looked ahead: {made:?}"));
        assert!(made.is_ok() || self.machine.is_off(), "{made:?}");
    }

    fn flush_queues(&mut self) {
        let thorough = self.chance.one_in(2);
        let flushed = flush::flush_queues(&self.running().store.inner, thorough);
        self.note(|| format!("queues flushed, thorough: {thorough}: {flushed:?}"));
        assert!(flushed.is_ok() || self.machine.is_off(), "{flushed:?}");
    }

    fn commit(&mut self) {
        let queues: Vec<_> = self.queues.iter().filter(|(_, sent)| !sent.is_empty()).collect();
        if queues.is_empty() {
            return;
        }
        let picked = self.chance.below(queues.len() as u64) as usize;
        let (queue, sent) = queues[picked];
        let last = *sent.last_key_value().unwrap().0 as u64;
        // A broker takes what it is told, also what lies beyond the end.
        let beyond = if self.chance.one_in(8) { self.chance.below(20) } else { 0 };
        let offset = (1 + self.chance.below(1 + last) + beyond) as i64;
        self.running().offsets.commit(GROUP, &queue.0, queue.1, offset).unwrap();
    }

    fn deliver(&mut self) {
        let running = self.running();
        running.schedule.deliver_due(&running.store, &running.topics, self.clock.now_ms());
        self.note(|| "delivered".into());
        if !self.machine.is_off() {
            self.take_in_deliveries();
        }
    }

    /// Delivered messages are stored by the broker itself.
    fn take_in_deliveries(&mut self) {
        for (queue, found) in self.pull_everything() {
            for (offset, sent) in found {
                if self.queues.get(&queue).is_none_or(|known| !known.contains_key(&offset)) {
                    let may_be = self.delayed.contains(&sent.id) || self.doubtful.contains(&sent.id);
                    assert!(may_be, "{queue:?} {offset} {sent:?} comes from nowhere");
                    self.store(&queue, offset, sent);
                }
            }
        }
    }

    fn jump(&mut self) {
        let ms = self.chance.below(100_000) as i64;
        let by = match self.chance.below(4) {
            0 => -ms,
            1 => -ms * 10_000,
            _ => ms,
        };
        self.note(|| format!("clock jumps by {by}"));
        self.clock.jump(by);
    }

    fn close(&mut self) {
        let running = self.running();
        running.offsets.persist(|| running.store.make_safe());
        running.schedule.persist(|| running.store.make_safe());
        let end = running.store.inner.log.max_offset();
        let closed = running.store.close();
        self.note(|| format!("close: {closed:?}"));
        match closed {
            Ok(()) => {
                self.safe = self.safe.max(end);
                self.tally.closes += 1;
                self.running = None;
                self.machine.kill();
                if self.chance.one_in(3) {
                    self.machine.lose_power(&mut self.chance);
                    self.tally.power_losses += 1;
                }
                self.begin_again(false);
            }
            Err(error) => assert!(self.machine.is_off(), "closing fails: {error}"),
        }
    }

    fn kill(&mut self) {
        self.note(|| "kill -9".into());
        self.tally.kills += 1;
        self.machine.kill();
        self.running = None;
        self.begin_again(false);
    }

    fn lose_power(&mut self) {
        self.note(|| "power lost".into());
        self.tally.power_losses += 1;
        self.machine.lose_power(&mut self.chance);
        self.running = None;
        self.begin_again(true);
    }

    /// Starts, and compares what is there with what must be there. A loss of power during the start counts as one.
    fn begin_again(&mut self, power_was_lost: bool) {
        let losses = self.tally.power_losses;
        self.start();
        if self.machine.is_off() {
            return self.lose_power();
        }
        self.check(power_was_lost || losses != self.tally.power_losses);
    }

    fn check(&mut self, power_was_lost: bool) {
        let end = self.running().store.inner.log.max_offset();
        self.note(|| format!("opened: the log ends at {end}"));
        assert!(self.safe <= end, "the log ends at {end}, and {} was safe", self.safe);
        let mut found = self.pull_everything();
        if self.machine.is_off() {
            return;
        }
        assert_eq!(
            read_queues(&self.running().store),
            scan_log(&self.running().store),
            "queues and log differ"
        );
        let (safe, doubtful) = (self.safe, &self.doubtful);
        for (queue, sent) in &mut self.queues {
            let there = found.remove(queue).unwrap_or_default();
            for (offset, sent) in &*sent {
                match there.get(offset) {
                    Some(found) if found == sent => self.tally.kept_messages += 1,
                    Some(found) => assert!(
                        power_was_lost && sent.end_offset > safe && doubtful.contains(&found.id),
                        "{queue:?} {offset}: {sent:?} became {found:?}"
                    ),
                    None => {
                        assert!(
                            sent.end_offset > safe,
                            "{queue:?} {offset}: {sent:?} was safe and is missing"
                        );
                        assert!(power_was_lost, "{queue:?} {offset}: {sent:?} is missing after a kill");
                        self.tally.lost_unsynced += 1;
                    }
                }
            }
            for (offset, found) in &there {
                let known = sent.contains_key(offset);
                let may_be = doubtful.contains(&found.id) || self.delayed.contains(&found.id);
                assert!(known || may_be, "{queue:?} {offset}: {found:?} comes from nowhere");
            }
            *sent = there;
        }
        for (queue, there) in found {
            for found in there.values() {
                let may_be = doubtful.contains(&found.id) || self.delayed.contains(&found.id);
                assert!(may_be, "{queue:?}: {found:?} comes from nowhere");
            }
            self.queues.insert(queue, there);
        }
        self.check_progress();
    }

    fn check_progress(&self) {
        let Running { store, topics, offsets, .. } = self.running();
        for (topic, queue_id) in self.queues.keys() {
            let (committed, end) =
                (offsets.query(GROUP, topic, *queue_id), store.max_offset(topic, *queue_id));
            assert!(
                committed.is_none_or(|offset| offset <= end),
                "{topic} {queue_id}: {committed:?} of {end}"
            );
        }
        for topic in &self.topics {
            assert!(topics.find(topic).is_some(), "the topic {topic} is gone");
        }
    }

    /// What a consumer gets, by queue and offset.
    fn pull_everything(&self) -> BTreeMap<Queue, BTreeMap<i64, Sent>> {
        let store = &self.running().store;
        let mut found: BTreeMap<Queue, BTreeMap<i64, Sent>> = BTreeMap::new();
        for queue in store.inner.queues.all() {
            let records = drain(store, &queue.topic, queue.queue_id);
            let sent = found.entry((queue.topic.to_string(), queue.queue_id)).or_default();
            for (offset, bytes) in (queue.min()..).zip(records) {
                let record = Record::parse(&bytes).expect("a record");
                assert_eq!(record.queue_offset, offset, "{} {}", queue.topic, queue.queue_id);
                let id = id_of(record.body);
                assert!(
                    record.body[8..].iter().zip(0..).all(|(byte, at)| *byte == (id + at) as u8),
                    "wrong bytes"
                );
                let end_offset = record.physical_offset + bytes.len() as i64;
                sent.insert(offset, Sent { id, end_offset });
            }
            assert_eq!(sent.len() as i64, queue.max() - queue.min(), "{} {}", queue.topic, queue.queue_id);
        }
        found
    }

    /// At last everything that was delayed and is still there is delivered.
    fn end(&mut self) {
        self.machine.power_fails_after(u64::MAX);
        if self.machine.is_off() {
            self.lose_power();
            self.machine.power_fails_after(u64::MAX);
        }
        self.note(|| "the end".into());
        for _ in 0..3 {
            self.clock.jump(3_600_000);
            let running = self.running();
            while running.schedule.deliver_due(&running.store, &running.topics, self.clock.now_ms()) {}
        }
        let found = self.pull_everything();
        let of_topic = |delayed| {
            let queues = found.iter().filter(move |((topic, _), _)| (topic == SCHEDULE_TOPIC) == delayed);
            queues.flat_map(|(_, sent)| sent.values().map(|sent| sent.id)).collect::<BTreeSet<_>>()
        };
        let (waiting, delivered) = (of_topic(true), of_topic(false));
        let missing: Vec<_> = waiting.difference(&delivered).collect();
        assert!(missing.is_empty(), "delayed messages {missing:?} were never delivered");
        self.running().store.close().expect("it closes");
    }
}

fn id_of(body: &[u8]) -> u64 {
    u64::from_be_bytes(body[..8].try_into().expect("a body begins with its id"))
}

/// Opens them all, as the broker does.
pub(super) fn open(
    config: &StoreConfig,
    clock: &Clock,
    fs: Arc<dyn fs::Fs>,
) -> Result<Running, Box<dyn std::error::Error>> {
    let store = MessageStore::open_without_threads(config.clone(), clock.clone(), fs)?;
    let rules = TopicRules {
        cluster_name: "cluster".into(),
        broker_name: "broker".into(),
        auto_create: true,
        default_queue_nums: 2,
        cluster_topic_enable: true,
        broker_topic_enable: true,
        trace_topic: None,
    };
    let dir = store.dir().clone();
    let topics = TopicTable::open(rules, dir.clone(), clock.clone())?;
    let offsets = ConsumerOffsets::open(dir, |topic, queue_id| store.max_offset(topic, queue_id))?;
    let schedule = Schedule::open(config.delay_levels.clone(), &store)?;
    Ok(Running { store, topics, offsets, schedule })
}
