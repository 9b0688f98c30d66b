//! Whole lives of stores on a machine that loses its power.

mod chance;
mod damage;
mod life;
mod machine;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::super::checkpoint::Checkpoint;
use super::super::fs::make_dirs;
use chance::Chance;
use life::{ROOT, START_MS};
use machine::Machine;

/// How many lives `cargo test` lives; `STORE_LIVES` says otherwise, and `STORE_SEED` with which seed they begin.
const LIVES: u64 = 1_000;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a whole number"))
}

/// Nothing acknowledged is missing, no offset passes the log, no queue offset is given twice, and what is read is what
/// was sent, whatever the power does.
#[test]
fn a_store_keeps_its_promises_through_losses_of_power() {
    let first = from_environment("STORE_SEED").unwrap_or(1);
    let lives = from_environment("STORE_LIVES").unwrap_or(LIVES);
    let total = for_each_seed(first, lives, live, life::Tally::plus);
    println!("{lives} lives from seed {first}: {total:?}");
    if lives >= LIVES {
        assert!(total.power_losses > lives && total.kept_messages > 10 * lives, "{total:?}");
    }
}

/// Without one recovery would not know what may be torn.
#[test]
fn a_loss_of_power_leaves_the_old_checkpoint_or_the_new_one() {
    let root = Path::new(ROOT);
    let checkpoint = |of: i64| Checkpoint {
        log_timestamp: START_MS + 1_000 * of,
        queues_timestamp: START_MS + 999 * of,
        safe_offset: Some(of),
    };
    for (seed, changes) in (1..=20).flat_map(|seed| (1..10).map(move |changes| (seed, changes))) {
        let machine = Machine::new();
        let fs = machine.boot();
        make_dirs(&*fs, root).unwrap();
        checkpoint(1).write(&*fs, root).unwrap();
        machine.power_fails_after(changes);
        // It fails, unless the power holds long enough.
        let written = checkpoint(2).write(&*fs, root);
        machine.lose_power(&mut Chance::new(seed));
        let read = Checkpoint::read(&*machine.boot(), root).unwrap();
        let fits = read == checkpoint(2) || (written.is_err() && read == checkpoint(1));
        assert!(fits, "after {changes} changes, seed {seed}: {written:?}, {read:?}");
    }
}

/// Runs something with each of the seeds, on all cores, and adds up what comes out.
fn for_each_seed<T: Default + Send>(
    first: u64,
    count: u64,
    each: impl Fn(u64) -> T + Sync,
    plus: impl Fn(T, T) -> T + Sync,
) -> T {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    std::thread::scope(|scope| {
        let (each, plus) = (&each, &plus);
        let run = |thread| {
            move || {
                let seeds = (first..first + count).filter(move |seed| seed % threads == thread);
                seeds.map(each).fold(T::default(), plus)
            }
        };
        let runs: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
        runs.into_iter().map(|run| run.join().expect("all is in order")).fold(T::default(), plus)
    })
}

fn live(seed: u64) -> life::Tally {
    catch_unwind(AssertUnwindSafe(|| life::live(seed))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        panic!("STORE_SEED={seed} STORE_LIVES=1: {}", text.unwrap_or_default())
    })
}
