//! `status`: the pipeline on one screen. Reads only.
//!
//! What always holds: a number that is not known is said to be unknown, and never zero.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::watch::Receiver;

use super::{
    console::Console,
    errors::CliError,
    exit::Exit,
    globals::{Globals, duration},
    plan::LOOK,
    render,
    signals::{End, stoppable},
    source::{self, Loaded, SpecArgs},
    target::{Need, Pace, Session},
};
use crate::{
    apply::sleep_or_stop,
    cost::{self, PriceSheet},
    diagnose::{self, ConsumerEstimate, Estimates, Finding, Reading, SinkEstimate, StreamEstimate, Way},
    memory::{Decision, Memory},
    model::{BillingMode, Bounds, CapacityFacts, CapacityUnits, Facts, ResourceId, Signals},
    observe,
    plan::quota,
    scale,
    spec::{ConsumerSpec, Pipeline, ScalingPolicy},
};

/// Decisions shown, newest last.
const DECISIONS: usize = 3;

/// Show the pipeline on one screen: load, lag, bottleneck, bounds, quota, cost.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    spec: SpecArgs,
    /// Draw it anew until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Time between two screens.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, requires = "watch")]
    interval: SignedDuration,
    /// Stop after this much time. With --local: as fast as possible.
    #[arg(long = "for", id = "for_", value_name = "DURATION", value_parser = duration, requires = "watch")]
    for_: Option<SignedDuration>,
}

/// What is known of a pipeline now: what `--output json` prints and the screen is drawn from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of this form, `major.minor`.
    pub format_version: &'static str,
    /// The pipeline's name.
    pub pipeline: String,
    /// The region.
    pub region: String,
    /// When AWS was asked.
    pub observed_at: Timestamp,
    /// The newest minute that the metrics cover; `None` without a stream to measure.
    pub measured_at: Option<Timestamp>,
    /// What the spec names and AWS does not have.
    pub missing: Vec<ResourceId>,
    /// The findings, the bottleneck first.
    pub findings: Vec<Finding>,
    /// Used against capacity, in the order of the data's way.
    pub stages: Vec<Stage>,
    /// How far each consumer is behind.
    pub lag: Vec<Lag>,
    /// The values that the scaler may move.
    pub bounds: Vec<Owned>,
    /// What is left of AWS's budgets.
    pub quota: Quota,
    /// What it costs.
    pub cost: Cost,
    /// The last decisions, newest last.
    pub decisions: Vec<Decision>,
}

/// One use of one resource, held against what it can take.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Which.
    pub resource: ResourceId,
    /// What is counted.
    pub what: &'static str,
    /// In which unit.
    pub unit: &'static str,
    /// Used now; `None` when it is not known.
    pub used: Option<f64>,
    /// What it can take; `None` when it has no fixed limit (on demand).
    pub capacity: Option<f64>,
}

/// How far a consumer is behind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lag {
    /// The consumer's name in the spec.
    pub consumer: String,
    /// The most that is tolerated, s.
    pub objective_seconds: f64,
    /// What is known; `None` without a mapping.
    pub estimate: Option<ConsumerEstimate>,
    /// How it reads; `None` without a mapping.
    pub delivery: Option<Way>,
    /// Where it is being moved to, if it is.
    pub moving_to: Option<Way>,
}

/// A value that the scaler may move, and how far.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owned {
    /// Whose.
    pub resource: ResourceId,
    /// The field, as in the spec.
    pub field: &'static str,
    /// Where it stands.
    pub value: u64,
    /// The least allowed.
    pub min: u64,
    /// The most allowed.
    pub max: u64,
}

/// What is left of AWS's budgets.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// UpdateShardCount calls left in the rolling 24 h, as far as known: other people's calls that changed nothing
    /// cannot be read anywhere.
    pub update_shard_count_left: u32,
    /// How many there are.
    pub update_shard_count_limit: u32,
    /// Capacity decreases of each provisioned table and index.
    pub decreases: Vec<Decreases>,
}

/// Capacity decreases of a table or an index.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decreases {
    /// Which.
    pub resource: ResourceId,
    /// Made in this UTC day.
    pub today: u32,
    /// When the next one may be made; `None`: now.
    pub next_at: Option<Timestamp>,
}

/// What it costs at rest: traffic is not part of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Dollars an hour as it is now.
    pub usd_per_hour: f64,
    /// The same for a month of 730 h. What this month has cost so far is not known: AWS keeps no history of it here.
    pub usd_per_month: f64,
}

/// Runs the verb.
pub fn run(globals: &Globals, console: &Console, args: &StatusArgs) -> Result<Exit, CliError> {
    let loaded = source::load(&args.spec, console)?;
    let pace = if args.watch && args.for_.is_none() { Pace::Speed(1.0) } else { Pace::Jump };
    let need = Need { pace, long_running: args.watch, ..LOOK };
    Session::run(globals, console, &loaded.pipeline, need, async |session| {
        if args.watch {
            let end = stoppable(console, |flag| watch(session, console, &loaded, args, flag)).await;
            return match end {
                End::Finished(done, _) => done.map(|()| Exit::Ok),
                End::Aborted(signal) => Ok(signal.exit()),
            };
        }
        show(console, &look(session, &loaded).await?)?;
        Ok(Exit::Ok)
    })
}

async fn watch(
    session: &Session,
    console: &Console,
    loaded: &Loaded,
    args: &StatusArgs,
    mut stop: Receiver<bool>,
) -> Result<(), CliError> {
    let clock = session.aws.clock();
    let end = args.for_.map(|limit| clock.now().saturating_add(limit)).transpose();
    let end = end.map_err(|error| CliError::new(Exit::Usage, format!("--for: {error}")))?;
    loop {
        let status = look(session, loaded).await?;
        console.clear()?;
        show(console, &status)?;
        let now = clock.now();
        if *stop.borrow() || end.is_some_and(|end| now >= end) {
            return Ok(());
        }
        sleep_or_stop(clock.sleep(args.interval), &mut stop).await;
        if *stop.borrow() {
            return Ok(());
        }
    }
}

fn show(console: &Console, status: &Status) -> Result<(), CliError> {
    if console.json() { console.line(status) } else { console.print(&render::status::text(status, console.color)) }
}

async fn look(session: &Session, loaded: &Loaded) -> Result<Status, CliError> {
    let Loaded { pipeline, policy } = loaded;
    let facts = observe::facts(&session.aws, pipeline).await?;
    let memory = session.memory(pipeline, policy, &facts)?;
    let signals = match facts.stream {
        Some(_) => Some(observe::signals(&session.aws, pipeline, &facts, policy, observe::Scope::Scaling).await?),
        // Nothing to measure.
        None => None,
    };
    let decisions = session.store.decisions(&pipeline.name, DECISIONS)?;
    let now = session.aws.clock().now();
    Ok(status(pipeline, policy, &facts, signals.as_ref(), &memory, decisions, now))
}

/// Puts together what is known.
fn status(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: Option<&Signals>,
    memory: &Memory,
    decisions: Vec<Decision>,
    now: Timestamp,
) -> Status {
    let estimates = signals.map(|signals| diagnose::estimates(pipeline, policy, facts, signals)).unwrap_or_default();
    let resharded = scale::resharded(memory);
    let found = signals.map(|signals| diagnose::diagnose(pipeline, policy, facts, signals, resharded));
    let findings = found.unwrap_or_default();
    let at_rest = cost::of_facts(facts, &PriceSheet::us_east_1());
    Status {
        format_version: "1.0",
        pipeline: pipeline.name.clone(),
        region: facts.region.clone(),
        observed_at: facts.observed_at,
        measured_at: signals.map(|signals| signals.newest_expected),
        missing: missing(pipeline, facts),
        findings,
        stages: stages(pipeline, facts, &estimates),
        lag: lag(pipeline, facts, &estimates),
        bounds: bounds(pipeline, facts),
        quota: Quota {
            update_shard_count_left: scale::MAX_RESHARDS_PER_DAY
                .saturating_sub(scale::reshards_used(&memory.reshards, now)),
            update_shard_count_limit: scale::MAX_RESHARDS_PER_DAY,
            decreases: decreases(pipeline, facts, now),
        },
        cost: Cost { usd_per_hour: at_rest.0, usd_per_month: at_rest.per_month() },
        decisions,
    }
}

fn missing(pipeline: &Pipeline, facts: &Facts) -> Vec<ResourceId> {
    let stream = facts.stream.is_none().then(|| ResourceId::Stream(pipeline.stream.name.clone()));
    let mappings = pipeline.consumers.iter().filter(|it| facts.mapping_to(&it.function, it.alias.as_deref()).is_none());
    let tables = pipeline.tables.iter().filter(|it| !facts.tables.contains_key(&it.name));
    let mappings = mappings.map(|it| ResourceId::Mapping(it.name.clone()));
    stream.into_iter().chain(mappings).chain(tables.map(|it| ResourceId::Table(it.name.clone()))).collect()
}

/// Used against capacity, in the order of the data's way.
pub(super) fn stages(pipeline: &Pipeline, facts: &Facts, estimates: &Estimates) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut add = |resource: &ResourceId, what, unit, used, capacity| {
        stages.push(Stage { resource: resource.clone(), what, unit, used, capacity });
    };
    if let Some(live) = &facts.stream {
        let id = ResourceId::Stream(live.name.clone());
        let shards = f64::from(live.open_shards.get());
        let known = |value: fn(&StreamEstimate) -> f64| estimates.stream.as_ref().map(value);
        let records = shards * diagnose::SHARD_RECORDS_PER_SECOND;
        add(&id, "records", "records/s", known(|it| it.offered_records), Some(records));
        let bytes = shards * diagnose::SHARD_BYTES_PER_SECOND;
        add(&id, "bytes", "bytes/s", known(|it| it.offered_bytes), Some(bytes));
    }
    for spec in &pipeline.consumers {
        if let Some(estimate) = estimates.consumers.get(&spec.name) {
            let id = ResourceId::Mapping(spec.name.clone());
            add(&id, "batches", "slots", estimate.slots_used, Some(f64::from(estimate.slots)));
        }
    }
    for (id, units) in sinks(pipeline, facts) {
        let estimate = estimates.sinks.iter().find(|it| it.resource == id);
        let known = |value: fn(&SinkEstimate) -> f64| estimate.map(value);
        let provisioned = |units: CapacityUnits| (units.get() > 0).then_some(units.get() as f64);
        add(&id, "write", "units/s", known(|it| it.write), provisioned(units.write));
        add(&id, "read", "units/s", known(|it| it.read), provisioned(units.read));
    }
    stages
}

/// The spec's tables and indexes that exist, a table before its indexes.
fn sinks<'a>(pipeline: &Pipeline, facts: &'a Facts) -> Vec<(ResourceId, &'a CapacityFacts)> {
    let mut found = Vec::new();
    for table in pipeline.tables.iter().filter_map(|spec| facts.tables.get(&spec.name)) {
        found.push((ResourceId::Table(table.name.clone()), &table.capacity));
        let indexes = table.global_secondary_indexes.values();
        found.extend(indexes.map(|index| (ResourceId::Index(table.name.clone(), index.name.clone()), &index.capacity)));
    }
    found
}

fn lag(pipeline: &Pipeline, facts: &Facts, estimates: &Estimates) -> Vec<Lag> {
    let objective_seconds = pipeline.objectives.iterator_age.as_secs_f64();
    let of = |spec: &ConsumerSpec| {
        let reading = Reading::of(pipeline, facts, spec);
        Lag {
            consumer: spec.name.clone(),
            objective_seconds,
            estimate: estimates.consumers.get(&spec.name).cloned(),
            delivery: reading.way(),
            moving_to: reading.moving(),
        }
    };
    pipeline.consumers.iter().map(of).collect()
}

/// What is not pinned, where it stands.
fn bounds(pipeline: &Pipeline, facts: &Facts) -> Vec<Owned> {
    let mut owned = Vec::new();
    let mut add = |resource: &ResourceId, field, value: u64, min: u64, max: u64| {
        if min < max {
            owned.push(Owned { resource: resource.clone(), field, value, min, max });
        }
    };
    if let Some(live) = &facts.stream {
        let Bounds { min, max, .. } = pipeline.stream.shards;
        let id = ResourceId::Stream(live.name.clone());
        add(&id, "shards", live.open_shards.get().into(), min.get().into(), max.get().into());
    }
    for spec in &pipeline.consumers {
        let Some(live) = facts.mapping_to(&spec.function, spec.alias.as_deref()) else { continue };
        let id = ResourceId::Mapping(spec.name.clone());
        let Bounds { min, max, .. } = spec.parallelization_factor;
        let factor = live.parallelization_factor.get();
        add(&id, "parallelizationFactor", factor.into(), min.get().into(), max.get().into());
        let Bounds { min, max, .. } = spec.batch_size;
        add(&id, "batchSize", live.batch_size.get().into(), min.get().into(), max.get().into());
    }
    let mut capacity = |id: ResourceId, live: &CapacityFacts, both: [(&'static str, &Bounds<CapacityUnits>); 2]| {
        for ((field, bounds), value) in both.into_iter().zip([live.write, live.read]) {
            add(&id, field, value.get(), bounds.min.get(), bounds.max.get());
        }
    };
    for spec in &pipeline.tables {
        let Some(live) = facts.tables.get(&spec.name).filter(|it| it.billing_mode == BillingMode::Provisioned) else {
            continue;
        };
        let both = [("writeCapacity", &spec.write_capacity), ("readCapacity", &spec.read_capacity)];
        capacity(ResourceId::Table(spec.name.clone()), &live.capacity, both);
        for index in &spec.global_secondary_indexes {
            let Some(live) = live.global_secondary_indexes.get(&index.name) else { continue };
            let both = [("writeCapacity", &index.write_capacity), ("readCapacity", &index.read_capacity)];
            capacity(ResourceId::Index(spec.name.clone(), index.name.clone()), &live.capacity, both);
        }
    }
    owned
}

fn decreases(pipeline: &Pipeline, facts: &Facts, now: Timestamp) -> Vec<Decreases> {
    let provisioned = sinks(pipeline, facts).into_iter().filter(|(_, units)| units.write.get() > 0);
    let of = |(resource, units): (ResourceId, &CapacityFacts)| Decreases {
        resource,
        today: quota::decreases_today(units, now),
        next_at: quota::decrease_free_at(units, 0, now),
    };
    provisioned.map(of).collect()
}
