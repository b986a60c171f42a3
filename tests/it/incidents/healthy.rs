//! Healthy days: nothing critical may be found in 24 hours of a pipeline that has twice what its peak needs.
//!
//! Days and weeks are generated here. `TRACES=FOLDER` adds every CSV file of a folder (`t_s,rate_per_s`, a fixed step):
//! the 24 hours around its peak, repeated when it is shorter.

use std::{collections::BTreeMap, f64::consts::TAU, fs};

use alleycat_operator::{
    diagnose::Severity,
    twin::{Twin, World, world::Producer},
};
use serde_json::json;

use super::{
    super::storm::rng::Rng,
    label, spec,
    watch::{MINUTE, Watch},
};

const DAY: usize = 86_400;
/// Records a second at the peak. At 5,200 bytes they are half of a shard's bytes, half of the slot's time (5 ms each)
/// and half of the table's and its index's write capacity.
const PEAK: f64 = 100.0;

/// A pipeline with twice what `rows` need at their peak.
fn world(rows: &[f64], seconds_per_row: usize) -> World {
    let access = json!({"table": "orders", "per": "record", "latencyMs": 4, "operations": [
        {"kind": "put", "key": "order", "keyPerRecord": true, "itemBytes": 900}]});
    let index = json!({"name": "by-customer", "partitionKey": "customer", "writeCapacity": 200, "readCapacity": 5});
    let world = json!({
        "apiVersion": "alleycat.dev/v1alpha1", "kind": "World", "name": "healthy", "start": "2026-03-02T00:00:00Z",
        "stepMs": 1000, "randomKeys": true,
        "streams": [{"name": "events", "shards": 1}],
        "tables": [{"name": "orders", "writeCapacity": 200, "readCapacity": 5, "globalSecondaryIndexes": [index]}],
        "functions": {"order-writer": {"timeoutSeconds": 30, "memoryMb": 2048, "startupMs": 10, "perRecordUs": 1000,
            "tables": [access]}},
        "mappings": [{"stream": "events", "function": "order-writer", "batchSize": 100}],
        "producers": [{"kind": "trace", "stream": "events", "recordBytes": 5200, "rows": [1.0],
            "secondsPerRow": seconds_per_row, "peakRecordsPerSecond": PEAK}],
    });
    let mut world = World::parse(&world.to_string()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    // A day of seconds is longer than a document may be.
    if let Some(Producer::Trace { rows: given, .. }) = world.producers.first_mut() {
        *given = rows.to_vec();
    }
    world
}

/// Watches 24 hours; the first half hour has no past and is not judged. (critical, warning) findings in minutes by
/// code.
async fn day(rows: &[f64], seconds_per_row: usize) -> [BTreeMap<String, u32>; 2] {
    let world = world(rows, seconds_per_row);
    let start = world.start;
    let mut watch = Watch::new(Twin::new(world, 1), &spec("orders")).await;
    let mut found = [BTreeMap::new(), BTreeMap::new()];
    for minute in 30..=24 * 60 {
        watch.wait(start + MINUTE * minute).await;
        // Nothing changes but the numbers.
        if minute % 60 == 30 {
            watch.look().await;
        }
        for finding in watch.findings().await {
            let place = match finding.severity {
                Severity::Critical => 0,
                Severity::Warning => 1,
                Severity::Info => continue,
            };
            *found[place].entry(label::code(&finding)).or_default() += 1;
        }
    }
    found
}

async fn judge(name: &str, rows: &[f64], seconds_per_row: usize) -> bool {
    let [critical, warnings] = day(rows, seconds_per_row).await;
    eprintln!("{name}: critical {critical:?}, warnings {warnings:?}");
    critical.is_empty()
}

/// A share of the peak for each minute of a day: low at night, highest in the evening, with a random part.
fn daily(rng: &mut Rng) -> Vec<f64> {
    let height = |minute: usize| (1.0 - (TAU * minute as f64 / 1_440.0).cos()) / 2.0;
    (0..1_440).map(|minute| 0.1 + 0.8 * height(minute) + 0.1 * rng.unit()).collect()
}

/// A week of hours in 24 hours: five working days with a peak each, two quiet ones.
fn weekly(rng: &mut Rng) -> Vec<f64> {
    let height = |hour: usize| (1.0 - (TAU * (hour % 24) as f64 / 24.0).cos()) / 2.0;
    let day = |hour: usize| if hour / 24 < 5 { 0.8 } else { 0.3 };
    (0..168).map(|hour| 0.1 + day(hour) * height(hour) + 0.1 * rng.unit()).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_critical_is_found_in_healthy_days_and_weeks() {
    let rng = &mut Rng::new(3);
    let day = judge("a day", &daily(rng), 60).await;
    let week = judge("a week", &weekly(rng), DAY / 168).await;
    assert!(day && week);
}

/// The 24 hours around the greatest row, or the rows repeated until they fill them.
fn around_the_peak(rows: &[f64], seconds: usize) -> Vec<f64> {
    let wanted = DAY / seconds;
    if rows.len() < wanted {
        return rows.iter().copied().cycle().take(wanted).collect();
    }
    let peak = (0..rows.len()).max_by(|a, b| rows[*a].total_cmp(&rows[*b])).unwrap_or(0);
    let from = peak.saturating_sub(wanted / 2).min(rows.len() - wanted);
    rows[from..from + wanted].to_vec()
}

#[tokio::test(start_paused = true)]
async fn nothing_critical_is_found_in_recorded_traffic() {
    let Some(folder) = std::env::var_os("TRACES") else { return };
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    files.sort();
    let mut wrong = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let line = |line: &str| -> (f64, f64) {
            let (at, rate) = line.split_once(',').unwrap();
            (at.parse().unwrap(), rate.parse().unwrap())
        };
        let lines: Vec<(f64, f64)> = text.lines().skip(1).map(line).collect();
        let seconds = (lines[1].0 - lines[0].0) as usize;
        let rates: Vec<f64> = lines.iter().map(|(_, rate)| *rate).collect();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !judge(&name, &around_the_peak(&rates, seconds), seconds).await {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_short_trace_is_repeated_and_a_long_one_is_cut_around_its_peak() {
    assert_eq!(around_the_peak(&[1.0, 2.0], DAY / 4), [1.0, 2.0, 1.0, 2.0]);
    assert_eq!(around_the_peak(&[0.0, 0.0, 0.0, 1.0, 9.0, 2.0], DAY / 4), [0.0, 1.0, 9.0, 2.0]);
}
