//! docs/ablations.md: ours with one part taken away at a time, beside ours.

use std::fmt::Write as _;

use alleycat_operator::simulate::{Ablation, Figures, Policy};

use super::tables::{Results, short};

/// The scenarios played unless others are named: a step, a ramp, a step with the metrics away, a capped table, chaos.
pub const ROWS: [&str; 5] = ["s4", "s5", "s9-step", "s7", "s11-s4"];

const INTRO: &str = "# Ablations

What each part of the sizing is worth: the scenarios of [the benchmark](benchmarks.md) played by the operator (`balanced`) and
by the operator without that part. Written by `cargo bench --bench scenarios -- --ablations --write-docs`; do not edit.

| name | what is done |
|---|---|
";

const COLUMNS: &str = "
`viol min`: minutes with an iterator age above 300 s or more than 0.1 % of the records rejected. `cost`: what scaling
changes, over the clairvoyant's. `reshards`: UpdateShardCount calls. `rejected` records are lost by producers that do not
send them again, `expired` ones outlived the retention. `refused`: calls that AWS refused because a budget was used up.
`into throttles`: raises of the parallelization factor while a table throttled. `blind`: reductions while CloudWatch
published nothing.
";

/// The page.
pub fn page(results: &Results) -> String {
    let mut out = INTRO.to_owned();
    for part in Ablation::ALL {
        let _ = writeln!(out, "| `{}` | {} |", part.name(), part.words());
    }
    out += COLUMNS;
    for row in &results.rows {
        let seeds = if row.seeds == 1 { "1 seed".to_owned() } else { format!("mean of {} seeds", row.seeds) };
        let _ = writeln!(out, "\n## {}\n\n{} h, {seeds}.\n", row.name, row.length.as_hours());
        out += "| | viol min | cost | reshards | rejected | expired | reversals | refused | into throttles | blind |\n";
        out += "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
        for named in &results.policies {
            let mean = |of: fn(&Figures) -> f64| results.mean(row, &named.name, of);
            let whole = |of: fn(&Figures) -> f64| mean(of).map_or_else(|| "-".to_owned(), short);
            let Some(cost) = mean(|it| it.measures.cost.ratio_to_clairvoyant.unwrap_or(f64::NAN)) else { continue };
            let name = if named.name == Policy::OPERATOR { "**operator**".to_owned() } else { named.name.clone() };
            let _ = writeln!(
                out,
                "| {name} | {} | {cost:.2} | {} | {} | {} | {} | {} | {} | {} |",
                whole(|it| it.measures.violation_minutes.total as f64),
                whole(|it| it.measures.operations.get("kinesis:UpdateShardCount").copied().unwrap_or(0) as f64),
                whole(|it| it.measures.records.rejected as f64),
                whole(|it| it.measures.records.expired as f64),
                whole(|it| it.measures.reversals as f64),
                whole(|it| it.measures.quota_refusals as f64),
                whole(|it| it.consumer_raises_while_throttled as f64),
                whole(|it| it.scale_ins_while_blind as f64),
            );
        }
    }
    out
}
