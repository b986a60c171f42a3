//! The cells: played on some threads, each kept in a file of its own.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use alleycat_operator::{
    cost::PriceSheet,
    simulate::{Cell, Figures, demand_of},
};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Args, Named, rows::Row};

/// Row, policy, seed.
pub type Key = (String, String, u64);

/// A cell's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    row: String,
    policy: String,
    seed: u64,
    real_seconds: f64,
    figures: Figures,
}

/// Plays what is not kept; a cell that fails is told of and left out.
pub fn play(args: &Args, rows: &[Row], policies: &[Named]) -> BTreeMap<Key, Figures> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/scenarios");
    fs::create_dir_all(&folder).expect("target/scenarios");
    let code = args.code.clone().unwrap_or_else(own_bytes);
    let mut jobs: Vec<(&Row, &Named, u64)> = rows
        .iter()
        .flat_map(|row| policies.iter().flat_map(move |named| (1..=row.seeds).map(move |seed| (row, named, seed))))
        .collect();
    jobs.sort_by_key(|(.., seed)| *seed);
    let begun = Instant::now();
    let late = || args.minutes.is_some_and(|minutes| begun.elapsed().as_secs() >= 60 * minutes);
    let (next, played) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((row, named, seed)) = jobs.get(index) else { break };
                    let path = folder.join(file(row, named, *seed, &code));
                    let again = args.again.contains(&named.name);
                    let kept = if again { None } else { read(&path) };
                    let fresh = kept.is_none();
                    if fresh && late() {
                        continue;
                    }
                    let Some(kept) = kept.or_else(|| cell(row, named, *seed)) else { continue };
                    if fresh {
                        let half = path.with_extension("half");
                        fs::write(&half, serde_json::to_vec(&kept).expect("JSON")).expect("a cell's file");
                        fs::rename(&half, &path).expect("a cell's file");
                        eprintln!(
                            "{}/{}: {} {} seed {seed}: {} violation minutes, {:.2} of the clairvoyant's cost, {:.1} s",
                            index + 1,
                            jobs.len(),
                            row.name,
                            named.name,
                            kept.figures.measures.violation_minutes.total,
                            kept.figures.measures.cost.ratio_to_clairvoyant.unwrap_or(f64::NAN),
                            kept.real_seconds
                        );
                    }
                    played.lock().expect("no thread panics").insert((kept.row, kept.policy, kept.seed), kept.figures);
                }
            });
        }
    });
    played.into_inner().expect("no thread panics")
}

fn read(path: &std::path::Path) -> Option<Kept> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn cell(row: &Row, named: &Named, seed: u64) -> Option<Kept> {
    let begun = Instant::now();
    let cell = Cell {
        pipeline: row.pipeline.clone(),
        policy: named.policy.clone(),
        world: row.world.clone(),
        seed,
        length: row.length,
        warm_up: SignedDuration::from_hours(1),
    };
    let figures = cell.play().and_then(|run| {
        let demand = demand_of(&cell, &run)?;
        Ok(Figures::of(&cell, &run, row.scenario, &demand, &PriceSheet::us_east_1()))
    });
    match figures {
        Ok(figures) => Some(Kept {
            row: row.name.clone(),
            policy: named.name.clone(),
            seed,
            real_seconds: begun.elapsed().as_secs_f64(),
            figures,
        }),
        Err(failure) => {
            eprintln!("{} {} seed {seed} FAILED: {failure}", row.name, named.name);
            None
        }
    }
}

/// The name of a cell's file.
fn file(row: &Row, named: &Named, seed: u64, code: &str) -> String {
    let mut hash = Sha256::new();
    for part in [
        serde_json::to_string(&row.world).expect("a world is JSON"),
        serde_json::to_string(&row.pipeline).expect("a pipeline is JSON"),
        format!("{:?} {seed} {} {:?} {code}", named.policy, row.length, row.scenario),
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let hash = hex(&hash.finalize()[..8]);
    let policy: String = named.name.chars().map(|it| if it.is_alphanumeric() { it } else { '_' }).collect();
    format!("{}-{policy}-{seed}-{hash}.json", row.name)
}

/// A hash of this program.
fn own_bytes() -> String {
    let program = std::env::current_exe().and_then(fs::read).expect("this program can be read");
    hex(&Sha256::digest(program))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
