//! Enhanced fan-out as a planned move: what it brings, and that no record is skipped whatever goes wrong.
//!
//! `FAN_OUT_RUNS=500 cargo test --test it fan_out::storm` plays all seeds; `FAN_OUT_SEED=17` plays one and tells.

pub mod moves;
mod play;
mod scenario;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// So many are played without being asked for more.
const RUNS: u64 = 84;
const THREADS: usize = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Faults and a crash at any request of a move, both ways: every record is delivered at least once, in order for each
/// key except for what is declared as read again, and exactly one mapping remains.
#[test]
fn storm() {
    if let Some(seed) = number("FAN_OUT_SEED") {
        let played = play::play(&scenario::of(seed));
        eprintln!("{}\n{:#?}", played.log.join("\n"), played.tally);
        assert!(played.broken.is_empty(), "seed {seed}: {:#?}", played.broken);
        return;
    }
    let (from, runs) = (number("FAN_OUT_FROM").unwrap_or(0), number("FAN_OUT_RUNS").unwrap_or(RUNS));
    let next = AtomicU64::new(from);
    let failures: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let met: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + runs {
                        break;
                    }
                    let scenario = scenario::of(seed);
                    let Ok(played) = catch_unwind(AssertUnwindSafe(|| play::play(&scenario))) else {
                        failures.lock().unwrap().push(format!("FAN_OUT_SEED={seed}: it panicked"));
                        continue;
                    };
                    let lines =
                        played.broken.iter().map(|line| format!("FAN_OUT_SEED={seed} {:?}: {line}", scenario.kind));
                    failures.lock().unwrap().extend(lines);
                    let mut met = met.lock().unwrap();
                    played.tally.into_iter().for_each(|(what, times)| *met.entry(what).or_default() += times);
                }
            });
        }
    });
    let (failures, met) = (failures.into_inner().unwrap(), met.into_inner().unwrap());
    eprintln!("{runs} moves met {met:#?}");
    assert!(failures.is_empty(), "{} rules broken in {runs} runs:\n{}", failures.len(), failures.join("\n"));
    for what in
        ["crashes", "stores lost", "moves undone", "records read again", "moved to EnhancedFanOut", "moved to Shared"]
    {
        assert!(runs < RUNS || met.get(what).is_some_and(|times| *times > 0), "{runs} runs never met {what}");
    }
}
