//! `simulate`: days of a pipeline in seconds, with the real operator and with what others use instead.
//!
//! The same spec, world, seed and policy give the same bytes on stdout; the time it took goes to stderr.

mod history;
mod text;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::SignedDuration;
use serde::Serialize;
use serde_json::Value;

use super::{
    console::Console,
    errors::CliError,
    exit::Exit,
    globals::{Globals, duration},
    local::{DEFAULT_SEED, load_world},
    render::html::simulation::{self, Shown},
    source::{self, Source, SpecArgs},
};
use crate::{
    aws::Clock,
    cost::PriceSheet,
    simulate::{Cell, Costs, Measures, Policy, Run, Trace, demand::Demand, demand_of, mean, play_all, trace_world},
    spec::{self, ScalingPolicy},
    twin::World,
};

/// Longest simulation.
const MOST_DAYS: u32 = 400;
/// A run at least this long does not count its first hour by default: everything is being created then.
const WARMED: SignedDuration = SignedDuration::from_hours(4);

/// Play days of a pipeline in seconds, with the operator and with other policies.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    #[command(flatten)]
    spec: SpecArgs,
    /// What surrounds the pipeline: functions, traffic, faults.
    #[arg(long, value_name = "WORLD.yaml", required_unless_present_any = ["trace", "from_cloudwatch"], conflicts_with = "trace")]
    world: Option<PathBuf>,
    /// A load as CSV: its first column is the time in seconds. Functions and tables are assumed, and said.
    #[arg(long, value_name = "FILE.csv", requires = "peak")]
    trace: Option<PathBuf>,
    /// The stream's own load of the last days, e.g. `7d`, as CloudWatch has it; with it the speed of its functions and
    /// what a record costs its tables.
    #[arg(long, value_name = "DURATION", value_parser = history::look_back, conflicts_with_all = ["world", "trace"])]
    from_cloudwatch: Option<SignedDuration>,
    /// With --trace: records a second at the greatest row.
    #[arg(long, value_name = "N", value_parser = peak)]
    peak: Option<f64>,
    /// With --trace: bytes of a record with its partition key.
    #[arg(long, value_name = "BYTES", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    record_bytes: u32,
    /// With --trace: the column of the load; without it, the last.
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// Who scales: `operator` (ours, as the spec says), `careful`, `balanced`, `eager`, a policy file, or one of
    /// staticFirstHour, staticPeak, targetTracking, awsSamples, scalingVotes, lagProportional, onDemand. Repeatable.
    #[arg(long = "policy", value_name = "NAME|FILE")]
    policies: Vec<String>,
    /// Ours and everything others use.
    #[arg(long, value_name = "all", value_parser = ["all"], conflicts_with = "policies")]
    compare: Option<String>,
    /// So many runs of each policy, with the seeds from --seed on; figures are their means.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
    /// Length in hours. Without a length: until the traffic ends, a day at least.
    #[arg(long, value_name = "N", conflicts_with = "days", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_DAYS) * 24))]
    hours: Option<u32>,
    /// Length in days.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_DAYS)))]
    days: Option<u32>,
    /// This much at the start is not counted. Default: the first hour of a run of four hours and more.
    #[arg(long, value_name = "DURATION", value_parser = warm_up)]
    warm_up: Option<SignedDuration>,
    /// Write the comparison as one self-contained page: the policies side by side, and the first one's run.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// The JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    format_version: &'static str,
    spec: String,
    world: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    assumptions: Option<String>,
    seeds: u64,
    simulated_seconds: i64,
    counted_seconds: i64,
    policies: BTreeMap<String, Value>,
}

/// What came of one policy.
#[derive(Debug)]
struct Played {
    name: String,
    policy: Policy,
    runs: Vec<(Run, Measures)>,
}

/// Runs the verb.
pub fn run(globals: &Globals, console: &Console, args: &SimulateArgs) -> Result<Exit, CliError> {
    let clock = Clock::system();
    let begun = clock.now();
    let loaded = source::load(&args.spec, console)?;
    let (world, assumptions, traffic) = match args.from_cloudwatch {
        Some(back) => history::world(globals, console, &loaded, back)?,
        None => world(args, &loaded.pipeline, console)?,
    };
    let length = length(args, traffic);
    let warm_up = args.warm_up.unwrap_or_else(|| SignedDuration::from_hours(i64::from(length >= WARMED)));
    if warm_up >= length {
        return Err(CliError::new(Exit::Usage, "--warm-up is as long as the run: nothing would be counted"));
    }
    let policies = policies(args, &loaded.policy, console)?;
    let seed = globals.seed.unwrap_or(DEFAULT_SEED);
    let cells: Vec<Cell> = policies
        .iter()
        .flat_map(|(_, policy)| (0..args.seeds).map(move |nth| (policy, seed.wrapping_add(nth))))
        .map(|(policy, seed)| Cell {
            pipeline: loaded.pipeline.clone(),
            policy: policy.clone(),
            world: world.clone(),
            seed,
            length,
            warm_up,
        })
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut runs = play_all(&cells, threads).into_iter();
    let prices = PriceSheet::us_east_1();
    let mut played = Vec::new();
    // Producers offer the same under every policy: one demand a seed.
    let mut demands: Vec<Demand> = Vec::new();
    for (name, policy) in policies {
        let mut own = Vec::new();
        for (nth, run) in runs.by_ref().take(args.seeds as usize).enumerate() {
            let run = run?;
            if let Some(cell) = cells.get(nth).filter(|_| demands.len() == nth) {
                demands.push(demand_of(cell, &run)?);
            }
            let measures = Measures::of(&run, &loaded.pipeline, &prices, demands.get(nth));
            own.push((run, measures));
        }
        played.push(Played { name, policy, runs: own });
    }
    let took = clock.now().duration_since(begun);
    console.note(&format!("{} runs of {} simulated in {:.1} s", cells.len(), text::span(length), took.as_secs_f64()));
    let document = Document {
        format_version: "1.0",
        spec: loaded.pipeline.name.clone(),
        world: world.name.clone(),
        assumptions,
        seeds: args.seeds,
        simulated_seconds: length.as_secs(),
        counted_seconds: (length - warm_up).as_secs(),
        policies: played.iter().map(|one| Ok((one.name.clone(), one.document()?))).collect::<Result<_, CliError>>()?,
    };
    if let Some(path) = &args.report {
        report(path, &loaded.pipeline, &world.name, &played, &prices)?;
        console.note(&format!("report: {}", path.display()));
    }
    if console.json() {
        console.document(&document)?;
    } else {
        console.print(&text::table(&document, &loaded.pipeline, &played))?;
    }
    Ok(Exit::Ok)
}

/// Writes the page, of the first seed's runs.
fn report(
    path: &Path,
    pipeline: &spec::Pipeline,
    world: &str,
    played: &[Played],
    prices: &PriceSheet,
) -> Result<(), CliError> {
    let shown: Vec<Shown<'_>> = played
        .iter()
        .filter_map(|one| {
            let (run, measures) = one.runs.first()?;
            Some(Shown { name: &one.name, run, measures, ours: matches!(one.policy, Policy::Operator(_)) })
        })
        .collect();
    let page = simulation::page(pipeline, world, &shown, prices)?;
    std::fs::write(path, page)
        .map_err(|error| CliError::new(Exit::Failed, format!("cannot write {}: {error}", path.display())))
}

impl Played {
    fn document(&self) -> Result<Value, CliError> {
        let each: Result<Vec<Value>, _> =
            self.runs.iter().map(|(_, measures)| serde_json::to_value(measures)).collect();
        Ok(mean(&each.map_err(|error| CliError::bug(&error))?))
    }

    /// The mean ratio to the clairvoyant's cost.
    fn ratio(&self) -> Option<f64> {
        let ratios: Option<Vec<f64>> =
            self.runs.iter().map(|(_, measures)| measures.cost.ratio_to_clairvoyant).collect();
        ratios.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
    }

    /// The mean of a figure over the seeds.
    fn mean(&self, of: impl Fn(&Measures) -> f64) -> f64 {
        self.runs.iter().map(|(_, measures)| of(measures)).sum::<f64>() / self.runs.len().max(1) as f64
    }
}

/// The world, what was assumed to make it, and how long its traffic lasts in seconds, when it says so.
fn world(
    args: &SimulateArgs,
    pipeline: &spec::Pipeline,
    console: &Console,
) -> Result<(World, Option<String>, u64), CliError> {
    if let (Some(path), Some(peak)) = (&args.trace, args.peak) {
        let source = Source::read(path)?;
        let name = path.file_stem().map_or_else(|| "trace".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let wrong = |what: String| CliError::new(Exit::Config, format!("{}: {what}", source.name));
        let trace = Trace::read(&name, &source.text, args.column.as_deref(), peak, args.record_bytes).map_err(wrong)?;
        let (world, assumptions) = trace_world(&trace, pipeline, &Costs::default()).map_err(wrong)?;
        return Ok((world, Some(assumptions), trace.seconds()));
    }
    let path = args
        .world
        .as_deref()
        .ok_or_else(|| CliError::new(Exit::Usage, "--world, --trace or --from-cloudwatch is needed"))?;
    let world = load_world(&Source::read(path)?, console)?;
    let traffic = world.producers.iter().filter_map(crate::twin::world::Producer::ends_seconds).max().unwrap_or(0);
    Ok((world, None, traffic))
}

fn length(args: &SimulateArgs, traffic_seconds: u64) -> SignedDuration {
    let hours = args.hours.or(args.days.map(|days| days * 24));
    let hours = hours.map_or_else(|| traffic_seconds.div_ceil(3_600).clamp(24, u64::from(MOST_DAYS) * 24), u64::from);
    SignedDuration::from_hours(hours as i64)
}

/// The policies asked for, by the names of the results. Ours alone when none is named.
fn policies(args: &SimulateArgs, own: &ScalingPolicy, console: &Console) -> Result<Vec<(String, Policy)>, CliError> {
    let operator = || Policy::Operator(Box::new(own.clone()));
    if args.compare.is_some() {
        let others = Policy::BASELINES.into_iter();
        return Ok(std::iter::once(operator()).chain(others).map(|one| (one.name().to_owned(), one)).collect());
    }
    let mut found: Vec<(String, Policy)> = Vec::new();
    for name in &args.policies {
        let policy = match (name.as_str(), Policy::baseline(name), spec::policy::builtin(name)) {
            (Policy::OPERATOR, ..) => operator(),
            (_, Some(baseline), _) => baseline,
            (_, None, Some(policy)) => Policy::Operator(Box::new(policy)),
            (_, None, None) => Policy::Operator(Box::new(policy_file(name, console)?)),
        };
        if found.iter().any(|(known, _)| known == name) {
            return Err(CliError::new(Exit::Usage, format!("--policy {name} stands there twice")));
        }
        found.push((name.clone(), policy));
    }
    if found.is_empty() {
        found.push((Policy::OPERATOR.to_owned(), operator()));
    }
    Ok(found)
}

fn policy_file(name: &str, console: &Console) -> Result<ScalingPolicy, CliError> {
    if !name.contains(['/', '.']) {
        let names: Vec<&str> = Policy::BASELINES.iter().map(Policy::name).collect();
        return Err(CliError::new(Exit::Usage, format!("there is no policy `{name}`")).hint(format!(
            "one of operator, careful, balanced, eager, {}, or the path of a policy file",
            names.join(", ")
        )));
    }
    let source = Source::read(&PathBuf::from(name))?;
    spec::policy::parse(&source.text).map_err(|problems| source::invalid(&source, problems, console))
}

fn peak(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(peak) if peak > 0.0 && peak <= 1_000_000.0 => Ok(peak),
        _ => Err("a number above 0, up to 1000000".to_owned()),
    }
}

fn warm_up(text: &str) -> Result<SignedDuration, String> {
    match text.parse::<SignedDuration>() {
        Ok(none) if none.is_zero() => Ok(none),
        _ => duration(text),
    }
}
