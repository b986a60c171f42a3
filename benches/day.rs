//! How fast the whole operator is: a simulated day of 16 shards through the real SDK, and one decision.
//! `cargo bench --bench day`

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench reads the clock, and its output is its purpose"
)]

use std::{hint::black_box, time::Instant};

use alleycat_operator::{
    aws::Allow,
    daemon::{self, Mode},
    memory::Memory,
    scale,
    simulate::{Cell, Policy, Stage, on_virtual_time},
    spec::{self, Pipeline},
    twin::World,
};
use jiff::SignedDuration;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seconds on one core that issue 5 allows a day.
const DAY_GOAL: f64 = 5.0;
/// Microseconds that it allows a decision.
const DECISION_GOAL: f64 = 100.0;
const DECISIONS: u32 = 5_000;
/// Minutes that the memory of the decision looks back on: the windows of the shards are full.
const REMEMBERED: u32 = 240;

const SPEC: &str = "
apiVersion: alleycat.dev/v1alpha1
kind: Pipeline
metadata: {name: day}
spec:
  region: us-east-2
  stream: {name: events, shards: {min: 16, max: 32, initial: 16}}
  consumers:
    - {name: writer, function: event-writer, parallelizationFactor: {min: 1, max: 10, initial: 3}, batchSize: 500,
       startingPosition: TRIM_HORIZON, writesTo: [items]}
  tables:
    - {name: items, partitionKey: 'PK:S', writeCapacity: {min: 50, max: 40000, initial: 5000}, readCapacity: 5}
  objectives: {iteratorAge: 300s}
";

/// Traffic that swings between a quarter and three quarters of what 16 shards take at the operator's own target.
const WORLD: &str = "
apiVersion: alleycat.dev/v1alpha1
kind: World
name: day
start: 2026-03-02T00:00:00Z
stepMs: 1000
functions:
  event-writer:
    timeoutSeconds: 60
    memoryMb: 512
    perRecordUs: 4000
    tables:
      - {table: items, per: record, latencyMs: 0, recordsPerRequest: 100,
         operations: [{kind: put, key: item, keyPerRecord: true, itemBytes: 512}]}
producers:
  - {kind: wave, stream: events, recordBytes: 512, low: 2500, high: 7500, periodSeconds: 86400, periods: 1}
";

/// Seconds this thread has had a processor (Linux), or real ones.
fn used(begun: Instant) -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = text.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| begun.elapsed().as_secs_f64(), |it| it / 1e9)
}

fn day(pipeline: &Pipeline, world: &World) {
    let cell = Cell {
        pipeline: pipeline.clone(),
        policy: Policy::Operator(Box::new(spec::policy::builtin("balanced").unwrap())),
        world: world.clone(),
        seed: 1,
        length: SignedDuration::from_hours(24),
        warm_up: SignedDuration::from_hours(1),
    };
    let begun = Instant::now();
    let before = used(begun);
    let run = cell.play().expect("the day ends");
    let seconds = used(begun) - before;
    let calls: u64 = run.calls.values().sum();
    println!(
        "a day of 16 shards: {seconds:.2} s of processor ({:.2} s), {calls} SDK calls, goal {DAY_GOAL} s",
        begun.elapsed().as_secs_f64()
    );
}

/// One decision, diagnosis and sizing, on what the last pass of some hours saw and with the memory it had then.
fn decision(pipeline: &Pipeline, world: &World) {
    let policy = spec::policy::builtin("balanced").unwrap();
    let stage = Stage::new(world, 1);
    let mut memory = Memory::empty();
    let report = on_virtual_time(1, async {
        stage.provision(pipeline, &policy, &mut memory).await?;
        let aws = stage.connect(Allow::Autoscale).await?;
        let mut report = None;
        for _ in 0..REMEMBERED {
            stage.clock.sleep(SignedDuration::from_mins(1)).await;
            let (store, prices) = (&stage.store, &stage.prices);
            report = Some(daemon::cycle(&aws, store, &mut memory, pipeline, &policy, prices, Mode::Observe).await);
        }
        Ok(report)
    });
    let report = report.expect("the passes end").expect("a pass");
    let (facts, signals) = (report.facts.unwrap(), report.signals.unwrap());
    let now = report.at + SignedDuration::from_mins(1);
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..DECISIONS {
        let mut memory = memory.clone();
        let begun = Instant::now();
        black_box(scale::decide(pipeline, &policy, &stage.prices, &facts, &signals, &mut memory, now));
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let (middle, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("one decision: median {middle:.1} us, 99 of 100 within {most:.1} us, goal {DECISION_GOAL} us");
}

fn main() {
    let pipeline = spec::parse(SPEC).expect("a spec");
    let world = World::parse(WORLD).expect("a world");
    day(&pipeline, &world);
    decision(&pipeline, &world);
}
