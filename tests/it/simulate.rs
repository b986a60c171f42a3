//! Whole runs of small worlds: what each policy is worth, and that a run is what it says.

use std::process::{Command, Output};

use alleycat_operator::{
    cost::PriceSheet,
    model::{Bounds, ShardCount},
    simulate::{Cell, Measures, Policy, Run, demand_of, play_all},
    spec::{self, Pipeline},
    twin::World,
};
use jiff::SignedDuration;
use serde_json::Value;

pub const SPEC: &str = "
apiVersion: alleycat.dev/v1alpha1
kind: Pipeline
metadata: {name: orders}
spec:
  region: us-east-2
  stream: {name: orders, shards: {min: 1, max: 16, initial: 2}}
  consumers:
    - name: writer
      function: order-writer
      parallelizationFactor: {min: 1, max: 10, initial: 3}
      startingPosition: TRIM_HORIZON
      writesTo: [orders]
  tables:
    - name: orders
      partitionKey: PK:S
      writeCapacity: {min: 50, max: 20000, initial: 1000}
      readCapacity: {min: 5, max: 10, initial: 5}
  objectives: {iteratorAge: 300s}
";

/// 700 records a second for an hour, 3,000 for another, then 700 again.
pub const WORLD: &str = "
apiVersion: alleycat.dev/v1alpha1
kind: World
name: step
start: 2026-03-02T00:00:00Z
stepMs: 1000
functions:
  order-writer:
    timeoutSeconds: 60
    memoryMb: 512
    perRecordUs: 4000
    tables:
      - {table: orders, per: record, latencyMs: 0, recordsPerRequest: 25,
         operations: [{kind: put, key: order, keyPerRecord: true, itemBytes: 512}]}
producers:
  - kind: rate
    stream: orders
    recordBytes: 512
    points:
      - {atSeconds: 0, recordsPerSecond: 700}
      - {atSeconds: 3600, recordsPerSecond: 3000}
      - {atSeconds: 7200, recordsPerSecond: 700}
";

fn pipeline() -> Pipeline {
    spec::parse(SPEC).unwrap()
}

fn cell(policy: Policy) -> Cell {
    Cell {
        pipeline: pipeline(),
        policy,
        world: World::parse(WORLD).unwrap(),
        seed: 1,
        length: SignedDuration::from_hours(3),
        warm_up: SignedDuration::from_mins(30),
    }
}

fn operator() -> Policy {
    Policy::Operator(Box::new(spec::policy::builtin("balanced").unwrap()))
}

fn measures(cell: &Cell, run: &Run) -> Measures {
    let demand = demand_of(cell, run).unwrap();
    Measures::of(run, &cell.pipeline, &PriceSheet::us_east_1(), Some(&demand))
}

#[test]
fn static_sizes_are_what_they_say_and_ours_lies_between_them() {
    let cells: Vec<Cell> = [Policy::StaticFirstHour, Policy::StaticPeak, operator()].map(cell).into();
    let runs: Vec<Run> = play_all(&cells, 2).into_iter().map(Result::unwrap).collect();
    let [first_hour, peak, ours] = [0, 1, 2].map(|at| measures(&cells[at], &runs[at]));
    assert_eq!((first_hour.minutes, peak.violation_minutes.total), (150, 0));
    assert!(first_hour.violation_minutes.total > 50, "a third of the load is there: {first_hour:?}");
    assert_eq!((peak.records.rejected, peak.operations.len()), (0, 0), "nothing scales");
    assert!(first_hour.cost.scaled_usd < ours.cost.scaled_usd && ours.cost.scaled_usd < peak.cost.scaled_usd);
    assert!(ours.violation_minutes.total < 15, "{ours:?}");
    assert!(ours.operations["kinesis:UpdateShardCount"] > 0);
    assert_eq!((ours.quota_refusals, ours.out_of_bounds, ours.records.expired, ours.records.reread), (0, 0, 0, 0));
    assert!(ours.diagnoses.iter().any(|it| it.code == "INGEST_SHORT" && it.resource == "stream/orders"), "{ours:?}");
    // Two thirds of the peak's size is idle two thirds of the time; the bound is never beaten.
    for one in [&first_hour, &peak, &ours] {
        assert_eq!(one.records.offered, peak.records.offered, "every policy meets the same load");
        assert_eq!(one.records.accepted + one.records.rejected, one.records.offered);
    }
    assert!(peak.cost.ratio_to_clairvoyant.unwrap() > 1.5 && ours.cost.ratio_to_clairvoyant.unwrap() > 1.0);
    assert!(peak.elasticity["shards"].over_accuracy > ours.elasticity["shards"].under_accuracy);
}

#[test]
fn a_minute_tells_what_the_twin_did() {
    let run = cell(Policy::StaticPeak).play().unwrap();
    let quiet = &run.minutes[50];
    assert_eq!((quiet.offered, quiet.accepted, quiet.rejected), (42_000, 42_000, 0));
    assert_eq!(quiet.offered_bytes, 42_000 * 512);
    // 3,000 records a second take 80 % of 4 shards, and 4 ms a record of 12 slots.
    let busy = &run.minutes[90];
    assert_eq!((busy.shards, busy.slots), (4, 16));
    assert!((busy.busy_slots - 12.0).abs() < 0.5, "{busy:?}");
    let sink = &busy.sinks["table/orders"];
    assert!((sink.written - 180_000.0).abs() < 1_000.0 && !sink.on_demand && sink.throttled == 0, "{sink:?}");
    assert!((3_700..3_800).contains(&sink.write_capacity), "{sink:?}");
}

#[test]
fn a_short_table_lets_records_age_and_the_minutes_see_it_without_metrics() {
    let mut short = cell(Policy::StaticFirstHour);
    short.pipeline.stream.shards = Bounds::pinned(ShardCount(4));
    let run = short.play().unwrap();
    // The stream takes everything, the table a third of it: the backlog grows for an hour.
    let ages: Vec<f64> = [70, 90, 110].map(|minute: usize| run.minutes[minute].max_age_ms).into();
    assert!(ages[0] < ages[1] && ages[1] < ages[2] && ages[2] > 600_000.0, "{ages:?}");
}

#[test]
fn on_demand_pays_by_request_and_not_by_the_hour() {
    let on_demand = cell(Policy::OnDemand);
    let run = on_demand.play().unwrap();
    let found = measures(&on_demand, &run);
    let usd = |item: &str| found.cost.by_item[item];
    assert!(usd("Kinesis shard-hours") < 1e-9 && usd("DynamoDB WCU-hours") < 1e-9, "{:?}", found.cost);
    assert!((usd("Kinesis on-demand stream-hours") - 2.5 * 0.04).abs() < 0.001, "{:?}", found.cost);
    // A record of 512 B is billed as 1 KB in and as 512 B out.
    let accepted = found.records.accepted as f64;
    assert!((usd("Kinesis on-demand GB in") - accepted / 1_048_576.0 * 0.08).abs() < 0.001);
    assert!((usd("Kinesis on-demand GB out") - accepted / 2_097_152.0 * 0.04).abs() < 0.001);
    let written: f64 = run.counted().map(|minute| minute.sinks["table/orders"].written).sum();
    assert!((usd("DynamoDB write request units") - written * 0.625e-6).abs() < 0.001);
    assert!(run.minutes[60].sinks["table/orders"].on_demand);
}

#[test]
fn every_other_tool_raises_what_is_short() {
    let tools = [Policy::TargetTracking, Policy::AwsSamples, Policy::ScalingVotes, Policy::LagProportional];
    let cells: Vec<Cell> = tools.map(cell).into();
    for (cell, run) in cells.iter().zip(play_all(&cells, 2)) {
        let (name, run) = (cell.policy.name(), run.unwrap());
        let found = measures(cell, &run);
        assert!(run.minutes[59].shards < 4 && run.minutes[119].shards >= 4, "{name}: {:?}", run.changes);
        let written = |minute: usize| run.minutes[minute].sinks["table/orders"].write_capacity;
        assert!(written(119) > written(59), "{name}: Application Auto Scaling tracks the table");
        assert_eq!(found.out_of_bounds, 0, "{name}");
        assert!(found.diagnoses.is_empty() && !run.timeline.is_empty(), "{name}");
    }
}

fn simulate(arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("spec.yaml", SPEC), ("world.yaml", WORLD), ("load.csv", "t_s,rate\n0,1\n1800,4\n3600,1\n")] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    Command::new(env!("CARGO_BIN_EXE_alleycat-operator"))
        .current_dir(directory.path())
        .env_remove("ALLEYCAT_OUTPUT")
        .args(["simulate", "spec.yaml"])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn the_document_is_the_same_in_every_run_and_the_time_goes_to_stderr() {
    let arguments =
        ["--world", "world.yaml", "--hours", "2", "--policy", "operator", "--policy", "staticPeak", "--output", "json"];
    let (first, second) = (simulate(&arguments), simulate(&arguments));
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert_eq!(first.stdout, second.stdout, "the same bytes");
    assert!(String::from_utf8_lossy(&first.stderr).contains("2 runs of 2 h simulated in"));
    let document: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!((&document["spec"], &document["world"]), (&"orders".into(), &"step".into()));
    assert_eq!((&document["seeds"], &document["simulatedSeconds"]), (&1.into(), &7_200.into()));
    for name in ["operator", "staticPeak"] {
        let found = &document["policies"][name];
        for path in [
            "/violationMinutes/total",
            "/violationMinutes/iteratorAge",
            "/violationMinutes/rejected",
            "/maxIteratorAgeSeconds",
            "/records/offered",
            "/records/accepted",
            "/records/rejected",
            "/records/expired",
            "/records/reread",
            "/cost/totalUsd",
            "/cost/byItem/Kinesis shard-hours",
            "/cost/ratioToClairvoyant",
            "/quotaHeadroomMin",
            "/reversals",
            "/awsCalls",
            "/elasticity/shards/deviation",
        ] {
            assert!(found.pointer(path).is_some_and(Value::is_number), "{name} {path}: {found:#}");
        }
    }
    let diagnosis = &document["policies"]["operator"]["diagnoses"][0];
    for key in ["from", "to", "code", "resource"] {
        assert!(diagnosis[key].is_string(), "{diagnosis}");
    }
}

#[test]
fn a_trace_says_what_it_assumes_and_the_table_names_the_better_one() {
    let output = simulate(&[
        "--trace",
        "load.csv",
        "--peak",
        "2000",
        "--hours",
        "2",
        "--policy",
        "staticFirstHour",
        "--policy",
        "careful",
    ]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("250 records/s in a slot") && text.contains("3 rows of 1800 s"), "{text}");
    assert!(text.contains("\ncareful ") && text.contains("\nstaticFirstHour "), "{text}");
    assert!(text.contains("etter than careful"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
}

#[test]
fn a_wrong_command_line_says_what_would_be_right() {
    for (arguments, words) in [
        (vec!["--world", "world.yaml", "--policy", "wizard"], "staticPeak"),
        (vec!["--world", "world.yaml", "--policy", "eager", "--policy", "eager"], "twice"),
        (vec!["--world", "world.yaml", "--hours", "1", "--warm-up", "1h"], "nothing would be counted"),
        (vec!["--trace", "load.csv"], "--peak"),
        (vec![], "--world"),
    ] {
        let output = simulate(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let output = simulate(&["--trace", "none.csv", "--peak", "1"]);
    assert!(!output.status.success() && output.stdout.is_empty());
}
