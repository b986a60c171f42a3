//! The house's rules, read from the source itself: which room may import which, what pure rooms may not
//! touch, that every file is declared, and how long files and functions may be.
//!
//! A rule is a pure function from one file to breaches, so each is tried on a small breached snippet below:
//! a rule that cannot fail guards nothing.

mod scan;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use scan::{PathUse, Scan, functions, paths, scan};

/// Greatest length of a file, tests included.
const FILE_LINES: usize = 600;
/// Greatest length of a function.
const FUNCTION_LINES: usize = 70;
/// Files and functions (`path` or `path::name`) that may be longer, each with its reason.
const MAY_BE_LONGER: &[(&str, &str)] = &[];

/// Where a file stands, as the rules see it. Some rooms have a pure part and a shell part.
fn room(file: &str) -> &'static str {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    let (head, tail) = inside.split_once('/').unwrap_or((inside, ""));
    match (head, tail) {
        ("apply", tail) if is_machine(tail) => "apply::machine",
        ("memory", tail) if tail.starts_with("types") || tail.starts_with("ledger") => "memory::types",
        // A `mod.rs` that re-exports both halves belongs to the shell half.
        ("apply", _) => "apply",
        ("memory", _) => "memory",
        (head, _) => ROOMS.iter().find(|(name, _)| *name == head).map_or("root", |(name, _)| name),
    }
}

/// The pure part of `apply`: the step machine and its reading of the facts.
fn is_machine(name: &str) -> bool {
    name.starts_with("machine") || name.starts_with("state")
}

/// What each room may import, besides itself. Data walks spec → observe → diagnose → scale → plan → apply →
/// memory; only `cli` and `daemon` call into the shell, and only `cli` knows the twin and the daemon.
/// `memory` here means the types of memory; the stores are a rule of their own.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("document", &[]),
    ("spec", &["model", "document"]),
    ("diagnose", &["model", "spec", "memory", "cost"]),
    ("scale", &["model", "spec", "diagnose", "memory", "cost"]),
    ("cost", &["model", "spec", "scale"]),
    ("plan", &["model", "spec", "scale", "cost", "memory", "diagnose"]),
    ("memory::types", &["model", "spec", "diagnose", "scale", "plan", "memory"]),
    ("apply::machine", &["model", "spec", "plan", "scale", "memory", "apply"]),
    ("memory", &["model", "spec", "plan", "scale", "diagnose", "cost"]),
    ("aws", &["model", "spec", "plan"]),
    ("observe", &["model", "spec", "aws"]),
    ("apply", &["model", "spec", "aws", "observe", "scale", "plan", "cost", "memory", "diagnose"]),
    ("twin", &["model", "aws", "document"]),
    ("daemon", &["model", "spec", "aws", "observe", "diagnose", "scale", "plan", "apply", "memory", "cost"]),
    (
        "simulate",
        &["model", "spec", "aws", "observe", "diagnose", "scale", "plan", "apply", "memory", "cost", "twin", "daemon"],
    ),
    (
        "cli",
        &[
            "model", "spec", "aws", "observe", "diagnose", "scale", "plan", "apply", "memory", "cost", "twin",
            "daemon", "simulate", "document",
        ],
    ),
];

/// Rooms without clock, I/O, chance or SDK.
const PURE: &[&str] =
    &["model", "document", "spec", "diagnose", "scale", "plan", "cost", "apply::machine", "memory::types"];
/// Crates that a pure room never names.
const IMPURE_CRATES: &[&str] = &[
    "tokio",
    "redb",
    "fastrand",
    "rand",
    "uuid",
    "axum",
    "indicatif",
    "tracing",
    "tracing_subscriber",
    "http",
    "clap",
    "tempfile",
    "anstream",
];
/// Parts of the standard library that a pure room never names.
const IMPURE_STD: &[&str] = &["fs", "net", "process", "thread", "env", "os"];
/// Names of memory's stores; the types beside them are pure.
const STORES: &[&str] = &["Store", "RedbStore", "MemStore", "StoreError", "store"];

/// One rule broken at one place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    file: String,
    line: usize,
    what: String,
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// The module path of a file: `src/a/b.rs` and `src/a/b/mod.rs` are `[a, b]`.
fn module_path(file: &str) -> Vec<String> {
    let inside = file.strip_prefix("src/").unwrap_or(file).trim_end_matches(".rs");
    let mut parts: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// The path from the crate's root that `path` means in `file`, when it stays in this crate.
fn from_root(file: &str, path: &PathUse) -> Option<Vec<String>> {
    let segments = &path.segments;
    let supers = segments.iter().take_while(|segment| *segment == "super").count();
    let mut base = module_path(file);
    base.extend(path.inside.iter().cloned());
    let tail = match segments.first().map(String::as_str)? {
        "crate" | "alleycat_operator" => {
            base.clear();
            &segments[1..]
        }
        "super" => {
            base.truncate(base.len().saturating_sub(supers));
            &segments[supers..]
        }
        _ => return None,
    };
    base.extend_from_slice(tail);
    Some(base)
}

/// Imports between rooms.
fn imports(file: &str, scan: &Scan) -> Vec<Breach> {
    let here = room(file);
    let own = here.split("::").next().unwrap_or(here);
    let allowed = ROOMS.iter().find(|(name, _)| *name == here).map_or(&[][..], |(_, rooms)| *rooms);
    let mut breaches = Vec::new();
    for path in paths(&scan.tokens) {
        let Some(target) = from_root(file, &path) else { continue };
        let Some(first) = target.first() else { continue };
        let name = target.join("::");
        let may = match here {
            "root" => file != "src/main.rs" || first == "cli",
            _ => first == own || allowed.contains(&first.as_str()),
        };
        let store =
            PURE.contains(&here) && first == "memory" && target.iter().any(|part| STORES.contains(&part.as_str()));
        let driver =
            here == "apply::machine" && first == "apply" && target.get(1).is_some_and(|module| !is_machine(module));
        if !may || store || driver {
            breaches.push(Breach {
                file: file.to_owned(),
                line: path.line,
                what: format!("`{here}` imports `{name}`"),
            });
        }
    }
    breaches
}

/// What pure rooms and the twin never name, and what nobody does.
fn purity(file: &str, scan: &Scan) -> Vec<Breach> {
    let here = room(file);
    let pure = PURE.contains(&here);
    let ordered = pure || here == "twin";
    let mut breaches = Vec::new();
    let mut breach = |line: usize, what: String| breaches.push(Breach { file: file.to_owned(), line, what });
    for path in paths(&scan.tokens) {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let name = segments.join("::");
        let first = segments.first().copied().unwrap_or_default();
        let impure = IMPURE_CRATES.contains(&first) || first.starts_with("aws_");
        let standard = first == "std" && segments.get(1).is_some_and(|part| IMPURE_STD.contains(part));
        if pure && (impure || standard) {
            breach(path.line, format!("pure room `{here}` names `{name}`"));
        }
        if ordered && matches!(first, "rand" | "fastrand" | "uuid") {
            breach(path.line, format!("`{here}` names `{name}`: chance comes from the seed"));
        }
        let clock = segments.windows(2).any(|pair| matches!(pair, ["Timestamp" | "Zoned", "now"]));
        if clock && file != "src/aws/clock.rs" {
            breach(path.line, format!("`{name}`: the only clock is src/aws/clock.rs"));
        }
    }
    for (index, token) in scan.tokens.iter().enumerate() {
        let next = |step: usize| scan.tokens.get(index + step).map_or("", |token| token.text.as_str());
        match token.text.as_str() {
            word @ ("HashMap" | "HashSet" | "SystemTime" | "Instant") if ordered => {
                breach(token.line, format!("`{here}` names `{word}`"));
            }
            "spawn_blocking" => breach(token.line, "`spawn_blocking` stops the paused clock".to_owned()),
            "select" if next(1) == "!" && next(3) != "biased" => {
                breach(token.line, "`select!` without `biased` picks at random".to_owned());
            }
            _ => {}
        }
    }
    breaches
}

/// Length of the file and of its functions.
fn lengths(file: &str, source: &str, scan: &Scan) -> Vec<Breach> {
    let excused = |name: &str| MAY_BE_LONGER.iter().any(|(listed, _)| *listed == name);
    let mut breaches = Vec::new();
    let lines = source.lines().count();
    if lines > FILE_LINES && !excused(file) {
        let what = format!("the file has {lines} lines, more than {FILE_LINES}");
        breaches.push(Breach { file: file.to_owned(), line: lines, what });
    }
    for function in functions(&scan.tokens) {
        if function.lines > FUNCTION_LINES && !excused(&format!("{file}::{}", function.name)) {
            let what = format!("fn {} has {} lines, more than {FUNCTION_LINES}", function.name, function.lines);
            breaches.push(Breach { file: file.to_owned(), line: function.line, what });
        }
    }
    breaches
}

/// The files that may declare `file`, and the name they would use.
fn parents(file: &str) -> Option<(Vec<String>, String)> {
    let (directory, name) = file.rsplit_once('/')?;
    let stem = name.trim_end_matches(".rs");
    let (directory, stem) = if stem == "mod" { directory.rsplit_once('/')? } else { (directory, stem) };
    let roots = ["lib.rs", "main.rs", "mod.rs"].map(|root| format!("{directory}/{root}"));
    let mut parents = roots.to_vec();
    parents.push(format!("{directory}.rs"));
    Some((parents, stem.to_owned()))
}

/// Files that no parent declares: they would never be compiled.
fn undeclared(files: &BTreeMap<String, Scan>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files.keys() {
        if matches!(file.as_str(), "src/lib.rs" | "src/main.rs" | "tests/it/main.rs") {
            continue;
        }
        let declared = parents(file).is_some_and(|(parents, stem)| {
            parents.iter().filter_map(|parent| files.get(parent)).any(|scan| scan.declared.contains(&stem))
        });
        if !declared {
            breaches.push(Breach { file: file.clone(), line: 1, what: "no parent declares this file".to_owned() });
        }
    }
    breaches
}

/// Files that are compiled for tests only: declared with `#[cfg(test)] mod`, or below such a file.
fn test_only(files: &BTreeMap<String, Scan>) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    for file in files.keys() {
        let Some((parents, stem)) = parents(file) else { continue };
        let marked = parents.iter().any(|parent| {
            found.contains(parent) || files.get(parent).is_some_and(|scan| scan.test_only.contains(&stem))
        });
        if marked {
            found.insert(file.clone());
        }
    }
    found
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file below `folder`, by its path in the repository.
fn sources(folder: &str) -> BTreeMap<String, String> {
    fn walk(directory: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(directory).expect("a folder of the repository can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(repository()).expect("inside the repository");
                let name = name.to_string_lossy().replace('\\', "/");
                found.insert(name, fs::read_to_string(&path).expect("source is UTF-8"));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&repository().join(folder), &mut found);
    found
}

fn tell(breaches: &mut [Breach]) -> String {
    breaches.sort();
    breaches.iter().fold(String::new(), |told, breach| told + "\n  " + &breach.to_string())
}

#[test]
fn rooms_import_only_what_the_house_allows() {
    let sources = sources("src");
    let scans: BTreeMap<String, Scan> = sources.iter().map(|(file, source)| (file.clone(), scan(source))).collect();
    let tests = test_only(&scans);
    let shipped = || scans.iter().filter(|(file, _)| !tests.contains(*file));
    let mut breaches: Vec<Breach> = shipped()
        .flat_map(|(file, scan)| {
            let mut both = imports(file, scan);
            both.extend(purity(file, scan));
            both
        })
        .collect();
    assert!(shipped().count() > 20, "the walk found too few files to mean anything");
    assert!(breaches.is_empty(), "rules of the house broken:{}", tell(&mut breaches));
}

#[test]
fn files_and_functions_stay_short() {
    let mut files = sources("src");
    let shipped = files.len();
    files.extend(sources("tests/it"));
    assert!(files.len() > shipped, "tests/it was walked");
    let mut breaches: Vec<Breach> =
        files.iter().flat_map(|(file, source)| lengths(file, source, &scan(source))).collect();
    assert!(breaches.is_empty(), "too long:{}", tell(&mut breaches));
}

#[test]
fn every_file_is_declared() {
    let mut files = sources("src");
    files.extend(sources("tests/it"));
    let scans = files.iter().map(|(file, source)| (file.clone(), scan(source))).collect();
    let mut breaches = undeclared(&scans);
    assert!(breaches.is_empty(), "never compiled:{}", tell(&mut breaches));
}

/// Each rule, tried on a snippet that breaks it and on one that does not.
mod rules_can_fail {
    use super::*;

    fn imports_of(file: &str, source: &str) -> Vec<String> {
        imports(file, &scan(source)).into_iter().map(|breach| breach.what).collect()
    }

    fn purity_of(file: &str, source: &str) -> Vec<String> {
        purity(file, &scan(source)).into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn a_pure_room_that_imports_the_shell() {
        assert_eq!(
            imports_of("src/plan/order.rs", "use crate::{model::Facts, aws::Clock};"),
            ["`plan` imports `aws::Clock`"]
        );
        assert_eq!(
            imports_of("src/scale/size.rs", "fn f() { crate::plan::plan(); }"),
            ["`scale` imports `plan::plan`"]
        );
        assert_eq!(
            imports_of("src/diagnose/mod.rs", "use super::scale::Targets;"),
            ["`diagnose` imports `scale::Targets`"]
        );
        assert_eq!(
            imports_of("src/model/facts.rs", "use super::super::spec::Pipeline;"),
            ["`model` imports `spec::Pipeline`"]
        );
        assert_eq!(imports_of("src/model/mod.rs", "use super::*;"), ["`model` imports `*`"]);
        assert!(
            imports_of("src/scale/size.rs", "use super::targets::Targets; use crate::{memory::Memory, spec};")
                .is_empty()
        );
    }

    #[test]
    fn a_pure_room_that_imports_a_store_or_the_driver() {
        assert_eq!(
            imports_of("src/scale/mod.rs", "use crate::memory::RedbStore;"),
            ["`scale` imports `memory::RedbStore`"]
        );
        assert_eq!(
            imports_of("src/memory/types.rs", "use super::store::Store;"),
            ["`memory::types` imports `memory::store::Store`"]
        );
        assert_eq!(
            imports_of("src/apply/machine.rs", "use super::perform;"),
            ["`apply::machine` imports `apply::perform`"]
        );
        assert_eq!(imports_of("src/apply/machine.rs", "use crate::aws::Aws;"), ["`apply::machine` imports `aws::Aws`"]);
        assert!(imports_of("src/apply/machine/tests.rs", "use super::super::machine::next;").is_empty());
    }

    #[test]
    fn the_twin_or_the_shell_that_knows_too_much() {
        assert_eq!(imports_of("src/twin/kinesis.rs", "use crate::scale::size;"), ["`twin` imports `scale::size`"]);
        assert_eq!(imports_of("src/observe/mod.rs", "use crate::twin::Twin;"), ["`observe` imports `twin::Twin`"]);
        assert_eq!(imports_of("src/daemon/mod.rs", "use crate::cli::Exit;"), ["`daemon` imports `cli::Exit`"]);
        assert_eq!(imports_of("src/main.rs", "use alleycat_operator::aws;"), ["`root` imports `aws`"]);
        assert!(imports_of("src/cli/plan.rs", "use crate::{twin, daemon, observe};").is_empty());
    }

    #[test]
    fn clocks_chance_and_unordered_maps() {
        assert_eq!(purity_of("src/plan/a.rs", "use std::fs;"), ["pure room `plan` names `std::fs`"]);
        assert_eq!(
            purity_of("src/scale/a.rs", "fn f() { tokio::time::sleep(d) }"),
            ["pure room `scale` names `tokio::time::sleep`"]
        );
        assert_eq!(
            purity_of("src/model/a.rs", "use aws_sdk_kinesis::Client;"),
            ["pure room `model` names `aws_sdk_kinesis::Client`"]
        );
        assert_eq!(
            purity_of("src/twin/a.rs", "use std::collections::{BTreeMap, HashMap};"),
            ["`twin` names `HashMap`"]
        );
        assert_eq!(purity_of("src/twin/a.rs", "use std::time::SystemTime;"), ["`twin` names `SystemTime`"]);
        assert_eq!(purity_of("src/twin/a.rs", "fn f() { fastrand::u8(..); }").len(), 1);
        assert_eq!(purity_of("src/daemon/a.rs", "fn f() { let t = jiff::Timestamp::now(); }").len(), 1);
        assert!(purity_of("src/aws/clock.rs", "fn f() { let t = jiff::Timestamp::now(); }").is_empty());
        assert!(purity_of("src/plan/a.rs", "use std::collections::BTreeMap; use jiff::Timestamp;").is_empty());
    }

    #[test]
    fn select_without_biased_and_blocking_work() {
        assert_eq!(purity_of("src/daemon/a.rs", "fn f() { tokio::select! { _ = a => {} } }").len(), 1);
        assert!(purity_of("src/daemon/a.rs", "fn f() { tokio::select! { biased; _ = a => {} } }").is_empty());
        assert_eq!(purity_of("src/cli/a.rs", "fn f() { tokio::task::spawn_blocking(g); }").len(), 1);
    }

    #[test]
    fn long_files_and_functions() {
        let long = format!("fn long() {{\n{}}}\n", "    step();\n".repeat(FUNCTION_LINES));
        let told = lengths("src/plan/a.rs", &long, &scan(&long));
        assert_eq!(told.len(), 1, "{told:?}");
        let file = "const A: u8 = 0;\n".repeat(FILE_LINES + 1);
        assert_eq!(lengths("src/plan/a.rs", &file, &scan(&file)).len(), 1);
        let short = format!("fn short() {{\n{}}}\n", "    step();\n".repeat(FUNCTION_LINES - 2));
        assert!(lengths("src/plan/a.rs", &short, &scan(&short)).is_empty());
    }

    #[test]
    fn files_that_nobody_declares() {
        let files = [
            ("src/lib.rs", "pub mod plan;"),
            ("src/plan/mod.rs", "mod a; #[cfg(test)] mod t;"),
            ("src/plan/a.rs", ""),
            ("src/plan/b.rs", ""),
            ("src/plan/t.rs", ""),
        ];
        let scans: BTreeMap<String, Scan> =
            files.iter().map(|(file, source)| ((*file).to_owned(), scan(source))).collect();
        let told = undeclared(&scans);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].file, "src/plan/b.rs");
        assert_eq!(test_only(&scans).into_iter().collect::<Vec<_>>(), ["src/plan/t.rs"]);
    }

    #[test]
    fn every_folder_under_src_is_a_known_room() {
        for (file, _) in sources("src") {
            let known = room(&file) != "root" || matches!(file.as_str(), "src/lib.rs" | "src/main.rs");
            assert!(known, "{file} is in no room of the table");
        }
    }
}
