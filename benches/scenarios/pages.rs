//! docs/benchmarks.md and docs/pareto.svg, from the results alone.

use std::fmt::Write as _;

use alleycat_operator::{
    cli::render::html::pareto::{self, Point},
    simulate::Policy,
};

use super::{
    rows::Row,
    tables::{Results, Verdict},
};

const INTRO: &str = "# Benchmarks

Written by `cargo bench --bench scenarios -- --traces DIR --write-docs`; do not edit.

Every cell is `violation minutes / cost over the clairvoyant's`. A violation minute has an iterator age above 300 s or
more than 0.1 % of its records rejected. The cost is what scaling changes (shards, fan-out, retention, capacity,
on-demand charges), over what a policy would pay that knew the future: shards by dynamic programming on a grid of 15
minutes at full use, write capacity at the greatest minute of each five, reductions free. 1.00 cannot be reached. The
first hour is not counted. The worlds are `examples/benchmark/*.yaml`; the marks stand in `src/simulate/scenarios.rs`,
the days of the `own_` traces in `benches/scenarios/shapes.rs`. Everything runs on the simulated AWS: what it assumes
stands in [twin-assumptions.md](twin-assumptions.md). Held out is what nothing was mended on after it had been played:
S13, `nab_ec2_network_in` and `own_batch_jobs` were until an error was found on them.

![violation minutes against cost, all rows together](pareto.svg)
";

/// The page.
pub fn page(results: &Results, skipped: &[String]) -> String {
    let mut out = INTRO.to_owned();
    let seeds = results.rows.iter().map(|row| row.seeds).max().unwrap_or(0);
    let _ = writeln!(out, "\nSeeds a row, at most: {seeds}. A mark holds when it holds with every seed.");
    let all: u64 = results.rows.iter().map(|row| row.seeds).sum::<u64>() * results.policies.len() as u64;
    if (results.played.len() as u64) < all {
        let played = results.played.len();
        let _ = writeln!(
            out,
            "\n{played} of {all} cells were played (`--minutes`): a mean is over the seeds that are there."
        );
    }
    for (held_out, scenario, title) in [
        (false, true, "Scenarios"),
        (true, true, "Scenarios held out of all tuning"),
        (false, false, "Traces"),
        (true, false, "Traces held out of all tuning"),
    ] {
        let of = |row: &&Row| row.held_out == held_out && row.scenario.is_some() == scenario;
        let rows: Vec<&Row> = results.rows.iter().filter(of).collect();
        if !rows.is_empty() {
            section(&mut out, results, title, &rows);
        }
    }
    if !skipped.is_empty() {
        let _ = writeln!(out, "\nNot played, for want of a trace: {}.", skipped.join(", "));
    }
    out
}

fn section(out: &mut String, results: &Results, title: &str, rows: &[&Row]) {
    let names: Vec<&str> = results.policies.iter().map(|named| named.name.as_str()).collect();
    let _ = write!(
        out,
        "\n## {title}\n\n| | {} | pass | goal |\n|---|{}---|---|\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for row in rows {
        let cells: Vec<String> = names.iter().map(|name| results.cell(row, name)).collect();
        let verdict = results.verdict(row);
        let (pass, goal) = (Verdict::word(&verdict.pass), Verdict::word(&verdict.goal));
        let _ = writeln!(out, "| {} | {} | {pass} | {goal} |", row.name, cells.join(" | "));
    }
    out.push('\n');
    for row in rows {
        let verdict = results.verdict(row);
        for (name, marks) in [("pass", &verdict.pass), ("goal", &verdict.goal)] {
            for mark in marks.iter().filter(|mark| !mark.reached) {
                let _ = writeln!(out, "- {}, {name} missed: {}", row.name, mark.text);
            }
        }
    }
}

/// All rows together: each policy's violation minutes a day, and its cost over the clairvoyant's. Only rows that every
/// policy has played count.
pub fn pareto(results: &Results) -> String {
    let complete = |row: &&Row| results.policies.iter().all(|named| results.point(row, &named.name).is_some());
    let rows: Vec<&Row> = results.rows.iter().filter(complete).collect();
    let days: f64 = rows.iter().map(|row| row.length.as_secs_f64() / 86_400.0).sum();
    let points = results.policies.iter().map(|named| {
        let sum = |of: &dyn Fn(&Row) -> Option<f64>| rows.iter().filter_map(|row| of(row)).sum::<f64>();
        let minutes = sum(&|row| Some(results.point(row, &named.name)?.0));
        let paid = sum(&|row| Some(results.point(row, &named.name)?.1));
        let optimum = sum(&|row| {
            results.mean(row, &named.name, |it| {
                let cost = &it.measures.cost;
                cost.ratio_to_clairvoyant.map_or(f64::NAN, |ratio| cost.scaled_usd / ratio)
            })
        });
        let ours = matches!(named.policy, Policy::Operator(_));
        Point { name: named.name.clone(), minutes: minutes / days, cost: paid / optimum, ours }
    });
    let points: Vec<Point> = points.filter(|point| point.minutes.is_finite() && point.cost.is_finite()).collect();
    pareto::document(&points, "violation minutes a day", "cost over the clairvoyant's").expect("the plot can be drawn")
}
