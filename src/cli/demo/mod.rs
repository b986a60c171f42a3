//! `demo`: the Alleycat pipeline with its template's settings and 1,000 racers, first watched, then kept up.
//!
//! Nothing is scripted: both halves run the operator's own code through the real SDK clients against the
//! twin. The same seed prints the same bytes.

pub mod measure;
pub mod story;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::Serialize;

use super::{console::Console, errors::CliError, exit::Exit, globals::Globals};
use crate::{
    model::Bounds,
    simulate::Event,
    spec::{self, Pipeline, ScalingPolicy},
    twin::World,
};

use measure::{Measures, Symptom};
use story::{Story, Told};

/// The spec of the demo.
pub const SPEC: &str = include_str!("../../../examples/alleycat.yaml");
/// Hours of the story: two of races, five quiet.
pub const HOURS: u32 = 7;
/// Hours of the runs that vary one thing: the races, and until everything is published.
const SHORT_HOURS: u32 = 3;
/// How much later than its second a message may come in the variant with jitter, ms.
pub const JITTER_MS: u32 = 400;

/// Watch the Alleycat pipeline fall over, and then the operator keep it up.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Only the two halves, without the variants.
    #[arg(long)]
    short: bool,
}

/// The demo's JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    format_version: &'static str,
    seed: u64,
    simulated_hours: u32,
    without_operator: Half,
    with_operator: Half,
    #[serde(skip_serializing_if = "Option::is_none")]
    variants: Option<Variants>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Half {
    measures: Measures,
    at_end: BTreeMap<String, u64>,
    calls: BTreeMap<String, u64>,
    events: Vec<Event>,
}

/// What each lever is worth, and what the two special cases show.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Variants {
    /// Symptoms that remain in the second hour when one lever stays at its initial value.
    levers: BTreeMap<&'static str, BTreeSet<Symptom>>,
    /// Racers whose messages jitter, so that single seconds exceed the shard's limit.
    jitter: Measures,
    /// The same with `concurrencySafe: false` on the leaderboard consumer.
    jitter_not_concurrency_safe: Measures,
}

/// A lever that can be pinned at its initial value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lever {
    /// Shard count.
    Shards,
    /// Parallelization factor of every consumer.
    Factor,
    /// Read and write capacity of the table and its indexes.
    Capacity,
    /// Batch size of every consumer.
    BatchSize,
}

impl Lever {
    /// All of them with the names of the JSON.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Shards, "shards"),
        (Self::Factor, "parallelizationFactor"),
        (Self::Capacity, "capacity"),
        (Self::BatchSize, "batchSize"),
    ];

    /// Pins it in a pipeline.
    pub fn pin(self, pipeline: &mut Pipeline) {
        match self {
            Self::Shards => pin(&mut pipeline.stream.shards),
            Self::Factor => pipeline.consumers.iter_mut().for_each(|it| pin(&mut it.parallelization_factor)),
            Self::BatchSize => pipeline.consumers.iter_mut().for_each(|it| pin(&mut it.batch_size)),
            Self::Capacity => {
                for table in &mut pipeline.tables {
                    pin(&mut table.write_capacity);
                    pin(&mut table.read_capacity);
                    for index in &mut table.global_secondary_indexes {
                        pin(&mut index.write_capacity);
                        pin(&mut index.read_capacity);
                    }
                }
            }
        }
    }
}

fn pin<T: Copy + Ord>(bounds: &mut Bounds<T>) {
    *bounds = Bounds::pinned(bounds.initial);
}

/// The demo's story: the embedded spec, policy and world.
///
/// # Errors
/// When the embedded files do not parse: a bug that a test finds first.
pub fn story(seed: u64, operator: bool) -> Result<Story, CliError> {
    let pipeline = spec::parse(SPEC).map_err(|problems| {
        CliError::bug(&format!("the embedded spec: {}", spec::render_problems("alleycat.yaml", SPEC, &problems, false)))
    })?;
    let policy: ScalingPolicy =
        spec::policy::builtin("balanced").ok_or_else(|| CliError::bug(&"the embedded policy does not parse"))?;
    Ok(Story { pipeline, policy, world: World::alleycat(), seed, operator, hours: HOURS })
}

/// Runs the verb.
pub fn run(globals: &Globals, console: &Console, args: &DemoArgs) -> Result<Exit, CliError> {
    let seed = globals.seed.unwrap_or(super::local::DEFAULT_SEED);
    let quiet = console.json();
    let say = |text: &str| if quiet { Ok(()) } else { console.print(text) };
    say(&format!(
        "The Alleycat race: 1,000 racers send a message a second in races of 5 minutes, 2 hours back to back, then 5 \
         quiet\nhours. Kinesis -> two Lambda functions -> one DynamoDB table with an index. Simulated AWS, seed {seed}, \
         times in UTC.\n"
    ))?;
    say("\nThe template's settings; the operator only watches\n\n")?;
    let without = play(&story(seed, false)?, console, quiet)?;
    let seen =
        format!("The walk-through's symptoms, seen in CloudWatch: {}", text::symptoms(&without.measures.symptoms));
    say(&format!("\n{}\n", text::paragraph(&seen, 2)))?;
    say("\nThe same start, with the operator\n\n")?;
    let with = play(&story(seed, true)?, console, quiet)?;
    let left = text::symptoms(&remaining(&with.measures.symptoms_second_hour));
    say(&format!(
        "\n{}\n\n{}",
        text::paragraph(&format!("Symptoms left in the second hour: {left}"), 2),
        text::table(&without.measures, &with.measures)
    ))?;
    let variants = if args.short { None } else { Some(variants(seed)?) };
    if let Some(variants) = &variants {
        say("\nWhat each lever is worth: symptoms in the second hour with it pinned at the template's value\n\n")?;
        for (name, symptoms) in &variants.levers {
            say(&format!("  {}\n", text::paragraph(&format!("{name:<24}{}", text::symptoms(symptoms)), 26)))?;
        }
        say(&unsafe_text(variants))?;
    }
    if quiet {
        let half =
            |told: Told| Half { measures: told.measures, at_end: told.at_end, calls: told.calls, events: told.events };
        console.document(&Document {
            format_version: "1.0",
            seed,
            simulated_hours: HOURS,
            without_operator: half(without),
            with_operator: half(with),
            variants,
        })?;
    } else {
        say("\nNext: alleycat-operator plan examples/alleycat.yaml --local\n")?;
    }
    Ok(Exit::Ok)
}

/// What the concurrency rule costs, in words.
fn unsafe_text(variants: &Variants) -> String {
    let (safe, alone) = (&variants.jitter, &variants.jitter_not_concurrency_safe);
    format!(
        "\nWith messages that jitter, single seconds exceed the shard's 1,000 records. The operator lets {} of {} records\n\
         be rejected until it has resharded. With concurrencySafe: false on the leaderboard it must stay at one shard\n\
         and one invocation at a time ({} at most were seen): that costs {} rejected records.\n",
        safe.records_rejected, safe.records_offered, alone.leaderboard_max_concurrency, alone.records_rejected
    )
}

fn play(story: &Story, console: &Console, quiet: bool) -> Result<Told, CliError> {
    let mut failed = None;
    let told = story.play(&mut |event| {
        if !quiet && failed.is_none() {
            failed = console.print(&text::line(event, console.color)).err();
        }
    })?;
    failed.map_or(Ok(told), Err)
}

fn variants(seed: u64) -> Result<Variants, CliError> {
    let short = |change: &dyn Fn(&mut Story)| -> Result<Measures, CliError> {
        let mut story = story(seed, true)?;
        story.hours = SHORT_HOURS;
        change(&mut story);
        Ok(story.play(&mut |_| {})?.measures)
    };
    let mut levers = BTreeMap::new();
    for (lever, name) in Lever::ALL {
        let measures = short(&|story| lever.pin(&mut story.pipeline))?;
        levers.insert(name, remaining(&measures.symptoms_second_hour));
    }
    let jitter = |story: &mut Story| story.world = World::alleycat().with_jitter(JITTER_MS);
    Ok(Variants {
        levers,
        jitter: short(&jitter)?,
        jitter_not_concurrency_safe: short(&|story| {
            jitter(story);
            if let Some(consumer) = story.pipeline.consumers.first_mut() {
                consumer.concurrency_safe = false;
            }
        })?,
    })
}

/// What counts as a symptom that remains: one execution at a time is a setting, not a symptom, once nothing lags.
fn remaining(found: &BTreeSet<Symptom>) -> BTreeSet<Symptom> {
    found.iter().copied().filter(|symptom| *symptom != Symptom::OneExecutionPerFunction).collect()
}
