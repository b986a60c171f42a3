//! The benchmark's files: every scenario of the table has its world and its spec, and a variant differs from what it
//! varies only in what it says.

use std::{collections::BTreeSet, fs, path::PathBuf};

use alleycat_operator::{
    simulate::{
        demand::{slot_rate, units},
        scenarios::{HELD_OUT_TRACES, SCENARIOS, Scenario, TRACE_DAYS},
    },
    spec::{self, Pipeline},
    twin::{World, world::Producer},
};
use jiff::SignedDuration;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/benchmark")
}

/// A world; a trace that it names is two rows here.
fn world(name: &str) -> World {
    let text = fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap();
    let stand_in = |_: &str| Ok(format!("t_s,rate_per_s\n{}", "0,1\n".repeat(30_000)));
    let world = World::load(&text, stand_in).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
    assert_eq!(world.name, name);
    world
}

fn pipeline(name: &str) -> Pipeline {
    let text = fs::read_to_string(folder().join(format!("specs/{name}.yaml"))).unwrap();
    spec::parse(&text).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"))
}

fn names(folder: PathBuf) -> BTreeSet<String> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn the_table_and_the_files_name_the_same_scenarios() {
    let table: BTreeSet<String> = SCENARIOS.iter().map(|it| it.name.to_owned()).collect();
    assert_eq!(table.len(), SCENARIOS.len(), "no name stands there twice");
    assert_eq!(table, names(folder()));
    let mut specs: BTreeSet<String> = SCENARIOS.iter().map(|it| it.spec.to_owned()).collect();
    specs.insert("trace".to_owned());
    assert_eq!(specs, names(folder().join("specs")));
    let rows: BTreeSet<&str> = SCENARIOS.iter().map(|it| it.row).collect();
    assert_eq!(rows.len(), 13, "{rows:?}");
    let held_out: BTreeSet<&str> = SCENARIOS.iter().filter(|it| it.is_held_out()).map(|it| it.row).collect();
    assert_eq!(held_out, BTreeSet::from(["S10", "S3", "S6"]));
    assert_eq!(HELD_OUT_TRACES.len(), 3);
}

#[test]
fn every_world_is_the_calibration_of_the_study() {
    for scenario in SCENARIOS {
        let (world, pipeline) = (world(scenario.name), pipeline(scenario.spec));
        assert!((slot_rate(&world, &pipeline) - 250.0).abs() < 1e-9, "{}", scenario.name);
        assert!((pipeline.objectives.iterator_age.as_secs() - 300).abs() == 0, "{}", scenario.name);
        let units = units(&world, &pipeline);
        assert!((units["table/results"].unwrap().write - 1.0).abs() < 1e-12, "{}: one unit a record", scenario.name);
        assert!(world.producers.iter().all(|it| it.record_bytes() == 512), "{}", scenario.name);
        assert_eq!(world.step_ms, 1_000, "{}", scenario.name);
        assert!(i64::from(scenario.trouble_hour) >= 1 && scenario.trouble_hour < scenario.hours);
        assert!(SignedDuration::from_hours(scenario.hours.into()) >= SignedDuration::from_hours(24));
    }
    let units = units(&world("s13"), &pipeline("s13"));
    for (index, share) in [("every", 1.0), ("some", 0.3), ("few", 0.05)] {
        assert!((units[&format!("table/results/index/{index}")].unwrap().write - share).abs() < 1e-12, "{index}");
    }
}

#[test]
fn a_variant_differs_only_in_what_it_says() {
    let same = |variant: &str, base: &str, without: &dyn Fn(&mut World)| {
        let (mut one, mut other) = (world(variant), world(base));
        without(&mut one);
        without(&mut other);
        other.name.clone_from(&one.name);
        assert_eq!(one, other, "{variant} against {base}");
    };
    for base in ["s4", "s5"] {
        for used in [6, 9] {
            let name = format!("s10-{base}-{used}");
            same(&name, base, &|world| world.streams.clear());
            let own = &world(&name).streams[0];
            assert_eq!(own.reshards_minutes_ago.len(), used);
            assert_eq!(own.tags["alleycat.dev/reshards"].split(' ').count(), used);
            assert_eq!(own.tags["alleycat.dev/pipeline"], pipeline(base).name);
            assert_eq!(own.shards, pipeline(base).stream.shards.initial.get());
        }
        same(&format!("s11-{base}"), base, &|world| world.faults.clear());
        for delay in [60, 120, 180, 300] {
            let name = format!("s12-{base}-{delay}");
            assert!((world(&name).timings.metric_delay - f64::from(delay)).abs() < 1e-12);
            same(&name, base, &|world| world.timings.metric_delay = 0.0);
        }
    }
    same("s9", "s1", &|world| world.metric_outages.clear());
    same("s9-step", "s4", &|world| world.metric_outages.clear());
    for (long, short) in [("s3-ten-days", "s3"), ("s5-nine-days", "s5")] {
        let whole = world(short);
        let hours = SCENARIOS.iter().find(|it| it.name == short).unwrap().hours;
        same(long, short, &|world| {
            for producer in &mut world.producers {
                if let Producer::Rate { points, .. } = producer {
                    points.retain(|point| point.at_seconds < hours * 3_600);
                }
            }
        });
        assert_ne!(world(long).producers, whole.producers);
    }
}

#[test]
fn the_ledger_of_used_calls_is_the_calls_that_were_used() {
    for name in SCENARIOS.iter().filter(|it| it.row == "S10").map(|it: &Scenario| it.name) {
        let world = world(name);
        let stream = &world.streams[0];
        let stamps: Vec<i64> = stream.tags["alleycat.dev/reshards"]
            .split(' ')
            .map(|stamp| i64::from_str_radix(stamp, 36).unwrap())
            .collect();
        let used: Vec<i64> =
            stream.reshards_minutes_ago.iter().map(|ago| world.start.as_second() / 60 - i64::from(*ago)).collect();
        assert_eq!(stamps, used, "{name}");
    }
    assert!(TRACE_DAYS.iter().all(|(_, days)| *days > 0));
}

/// The traces are other people's data and not part of the repository; where they lie beside it, they fit.
#[test]
fn the_traces_fit_where_they_are() {
    let traces = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/traces");
    if !traces.is_dir() {
        eprintln!("skipped: no {}", traces.display());
        return;
    }
    for scenario in SCENARIOS.iter().filter(|it| ["S1", "S2"].contains(&it.row) || it.name == "s9") {
        let text = fs::read_to_string(folder().join(format!("{}.yaml", scenario.name))).unwrap();
        let beside = |file: &str| fs::read_to_string(traces.join(file)).map_err(|error| error.to_string());
        let world = World::load(&text, beside).unwrap_or_else(|problems| panic!("{}: {problems:#?}", scenario.name));
        let Some(Producer::Trace { rows, seconds_per_row, .. }) = world.producers.first() else { panic!("no trace") };
        let seconds = rows.len() as u64 * u64::from(*seconds_per_row);
        assert_eq!(seconds, u64::from(scenario.hours) * 3_600, "{}", scenario.name);
    }
    let named = HELD_OUT_TRACES.iter().chain(TRACE_DAYS.iter().map(|(name, _)| name));
    for name in named.filter(|name| !name.starts_with("own_")) {
        assert!(traces.join(format!("{name}.csv")).is_file(), "no trace {name}");
    }
}
