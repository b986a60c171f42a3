//! The matrix: every scenario, and every trace of a directory, under every policy, judged by the marks.
//! `cargo bench --bench scenarios -- --traces DIR [--only s4,s5] [--policies operator,staticPeak] [--seeds 1] [--quick]`
//!
//! `cargo bench --bench scenarios -- --ablations [--only s4,s5] [--write-docs]` plays ours with one part taken away at a
//! time instead, and writes docs/ablations.md.
//!
//! Each cell is one file in `target/scenarios/`, named by a hash of its world, spec, policy, seed, length and code, so a
//! run that was stopped goes on where it was. The code is this program's own bytes, unless `--code NAME` says otherwise.
//! Scenarios that replay a trace are skipped, by name, without `--traces`; the project's own traces (shapes.rs) need none.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench reads the clock, and its output is its purpose"
)]

mod ablations;
mod cells;
mod pages;
mod rows;
mod shapes;
mod tables;

use std::{fs, path::PathBuf};

use alleycat_operator::{
    simulate::{Ablation, Policy},
    spec::{self, ScalingPolicy},
};
use clap::Parser;

use tables::Results;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Every scenario and trace under every policy.
#[derive(Debug, Parser)]
pub struct Args {
    /// A directory of more traces: CSV files with the columns `t_s` and `rate_per_s`.
    #[arg(long)]
    traces: Option<PathBuf>,
    /// Only these rows: names of worlds (`s4`), of the study's rows (`S11`), or of traces.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these policies; `careful`, `eager` and policy files stand for ours with that policy.
    #[arg(long, value_delimiter = ',')]
    policies: Vec<String>,
    /// At most so many seeds.
    #[arg(long)]
    seeds: Option<u64>,
    /// One seed, and one day at most.
    #[arg(long)]
    quick: bool,
    /// Begin no cell after so many minutes: the tables are of what is there. Rows come seed by seed, so each has some.
    #[arg(long)]
    minutes: Option<u64>,
    /// Cells at a time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// What the cells' code is called; cells of the same name are taken from the files.
    #[arg(long)]
    code: Option<String>,
    /// Play these policies again, whatever the files say.
    #[arg(long, value_delimiter = ',')]
    again: Vec<String>,
    /// Write docs/benchmarks.md and docs/pareto.svg.
    #[arg(long)]
    write_docs: bool,
    /// Ours with one part taken away at a time, on five scenarios unless --only names others.
    #[arg(long, conflicts_with = "policies")]
    ablations: bool,
    /// What cargo passes.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A policy by its name in the table.
pub struct Named {
    /// As the table heads its column.
    pub name: String,
    /// The policy.
    pub policy: Policy,
}

fn policies(asked: &[String]) -> Vec<Named> {
    let ours = |policy: ScalingPolicy| Policy::Operator(Box::new(policy));
    let builtin = |name: &str| spec::policy::builtin(name).expect("a built-in policy");
    let named = |name: &str| {
        let file = || {
            let text = fs::read_to_string(name).unwrap_or_else(|error| panic!("no policy `{name}`: {error}"));
            ours(spec::policy::parse(&text).unwrap_or_else(|problems| panic!("{name}: {problems:#?}")))
        };
        let policy = match name {
            Policy::OPERATOR => ours(builtin("balanced")),
            "careful" | "balanced" | "eager" => ours(builtin(name)),
            _ => Policy::baseline(name).unwrap_or_else(file),
        };
        Named { name: name.to_owned(), policy }
    };
    if asked.is_empty() {
        let all = std::iter::once(Policy::OPERATOR).chain(Policy::BASELINES.iter().map(Policy::name));
        return all.map(named).collect();
    }
    asked.iter().map(|name| named(name)).collect()
}

/// Ours, and ours without each of its parts.
fn ablated() -> Vec<Named> {
    let ours = || Box::new(spec::policy::builtin("balanced").expect("a built-in policy"));
    let without = Ablation::ALL.into_iter().map(|part| Policy::Ablated(part, ours()));
    let all = std::iter::once(Policy::Operator(ours())).chain(without);
    all.map(|policy| Named { name: policy.name().to_owned(), policy }).collect()
}

fn main() {
    let mut args = Args::parse();
    let begun = std::time::Instant::now();
    if args.ablations && args.only.is_empty() {
        args.only = ablations::ROWS.map(str::to_owned).into();
    }
    let policies = if args.ablations { ablated() } else { policies(&args.policies) };
    let (rows, skipped) = rows::rows(&args);
    for name in &skipped {
        eprintln!("skipped: {name} replays a trace, and --traces DIR is not given or has no such file");
    }
    let played = cells::play(&args, &rows, &policies);
    let results = Results { rows, policies, played };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    eprintln!("{} cells in {:.0} s", results.played.len(), begun.elapsed().as_secs_f64());
    if args.ablations {
        let page = ablations::page(&results);
        println!("{page}");
        if args.write_docs {
            fs::write(root.join("docs/ablations.md"), page).expect("docs/ablations.md");
        }
        return;
    }
    println!("{}", results.text());
    if args.write_docs {
        fs::write(root.join("docs/benchmarks.md"), pages::page(&results, &skipped)).expect("docs/benchmarks.md");
        fs::write(root.join("docs/pareto.svg"), pages::pareto(&results)).expect("docs/pareto.svg");
    }
}
