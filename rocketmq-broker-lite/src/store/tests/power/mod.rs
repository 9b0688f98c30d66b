//! Whole lives of stores on a machine that loses its power.

mod chance;
mod life;
mod machine;

use std::panic::{AssertUnwindSafe, catch_unwind};

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
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let mut total = life::Tally::default();
    std::thread::scope(|scope| {
        let run = |thread| {
            move || {
                let seeds = (first..first + lives).filter(move |seed| seed % threads == thread);
                seeds.map(live).fold(life::Tally::default(), life::Tally::plus)
            }
        };
        let runs: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
        for run in runs {
            total = total.plus(run.join().expect("every life is in order"));
        }
    });
    println!("{lives} lives from seed {first}: {total:?}");
    if lives >= LIVES {
        assert!(total.power_losses > lives && total.kept_messages > 10 * lives, "{total:?}");
    }
}

fn live(seed: u64) -> life::Tally {
    catch_unwind(AssertUnwindSafe(|| life::live(seed))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        panic!("STORE_SEED={seed} STORE_LIVES=1: {}", text.unwrap_or_default())
    })
}
