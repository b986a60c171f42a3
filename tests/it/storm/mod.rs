//! The storm: random worlds, specs, API faults, other hands, crashes and restarts, a thousand seeded runs of 30 to
//! 120 simulated minutes. After each run the rules of the house are checked on AWS's side of the wire.
//!
//! A failing run names its seed. `STORM_SEED=17 cargo test storm` plays that one alone and prints what happened;
//! `STORM_RUNS=50` plays fewer or more; `STORM_FROM=5000` starts at another seed.

mod checks;
pub mod play;
pub mod rng;
mod scenario;
mod story;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use checks::Tally;
use scenario::Scenario;

const RUNS: u64 = 1_000;
const THREADS: usize = 2;
/// So many broken rules are enough to work with: the rest is not played.
const ENOUGH: usize = 20;
/// Every so many runs are played twice: the same seed must give the same bytes.
const TWICE: u64 = 25;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Plays one seed; what is broken, one line each.
fn run(seed: u64, twice: bool, tell: bool) -> (Vec<String>, Tally) {
    let scenario = Scenario::of(seed);
    let played = play::play(&scenario);
    let (mut broken, tally) = checks::all(&scenario, &played);
    if twice {
        let again = play::play(&scenario);
        if again.twin.to_bytes() != played.twin.to_bytes() {
            broken.push("determinism: played twice, the twin's bytes differ".to_owned());
        }
        if again.decisions != played.decisions || again.memory != played.memory {
            broken.push("determinism: played twice, the decisions differ".to_owned());
        }
    }
    if tell {
        eprintln!("{}", story::story(&scenario, &played));
    }
    (broken, tally)
}

/// What a thousand runs must have met, or they prove little.
const MET: [&str; 21] = [
    "shards raised",
    "shards lowered",
    "parallelizationFactor raised",
    "parallelizationFactor lowered",
    "writeCapacity raised",
    "writeCapacity lowered",
    "readCapacity raised",
    "readCapacity lowered",
    "batchSize raised",
    "runs held: blind",
    "runs held: in-transition",
    "runs held: not-the-bottleneck",
    "runs held: quota",
    "runs held: scale-in",
    "runs held: sink-first",
    "stores lost",
    "crashes",
    "acts of others",
    "runs refused",
    "runs with an adopted stream",
    "runs that came to rest in the end",
];

#[test]
fn storm() {
    if let Some(seed) = number("STORM_SEED") {
        let (broken, _) = run(seed, true, true);
        assert!(broken.is_empty(), "seed {seed}:\n  {}", broken.join("\n  "));
        return;
    }
    let (from, runs) = (number("STORM_FROM").unwrap_or(0), number("STORM_RUNS").unwrap_or(RUNS));
    let next = AtomicU64::new(from);
    let failures: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());
    let met: Mutex<Tally> = Mutex::new(Tally::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + runs || failures.lock().unwrap().len() >= ENOUGH {
                        break;
                    }
                    let result = catch_unwind(AssertUnwindSafe(|| run(seed, seed.is_multiple_of(TWICE), false)));
                    let (broken, tally) = result.unwrap_or_else(|_| (vec!["it panicked".to_owned()], Tally::new()));
                    let mut met = met.lock().unwrap();
                    tally.into_iter().for_each(|(what, times)| *met.entry(what).or_default() += times);
                    drop(met);
                    failures.lock().unwrap().extend(broken.into_iter().map(|line| (seed, line)));
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    let lines: Vec<String> = failures.iter().map(|(seed, line)| format!("STORM_SEED={seed}: {line}")).collect();
    let met = met.into_inner().unwrap();
    eprintln!("{runs} runs met {met:#?}");
    assert!(lines.is_empty(), "{} rules broken in {runs} runs:\n{}", lines.len(), lines.join("\n"));
    let missing: Vec<&str> =
        MET.into_iter().filter(|what| runs >= RUNS && met.get(*what).is_none_or(|n| *n < 10)).collect();
    assert!(missing.is_empty(), "{runs} runs hardly met {missing:?}");
}
