//! The labelled incidents of `examples/incidents`: the rules, through the SDK on the twin, must name the cause.
//!
//! A world's onset is the first minute in which a published datapoint differs from the healthy run of the same seed.
//! Each minute from five minutes after it until the end counts. A third of the worlds is held out of all tuning: of
//! those only the total is printed. `INCIDENT=NAME` plays one world (not a held-out one) and prints each minute.

#![allow(clippy::large_futures, reason = "few of them, and each runs once")]

mod healthy;
mod label;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::PathBuf,
};

use alleycat_operator::{
    document::render_problems,
    twin::{
        MetricTrouble, Plane, Twin, World,
        plane::{MINUTE_MS, Name, Stat},
        world::Incident,
    },
};
use jiff::SignedDuration;

use watch::{MINUTE, Watch};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;
/// The mark of issue "Diagnosis": share of the incident minutes with the right first finding.
const MARK: f64 = 0.95;
/// Minutes after the onset that do not count.
const GRACE: i64 = 5;
/// Minutes after a difference is seen in which an earlier one may still show: AWS stamps an invocation's numbers with
/// its start.
const LATER: i64 = 3;

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/incidents")
}

pub fn spec(name: &str) -> String {
    fs::read_to_string(folder().join(format!("specs/{name}.yaml"))).unwrap()
}

/// Every labelled world, by name.
fn worlds() -> Vec<(World, Incident)> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeSet<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let world = World::parse(&text)
            .unwrap_or_else(|problems| panic!("{}", render_problems(path.to_str().unwrap(), &text, &problems, false)));
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), world.name);
        let incident = world.incident.clone().unwrap_or_else(|| panic!("{} has no label", world.name));
        (world, incident)
    };
    files.into_iter().map(read).collect()
}

/// Minutes counted, and those with the right finding.
#[derive(Debug, Clone, Copy, Default)]
struct Score {
    minutes: u32,
    right: u32,
}

impl Score {
    fn add(&mut self, other: Self) {
        self.minutes += other.minutes;
        self.right += other.right;
    }

    fn share(self) -> f64 {
        f64::from(self.right) / f64::from(self.minutes.max(1))
    }
}

/// First findings by cause, in minutes.
type Matrix = BTreeMap<String, BTreeMap<String, u32>>;

/// What a minute shows: every published statistic of every metric.
fn published(world: &World, plane: &Plane, minute: i64) -> BTreeMap<Name, Vec<(i64, Stat)>> {
    let second = ((minute - world.start.as_millisecond()) / 1_000).max(0) as u32;
    let matches = |pattern: &Option<String>, name: &str| {
        let pattern = pattern.as_deref().unwrap_or("*");
        pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
    };
    let missing = |name: &Name| {
        world.metric_outages.iter().any(|outage| {
            outage.trouble == MetricTrouble::Missing
                && (outage.from_seconds..outage.to_seconds).contains(&second)
                && matches(&outage.namespace, &name.namespace)
                && matches(&outage.metric, &name.metric)
        })
    };
    let metrics = plane.metrics();
    let points = |name: &Name| {
        let dimensions = &name.dimensions;
        metrics.get(&name.namespace, &name.metric, dimensions, minute, minute + MINUTE_MS)
    };
    let names = metrics.names().map(|(name, _)| name).filter(|name| !missing(name));
    names.map(|name| (name.clone(), points(name))).filter(|(_, points)| !points.is_empty()).collect()
}

/// Plays the world and its healthy twin until they differ and a little longer: (the twin, minutes from the world's
/// start to the onset).
fn onset(world: &World, incident: &Incident, seed: u64) -> (Twin, i64) {
    let healthy = incident.world_without(world).unwrap();
    let (mut ill, mut well) = (Twin::new(world.clone(), seed), Twin::new(healthy.clone(), seed));
    let start = world.start.as_millisecond();
    let differs = |ill: &Twin, well: &Twin, minute: i64| {
        let at = start + minute * MINUTE_MS;
        published(world, ill.plane(), at) != published(&healthy, well.plane(), at)
    };
    let mut seen = None;
    for minute in 0..i64::from(incident.minutes) {
        let end = world.start + SignedDuration::from_mins(minute + 1);
        ill.advance(end);
        well.advance(end);
        let first = (minute - LATER).max(0);
        if seen.is_none() && (first..=minute).any(|minute| differs(&ill, &well, minute)) {
            seen = Some(minute);
        }
        if seen.is_some_and(|seen| minute >= seen + LATER) {
            let onset = (first - LATER..=minute).find(|minute| differs(&ill, &well, *minute)).unwrap();
            return (ill, onset);
        }
    }
    panic!("{}: nothing differs from the healthy run", world.name);
}

/// Plays one world with one seed.
async fn play(world: &World, incident: &Incident, seed: u64, matrix: &mut Matrix, tell: bool) -> Score {
    let (twin, onset) = onset(world, incident, seed);
    assert!(onset >= 20, "{}: healthy for {onset} minutes only", world.name);
    assert!(i64::from(incident.minutes) >= onset + 20, "{}: the incident is too short", world.name);
    let (name, begun) = (&world.name, (twin.now().as_second() - world.start.as_second()) / 60);
    if tell {
        eprintln!("{name}, seed {seed}: onset in minute {onset}");
    }
    let mut watch = Watch::new(twin, &spec(&incident.spec)).await;
    let causes: Vec<String> = incident.causes.iter().map(|cause| format!("{:?}", cause.cause)).collect();
    let row = matrix.entry(causes.join(" + ")).or_default();
    let mut score = Score::default();
    for minute in (onset + GRACE).max(begun)..=i64::from(incident.minutes) {
        watch.wait(world.start + MINUTE * minute as i32).await;
        watch.look().await;
        let findings = watch.findings().await;
        let counted = label::counted(incident, &findings);
        let right = label::is_right(incident, &counted);
        let told =
            |finding: &&alleycat_operator::diagnose::Finding| format!("{} {}", label::code(finding), finding.resource);
        let first = counted.first().map_or_else(|| "nothing".to_owned(), |finding| label::code(finding));
        let shown = if right { first } else { format!("{first} (wrong)") };
        *row.entry(shown).or_default() += 1;
        score.add(Score { minutes: 1, right: right.into() });
        if tell {
            eprintln!(
                "  {minute} {} {:?}",
                if right { "right" } else { "WRONG" },
                counted.iter().map(told).collect::<Vec<_>>()
            );
        }
    }
    score
}

/// Plays the worlds of one part: (total, table of the worlds, confusion matrix).
async fn play_all(held_out: bool) -> (Score, String, Matrix) {
    let only = std::env::var("INCIDENT").ok();
    let mut matrix = Matrix::new();
    let (mut total, mut table) = (Score::default(), String::new());
    for (world, incident) in worlds() {
        if incident.held_out != held_out || only.as_ref().is_some_and(|only| *only != world.name) {
            continue;
        }
        let mut score = Score::default();
        for seed in SEEDS {
            score.add(play(&world, &incident, seed, &mut matrix, only.is_some() && !held_out).await);
        }
        let _ = writeln!(table, "{:>6.1} % of {:>4} minutes  {}", score.share() * 100.0, score.minutes, world.name);
        total.add(score);
    }
    (total, table, matrix)
}

fn text(matrix: &Matrix) -> String {
    let mut text = String::new();
    for (cause, row) in matrix {
        let row: Vec<String> = row.iter().map(|(code, minutes)| format!("{code} {minutes}")).collect();
        let _ = writeln!(text, "{cause:<40} {}", row.join(", "));
    }
    text
}

#[test]
fn the_set_is_whole() {
    let worlds = worlds();
    assert!(worlds.len() >= 30, "{}", worlds.len());
    let held_out = worlds.iter().filter(|(_, incident)| incident.held_out).count();
    assert!(held_out * 3 >= worlds.len() - 2 && held_out * 2 <= worlds.len(), "{held_out} of {}", worlds.len());
    for (world, incident) in &worlds {
        alleycat_operator::spec::parse(&spec(&incident.spec)).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert!((1..=2).contains(&incident.causes.len()), "{}", world.name);
        let twin = Twin::new(world.clone(), 1);
        let refused: Vec<_> = twin.audit().mutations.iter().filter(|mutation| mutation.refused.is_some()).collect();
        assert!(refused.is_empty(), "{}: {refused:?}", world.name);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_finding_is_the_cause() {
    let (total, table, matrix) = play_all(false).await;
    eprintln!("{table}\n{}", text(&matrix));
    eprintln!("tuned: {:.2} % of {} incident minutes", total.share() * 100.0, total.minutes);
    assert!(total.share() >= MARK);
}

#[tokio::test(start_paused = true)]
async fn it_is_the_cause_in_worlds_that_were_kept_out_of_tuning() {
    let (total, ..) = play_all(true).await;
    eprintln!("held out: {:.2} % of {} incident minutes", total.share() * 100.0, total.minutes);
    assert!(total.share() >= MARK);
}
