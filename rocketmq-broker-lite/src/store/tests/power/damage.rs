//! Files that are not what was written: flipped bits, and files cut short.
//!
//! What a record's flag, sysFlag, times, hosts, counters and properties say is covered by no checksum in RocketMQ's
//! format: there, and only there, a flipped bit may be read as it is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rocketmq_protocol::ByteString;
use rocketmq_protocol::message::SCHEDULE_TOPIC;
use rocketmq_protocol::message::record::Record;
use tracing::{Level, Metadata, Subscriber, span};

use super::super::super::*;
use super::super::message;
use super::chance::Chance;
use super::life::{GROUP, ROOT, Running, START_MS, open};
use super::machine::Machine;
use super::{for_each_seed, from_environment};

/// How often `cargo test` damages a store; `STORE_DAMAGES` says otherwise, and `STORE_SEED` with which seed it begins.
const DAMAGES: u64 = 10_000;
const KINDS: [&str; 8] = [
    "commitlog/",
    "consumequeue/",
    "checkpoint",
    "topics.json",
    "consumerOffset.json",
    "delayOffset.json",
    ".bak",
    "abort",
];

/// What a pull may bring, by topic, queue and offset.
type Stored = BTreeMap<(String, i32, i64), Vec<u8>>;

/// A store, and what was stored in it.
struct Base {
    machine: Machine,
    config: StoreConfig,
    stored: Stored,
    ends: BTreeMap<(String, i32), i64>,
}

/// How stores took their damage.
#[derive(Debug, Default)]
struct Tally {
    damages: u64,
    refused: u64,
    unharmed: u64,
    lacking: u64,
    blurred: u64,
    failures: Vec<String>,
}

/// The bytes that were changed.
#[derive(Debug)]
struct Damage {
    path: PathBuf,
    flipped: Vec<usize>,
    cut_at: Option<usize>,
}

/// A pull brings what was sent, or the broker says what is missing; nothing panics. A store that does not open says why.
#[test]
fn damaged_files_give_exact_messages_or_a_word_about_it() {
    let first = from_environment("STORE_SEED").unwrap_or(1);
    let damages = from_environment("STORE_DAMAGES").unwrap_or(DAMAGES);
    let bases: Vec<Base> = (0..8).map(Base::new).collect();
    let total = for_each_seed(first, damages, |seed| endure(&bases, seed), Tally::plus);
    println!("{damages} damages from seed {first}: {total:?}");
    assert!(
        total.failures.is_empty(),
        "{}: {:#?}",
        total.failures.len(),
        total.failures.iter().take(5).collect::<Vec<_>>()
    );
    if damages >= DAMAGES {
        let least = damages / 100;
        assert!([total.refused, total.unharmed, total.lacking].iter().all(|it| *it > least), "{total:?}");
    }
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self {
            damages: self.damages + other.damages,
            refused: self.refused + other.refused,
            unharmed: self.unharmed + other.unharmed,
            lacking: self.lacking + other.lacking,
            blurred: self.blurred + other.blurred,
            failures: [self.failures, other.failures].concat(),
        }
    }
}

impl Base {
    /// Closed or killed, with many small files, or with few.
    fn new(number: u64) -> Self {
        let config = StoreConfig {
            root_dir: PathBuf::from(ROOT),
            mapped_file_size_commit_log: if number & 1 == 0 { 1_000 } else { 4_000 },
            mapped_file_size_consume_queue: if number & 2 == 0 { 200 } else { 2_000 },
            ..StoreConfig::default()
        };
        let mut chance = Chance::new(number);
        let (machine, clock) = (Machine::new(), Clock::standing_at(START_MS));
        let running = open(&config, &clock, machine.boot()).expect("it opens");
        for step in 0..48 {
            // What only the beginning of the log has is not read at the next start.
            let topic = if step < 16 { ["Early", "A"][step % 2] } else { ["A", "B", "%RETRY%g"][step % 3] };
            append(&running, &mut chance, topic);
            clock.jump(7);
            if step % 16 == 15 {
                settle(&running, step as i64);
            }
        }
        if number & 4 == 0 {
            running.store.close().expect("it closes");
        }
        let (stored, ends) = everything(&running.store);
        machine.kill();
        Self { machine, config, stored, ends }
    }

    /// What was delivered after the start is what waited.
    fn check_deliveries(&self, before: &Stored, after: &Stored) {
        let body = |record: &[u8]| Record::parse(record).expect("a record").body.to_vec();
        let waiting = self.stored.iter().filter(|((topic, ..), _)| topic == SCHEDULE_TOPIC);
        let waiting: Vec<_> = waiting.map(|(_, record)| body(record)).collect();
        for (place, record) in after.iter().filter(|(place, _)| !before.contains_key(*place)) {
            assert!(waiting.contains(&body(record)), "{place:?} was delivered and is {record:?}");
        }
    }

    /// Whether it is a message whose record names another queue now: nothing else could tell where it belongs.
    fn is_elsewhere(&self, there: &[u8], damage: &Damage) -> bool {
        let there = Record::parse(there).expect("a record");
        self.stored.values().any(|sent| {
            let record = Record::parse(sent).expect("what was stored");
            let is_it = record.physical_offset == there.physical_offset && record.body == there.body;
            is_it && damage.hits(&record, |at| names_its_queue(&record).iter().any(|it| it.contains(&at)))
        })
    }
}

fn append(running: &Running, chance: &mut Chance, topic: &str) {
    let known = running.topics.find_or_create(topic, 2, 0);
    let queue_id = if topic == "A" { chance.below(2) as i32 } else { 0 };
    let body: Vec<u8> = (0..chance.below(200)).map(|_| chance.below(256) as u8).collect();
    let schedule = ByteString::from(SCHEDULE_TOPIC);
    let properties = format!("REAL_TOPIC\u{1}{topic}\u{2}REAL_QID\u{1}{queue_id}\u{2}DELAY\u{1}2\u{2}");
    let stored = running.store.append(match chance.one_in(6) {
        true => NewMessage { properties: &properties, ..message(&schedule, 1, &body) },
        false => message(&known.name, queue_id, &body),
    });
    stored.expect("it is stored");
}

/// Saves what the broker saves now and then.
fn settle(running: &Running, offset: i64) {
    running.offsets.commit(GROUP, "A", 0, offset / 10).expect("a name");
    running.schedule.deliver_due(&running.store, &running.topics, START_MS + 20_000);
    running.offsets.persist(|| running.store.make_safe());
    running.schedule.persist(|| running.store.make_safe());
    flush::flush_queues(&running.store.inner, true).expect("they are flushed");
}

/// All messages that pulls bring, and where the queues end.
fn everything(store: &MessageStore) -> (Stored, BTreeMap<(String, i32), i64>) {
    let (mut stored, mut ends) = (Stored::new(), BTreeMap::new());
    for queue in store.inner.queues.all() {
        let (topic, queue_id) = (queue.topic.to_string(), queue.queue_id);
        ends.insert((topic.clone(), queue_id), queue.max());
        let mut next = queue.min();
        while next < queue.max() {
            let pulled = store.pull(&topic, queue_id, next, 32, 1 << 20, &super::super::all);
            for record in whole_records(&pulled.body) {
                let offset = Record::parse(&record).expect("a record").queue_offset;
                let twice = stored.insert((topic.clone(), queue_id, offset), record);
                assert_eq!(twice, None, "{topic} {queue_id} {offset} comes twice");
            }
            assert!(pulled.next_begin_offset > next, "{topic} {queue_id} does not go on at {next}");
            next = pulled.next_begin_offset;
        }
    }
    (stored, ends)
}

fn whole_records(body: &Bytes) -> Vec<Vec<u8>> {
    let (mut records, mut rest) = (Vec::new(), &body[..]);
    while !rest.is_empty() {
        let record = Record::parse(rest).expect("an answer is records");
        let (whole, behind) = rest.split_at(record.encoded_len());
        records.push(whole.to_vec());
        rest = behind;
    }
    records
}

fn endure(bases: &[Base], seed: u64) -> Tally {
    let mut chance = Chance::new(seed);
    let base = &bases[chance.below(bases.len() as u64) as usize];
    let machine = base.machine.copy();
    let damage = Damage::new(&machine, &mut chance);
    catch_unwind(AssertUnwindSafe(|| check(base, &machine, &damage, &mut chance))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.unwrap_or_default();
        let failure = format!("STORE_SEED={seed} STORE_DAMAGES=1: {damage:?}: {text}");
        Tally { failures: vec![failure], ..Tally::default() }
    })
}

impl Damage {
    fn new(machine: &Machine, chance: &mut Chance) -> Self {
        let files = machine.files();
        let path = loop {
            let kind = KINDS[chance.below(KINDS.len() as u64) as usize];
            let of_kind: Vec<_> = files.iter().filter(|path| path.to_string_lossy().contains(kind)).collect();
            if !of_kind.is_empty() {
                break of_kind[chance.below(of_kind.len() as u64) as usize].clone();
            }
        };
        let mut damage = Self { path, flipped: Vec::new(), cut_at: None };
        machine.tamper(&damage.path, |bytes| {
            let len = bytes.len() as u64;
            if len == 0 || chance.one_in(4) {
                bytes.truncate(chance.below(len) as usize);
                damage.cut_at = Some(bytes.len());
                return;
            }
            for _ in 0..if chance.one_in(4) { 1 + chance.below(8) } else { 1 } {
                // Most of a file is often a hole.
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(len, |at| at as u64 + 1);
                let within = if chance.one_in(8) { len } else { used };
                let at = chance.below(within) as usize;
                bytes[at] ^= 1 << chance.below(8);
                damage.flipped.push(at);
            }
        });
        damage
    }

    /// Whether a difference may be there: the bytes lie where no checksum covers them.
    fn may_blur(&self, stored: &Record<'_>, at: usize) -> bool {
        self.hits(stored, |hit| hit == at) && uncovered(stored).iter().any(|range| range.contains(&at))
    }

    /// Whether bits of a record were flipped at such a place in it.
    fn hits(&self, stored: &Record<'_>, such: impl Fn(usize) -> bool) -> bool {
        let file_start = self.path.file_name().and_then(|name| name.to_str()?.parse::<usize>().ok());
        let Some(start) = file_start.filter(|_| is_in(&self.path, "commitlog")) else { return false };
        let in_record =
            self.flipped.iter().filter_map(|it| (start + it).checked_sub(stored.physical_offset as usize));
        in_record.filter(|at| *at < stored.encoded_len()).any(such)
    }
}

fn is_in(path: &Path, dir: &str) -> bool {
    path.starts_with(Path::new(ROOT).join(dir))
}

/// The parts of a record that no checksum covers, and that nothing else says.
fn uncovered(record: &Record<'_>) -> [Range<usize>; 3] {
    let end = record.encoded_len();
    // Flag; sysFlag, times, hosts and counters (of IPv4 hosts).
    [16..20, 36..84, end - record.properties.len()..end]
}

/// The parts of a record that say which queue's message it is.
fn names_its_queue(record: &Record<'_>) -> [Range<usize>; 3] {
    let topic_end = record.encoded_len() - record.properties.len() - 2;
    [12..16, 20..28, topic_end - record.topic.len()..topic_end]
}

fn check(base: &Base, machine: &Machine, damage: &Damage, chance: &mut Chance) -> Tally {
    let mut tally = Tally { damages: 1, ..Tally::default() };
    let words = Arc::new(AtomicU64::new(0));
    let (found, ends) = tracing::subscriber::with_default(Ear(Arc::clone(&words)), || {
        let config = StoreConfig { truncate_damaged_log: chance.one_in(2), ..base.config.clone() };
        let clock = Clock::standing_at(START_MS + 1_000_000);
        let running = match open(&config, &clock, machine.boot()) {
            Ok(running) => running,
            Err(error) => {
                assert!(error.to_string().len() > 20, "a refusal says why: {error}");
                tally.refused = 1;
                return (base.stored.clone(), base.ends.clone());
            }
        };
        for ((topic, queue_id), end) in &base.ends {
            let committed = running.offsets.query(GROUP, topic, *queue_id).unwrap_or_default();
            assert!((0..=*end).contains(&committed), "{topic} {queue_id}: {committed} of {end}");
        }
        for (queue_id, next) in running.schedule.reached() {
            let end = running.store.max_offset(SCHEDULE_TOPIC, queue_id);
            assert!((0..=end).contains(&next), "delivery goes on at {next} of {end} in {queue_id}");
        }
        let found = everything(&running.store);
        if is_in(&damage.path, "commitlog") || is_in(&damage.path, "consumequeue/SCHEDULE_TOPIC_XXXX") {
            while running.schedule.deliver_due(&running.store, &running.topics, clock.now_ms()) {}
            base.check_deliveries(&found.0, &everything(&running.store).0);
        }
        found
    });
    let mut lacks_something = false;
    for (place, sent) in &base.stored {
        let Some(there) = found.get(place) else {
            lacks_something = true;
            continue;
        };
        if there != sent {
            let record = Record::parse(sent).expect("what was stored");
            let differ = sent.iter().zip(there).enumerate().filter(|(_, (a, b))| a != b);
            let only_blurred = differ.map(|(at, _)| at).all(|at| damage.may_blur(&record, at));
            assert!(sent.len() == there.len() && only_blurred, "{place:?} is {there:?}, not {sent:?}");
            tally.blurred = 1;
        }
    }
    let lacks_an_end = base.ends.iter().any(|(queue, end)| ends.get(queue).is_none_or(|there| there < end));
    let said = words.load(Ordering::Relaxed);
    for (place, there) in &found {
        let is_known = base.stored.contains_key(place) || base.is_elsewhere(there, damage) && said > 0;
        assert!(is_known, "{place:?} was never sent");
    }
    let missing = || base.stored.keys().filter(|place| !found.contains_key(*place)).collect::<Vec<_>>();
    let is_silent = said == 0 && (lacks_something || lacks_an_end);
    assert!(!is_silent, "{:?} are missing, and nobody says so; ends: {ends:?} of {:?}", missing(), base.ends);
    tally.lacking = u64::from(lacks_something);
    tally.unharmed = u64::from(!lacks_something && tally.refused == 0);
    tally
}

/// Counts what someone should look at.
struct Ear(Arc<AtomicU64>);

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &tracing::Event<'_>) {
        if *event.metadata().level() <= Level::WARN {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
