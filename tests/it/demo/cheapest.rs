//! The cheapest fixed configuration that meets the objectives, searched on the twin's data plane: the mark
//! that the operator's cost is held against.
//!
//! "Meets the objectives" is what is asked of the operator: over both hours of races no iterator age above
//! 60 s, no record rejected, no timeout, no write throttled for provisioned capacity, no read throttled; and it
//! must do so with every seed the operator is judged by. `Credit` says whether it may live on the 300 s of
//! burst credit that a new table starts with: such a configuration holds for the two hours and fails later.
//! Capacity is searched by bisection (more capacity never throttles more), the rest exhaustively.

use std::collections::BTreeMap;

use alleycat_operator::{
    cost::{Meters, PriceSheet},
    twin::{
        World,
        plane::{FunctionTotals, MappingConfig, Plane, TableConfig},
    },
};

const HOUR_MS: i64 = 3_600_000;
const TABLE: &str = "alleycat-races";
const INDEX: &str = "GSI_Index";
/// Units that are certainly enough.
const PLENTY: u64 = 400;

/// A fixed configuration and what its second hour costs.
#[derive(Debug, Clone)]
pub struct Fixed {
    shards: u32,
    factor: u32,
    finals_batch: u32,
    write: u64,
    index_write: u64,
    /// Dollars of the second hour.
    pub second_hour_usd: f64,
}

/// Whether a configuration may consume more than it provisions, out of the credit of a new table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credit {
    /// It may: it need only last for the demo's two hours.
    Spent,
    /// The second hour consumes no more than is provisioned: it lasts.
    Kept,
}

/// Searches shards 1–2, factor 1–2 and the final results' batch 100–1,000, with the reads at their minimum.
pub fn search(credit: Credit) -> Fixed {
    let mut candidates = Vec::new();
    for (shards, factor) in [(1, 1), (1, 2), (2, 1)] {
        for finals_batch in [100, 1000] {
            candidates.push(Fixed { shards, factor, finals_batch, write: 0, index_write: 0, second_hour_usd: 0.0 });
        }
    }
    let found: Vec<Fixed> = std::thread::scope(|scope| {
        let (left, right) = candidates.split_at(candidates.len() / 2);
        let threads: Vec<_> = [left, right]
            .map(|half| scope.spawn(move || half.iter().filter_map(|it| fit(it, credit)).collect::<Vec<_>>()))
            .into();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let best = found.into_iter().min_by(|a, b| a.second_hour_usd.total_cmp(&b.second_hour_usd));
    with_every_seed(best.expect("one configuration suffices"), credit)
}

/// The configuration with as much more capacity as it takes to hold with every noise the operator is judged by.
fn with_every_seed(mut fixed: Fixed, credit: Credit) -> Fixed {
    while let Some(seed) = (0..20).find(|seed| run(&fixed, *seed, credit).is_none()) {
        let roomy = Fixed { index_write: PLENTY, ..fixed.clone() };
        if run(&roomy, seed, credit).is_none() {
            fixed.write += 1;
        } else {
            fixed.index_write += 1;
        }
    }
    Fixed { second_hour_usd: run(&fixed, 1, credit).expect("it has just held"), ..fixed }
}

fn fit(candidate: &Fixed, credit: Credit) -> Option<Fixed> {
    let with = |write, index_write| Fixed { write, index_write, ..candidate.clone() };
    run(&with(PLENTY, PLENTY), 1, credit)?;
    let write = least(20, PLENTY, |write| run(&with(write, PLENTY), 1, credit).is_some());
    let index_write = least(10, PLENTY, |index| run(&with(write, index), 1, credit).is_some());
    let second_hour_usd = run(&with(write, index_write), 1, credit)?;
    Some(Fixed { second_hour_usd, ..with(write, index_write) })
}

/// The least value that is enough, when `most` is.
fn least(mut too_little: u64, mut most: u64, enough: impl Fn(u64) -> bool) -> u64 {
    if enough(too_little) {
        return too_little;
    }
    while most - too_little > 1 {
        let middle = u64::midpoint(too_little, most);
        if enough(middle) { most = middle } else { too_little = middle }
    }
    most
}

/// Plays two hours; the cost of the second, or `None` when an objective is missed.
fn run(fixed: &Fixed, seed: u64, credit: Credit) -> Option<f64> {
    let world = World::alleycat();
    let mut plane = Plane::new(&world, seed);
    let start = plane.now_ms();
    plane.create_stream("alleycat", fixed.shards, 24);
    let gsis = BTreeMap::from([(INDEX.to_owned(), (10, fixed.index_write))]);
    plane.create_table(TABLE, TableConfig { on_demand: false, read: 20, write: fixed.write, gsis, lsis: 1 });
    for (uuid, function, batch_size) in [
        ("leaderboard", "alleycat-TumblingWindowFunction", 1000),
        ("final-results", "alleycat-FinalResultsFunction", fixed.finals_batch),
    ] {
        plane.put_mapping(
            uuid,
            MappingConfig {
                stream: "alleycat".to_owned(),
                function: function.to_owned(),
                batch_size,
                parallelization_factor: fixed.factor,
                ..MappingConfig::default()
            },
        );
    }
    let mut first = Meters::default();
    // A failure shows early: stop at the first quarter of an hour that misses.
    for quarter in 1..=8 {
        plane.advance(start + quarter * HOUR_MS / 4);
        if !meets(&plane) {
            return None;
        }
        if quarter == 4 {
            first = meters(&plane);
        }
    }
    if credit == Credit::Kept && !lasts(&plane, fixed, start + HOUR_MS) {
        return None;
    }
    let used = meters(&plane).since(&first);
    let units = (fixed.write + fixed.index_write) as f64;
    let rest = Meters { shard_hours: f64::from(fixed.shards), wcu_hours: units, rcu_hours: 30.0, ..used };
    Some(rest.usd(&PriceSheet::us_east_1()).total_usd)
}

/// Whether table and index consume no more than is provisioned from `from_ms` on.
fn lasts(plane: &Plane, fixed: &Fixed, from_ms: i64) -> bool {
    let mut dimensions = BTreeMap::from([("TableName".to_owned(), TABLE.to_owned())]);
    let mut within = |provisioned: u64| {
        let minutes =
            plane.metrics().get("AWS/DynamoDB", "ConsumedWriteCapacityUnits", &dimensions, from_ms, plane.now_ms());
        let consumed: f64 = minutes.iter().map(|(_, stat)| stat.sum).sum();
        dimensions.insert("GlobalSecondaryIndexName".to_owned(), INDEX.to_owned());
        consumed <= provisioned as f64 * 60.0 * minutes.len() as f64
    };
    within(fixed.write) && within(fixed.index_write)
}

fn meets(plane: &Plane) -> bool {
    let totals = plane.totals();
    totals.streams.values().all(|stream| stream.rejected == 0)
        && totals.functions.values().all(|function| function.timeouts == 0)
        && totals.tables.values().all(|table| table.provisioned_write_throttles + table.provisioned_read_throttles == 0)
        && totals.mappings.values().all(|mapping| mapping.iterator_age_ms.values().all(|age| *age <= 60_000))
}

fn meters(plane: &Plane) -> Meters {
    let totals = plane.totals();
    Meters {
        put_payload_units: totals.streams.values().map(|it| it.put_payload_units).sum::<u64>() as f64,
        lambda_requests: totals.functions.values().map(|it| it.invocations).sum::<u64>() as f64,
        lambda_gb_seconds: totals.functions.values().map(FunctionTotals::gb_seconds).sum(),
        ..Meters::default()
    }
}
