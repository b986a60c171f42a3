//! `status` as a person meets it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use alleycat_operator::twin::Twin;

use crate::cli::Bench;

/// Two consumers, a table and an index take four lines more than the smallest terminal has; its width is enough.
fn fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "too wide: {line}");
    }
    assert!(text.lines().count() <= 28, "{} lines:\n{text}", text.lines().count());
}

#[test]
fn the_screen_tells_the_story_of_a_race_day() {
    let bench = Bench::new();
    let nothing = bench.run("status spec.yaml --local").exits(0);
    bench.run("apply spec.yaml --local --yes").exits(0);
    bench.run("daemon spec.yaml --local --observe --for 40m").exits(0);
    let short = bench.run("status spec.yaml --local").exits(0);
    bench.run("daemon spec.yaml --local --for 60m").exits(0);
    let scaled = bench.run("status spec.yaml --local").exits(0);
    for shown in [&nothing, &short, &scaled] {
        fits(&shown.stdout);
    }
    assert!(short.stdout.starts_with("critical: SINK_SHORT"), "{}", short.stdout);
    assert!(short.stdout.contains("behind, above 1 min"), "{}", short.stdout);
    assert!(scaled.stdout.contains("behind, within 1 min"), "{}", scaled.stdout);
    bench.golden("status", &[&nothing, &short, &scaled]);
}

#[test]
fn a_status_is_data_and_changes_nothing() {
    let bench = Bench::new();
    bench.run("apply spec.yaml --local --yes").exits(0);
    let mutations = || {
        let state = fs::read(bench.path().join("state/twin/alleycat/state")).unwrap();
        Twin::from_bytes(&state).unwrap().audit().mutations.len()
    };
    let before = mutations();
    bench.run("daemon spec.yaml --local --observe --for 10m").exits(0);
    let status = bench.run("status spec.yaml --local --output json").exits(0).json();
    assert_eq!(mutations(), before);
    assert_eq!(status["quota"]["updateShardCountLeft"], 10);
    assert_eq!(status["missing"], serde_json::json!([]));
    let stages = status["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 8, "records and bytes, two consumers, write and read of table and index: {stages:#?}");
    assert!(stages.iter().all(|stage| stage["used"].as_f64().is_some()), "{stages:#?}");
    let shards = &status["bounds"][0];
    assert_eq!((&shards["value"], &shards["min"], &shards["max"]), (&1.into(), &1.into(), &16.into()));
    let month = status["cost"]["usdPerMonth"].as_f64().unwrap();
    assert!((month - 28.03).abs() < 0.01, "{month}");
}

#[test]
fn watching_adds_a_screen_each_interval_where_there_is_no_terminal() {
    let bench = Bench::new();
    bench.run("apply spec.yaml --local --yes").exits(0);
    let watched = bench.run("status spec.yaml --local --watch --for 1m --output json").exits(0);
    let times: Vec<String> = watched
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["observedAt"].to_string())
        .collect();
    assert!((6..=8).contains(&times.len()), "every ten seconds of a minute: {times:?}");
    assert!(times.is_sorted() && times.first() != times.last(), "{times:?}");
    bench.run("status spec.yaml --local --interval 5s").exits(64);
}

#[test]
fn ctrl_c_is_the_normal_end_of_watching() {
    let bench = Bench::new();
    let mut command = bench.command("status spec.yaml --local --watch");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("not complete"), "{line}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
