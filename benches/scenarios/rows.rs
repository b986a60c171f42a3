//! The rows: scenarios with their worlds and specs, and traces at their peaks.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use alleycat_operator::{
    simulate::{
        Costs, Trace, first_hour,
        scenarios::{HELD_OUT_TRACES, SCENARIOS, Scenario, TRACE_DAYS, TRACE_PEAKS},
        trace_world,
    },
    spec::{self, Pipeline},
    twin::{World, world::Producer},
};
use jiff::SignedDuration;

use super::{Args, shapes};

/// Seconds of a day.
const DAY: u64 = 86_400;
/// Bytes of a record of a trace.
const RECORD_BYTES: u32 = 512;

/// One row of the table.
pub struct Row {
    /// Its name in the table and of its files.
    pub name: String,
    /// Of a scenario.
    pub scenario: Option<&'static Scenario>,
    pub world: World,
    pub pipeline: Pipeline,
    pub length: SignedDuration,
    pub seeds: u64,
    pub held_out: bool,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/benchmark")
}

/// The rows asked for, and the names of those whose trace is not there.
pub fn rows(args: &Args) -> (Vec<Row>, Vec<String>) {
    let wanted = |names: &[&str]| {
        args.only.is_empty() || args.only.iter().any(|only| names.iter().any(|name| only.eq_ignore_ascii_case(name)))
    };
    let (mut rows, mut skipped) = (Vec::new(), Vec::new());
    for scenario in SCENARIOS.iter().filter(|it| wanted(&[it.name, it.row])) {
        match of_scenario(scenario, args.traces.as_deref()) {
            Some(row) => rows.push(row),
            None => skipped.push(scenario.name.to_owned()),
        }
    }
    let own = shapes::shapes().map(|(name, text)| (name.to_owned(), text));
    let traces: BTreeMap<String, String> = args.traces.iter().flat_map(|folder| traces(folder)).chain(own).collect();
    for (name, text) in traces.iter().filter(|(name, _)| wanted(&[name])) {
        rows.extend(TRACE_PEAKS.iter().map(|peak| of_trace(name, text, *peak)));
    }
    for row in &mut rows {
        row.seeds = row.seeds.min(args.seeds.unwrap_or(u64::MAX));
        if args.quick {
            row.seeds = 1;
            row.length = row.length.min(SignedDuration::from_hours(24));
        }
    }
    (rows, skipped)
}

/// The traces of a directory, by name, as their files have them.
fn traces(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("--traces {}: {error}", folder.display()));
    let files = entries.map(|entry| entry.expect("an entry").path());
    let csv = files.filter(|path| path.extension().is_some_and(|extension| extension == "csv"));
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    csv.map(|path| (name(&path), fs::read_to_string(&path).expect("a trace"))).collect()
}

fn pipeline(name: &str) -> Pipeline {
    let text = fs::read_to_string(folder().join(format!("specs/{name}.yaml"))).expect("a spec of the benchmark");
    spec::parse(&text).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"))
}

/// `None` when it replays a trace that is not there.
fn of_scenario(scenario: &'static Scenario, traces: Option<&Path>) -> Option<Row> {
    let text = fs::read_to_string(folder().join(format!("{}.yaml", scenario.name))).expect("a world of the benchmark");
    let missing = std::cell::Cell::new(false);
    let beside = |file: &str| {
        let found = traces.map(|folder| fs::read_to_string(folder.join(file)));
        missing.set(!matches!(found, Some(Ok(_))));
        found.unwrap_or_else(|| Err(std::io::ErrorKind::NotFound.into())).map_err(|error| error.to_string())
    };
    let world = match World::load(&text, beside) {
        Ok(world) => world,
        Err(_) if missing.get() => return None,
        Err(problems) => panic!("{}: {problems:#?}", scenario.name),
    };
    Some(Row {
        name: scenario.name.to_owned(),
        scenario: Some(scenario),
        world,
        pipeline: pipeline(scenario.spec),
        length: SignedDuration::from_hours(i64::from(scenario.hours)),
        seeds: scenario.seeds(),
        held_out: scenario.is_held_out(),
    })
}

fn of_trace(name: &str, text: &str, peak: f64) -> Row {
    let mut trace = Trace::read(name, text, None, peak, RECORD_BYTES).unwrap_or_else(|what| panic!("{name}: {what}"));
    let whole = trace.rows.clone();
    while trace.seconds() < DAY {
        trace.rows.extend(&whole);
    }
    let days = TRACE_DAYS.iter().find(|(it, _)| *it == name).map(|(_, days)| u64::from(*days));
    let most = days.map_or(trace.seconds(), |days| days * DAY).min(trace.seconds().div_euclid(DAY).max(1) * DAY);
    trace.rows.truncate((most / u64::from(trace.seconds_per_row)) as usize);
    let bare = pipeline("trace");
    let (mut world, _) = trace_world(&trace, &bare, &Costs::default()).unwrap_or_else(|what| panic!("{name}: {what}"));
    for producer in &mut world.producers {
        if let Producer::Trace { ramp, .. } = producer {
            *ramp = true;
        }
    }
    let pipeline = first_hour(&bare, &world, 1).unwrap_or_else(|failure| panic!("{name}: {failure}"));
    Row {
        name: format!("{name}-{peak:.0}"),
        scenario: None,
        length: SignedDuration::from_secs(trace.seconds() as i64 / 3_600 * 3_600),
        world,
        pipeline,
        seeds: 1,
        held_out: HELD_OUT_TRACES.contains(&name),
    }
}
