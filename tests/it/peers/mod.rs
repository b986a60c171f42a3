//! Differential tests: the same calls on the twin and on emulators that are not ours, answer against answer.
//!
//! The calls are data (`*.yaml` here), sent as the same HTTP requests to both. Where answers differ,
//! `differences.yaml` says which is right and cites AWS's documentation: an unexplained difference fails, and so
//! does an entry that no longer differs. `scripts/test` installs the emulators; without one, its checks are
//! named and did not run, which in CI is a failure.

mod emulator;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
};

use alleycat_operator::twin::{Response, Twin, World};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::conformance::{answer, request};
use emulator::Emulator;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/peers");
/// The sequences; each says which peers it is for.
const FILES: [&str; 6] = ["kinesis", "dynamodb", "lambda", "cloudwatch", "autoscaling", "sts"];
/// How long the twin gets after a call that settles; an emulator is asked until it has.
const SETTLE: SignedDuration = SignedDuration::from_mins(20);

/// Calls for the twin and each of its peers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sequence {
    peers: Vec<String>,
    steps: Vec<Step>,
}

/// One call, and what of its answer is compared besides success or the error's code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Unique in its file.
    name: String,
    /// `kinesis:CreateStream`.
    call: String,
    /// `$NAME` stands for something kept or for `$REGION` and `$ACCOUNT`; a text `@-60` for the time now, at a full
    /// minute, less a minute, in epoch seconds.
    #[serde(default)]
    input: Map<String, Value>,
    /// JSON pointers into the answer; `#` at the end compares the length of a list.
    #[serde(default)]
    look: Vec<String>,
    /// Name → pointer: kept for later calls.
    #[serde(default)]
    keep: BTreeMap<String, String>,
    /// Wait until transitions have ended.
    #[serde(default)]
    settle: bool,
}

/// Why a step's answers differ.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    peers: Vec<String>,
    /// `file/step` names; all with one reason.
    steps: Vec<String>,
    right: Right,
    why: String,
    source: String,
}

#[derive(Deserialize, PartialEq, Eq, Clone, Copy, Debug)]
#[serde(rename_all = "lowercase")]
enum Right {
    Twin,
    Peer,
    /// AWS documents neither.
    Unknown,
}

fn read<T: serde::de::DeserializeOwned>(file: &str) -> T {
    let text = fs::read_to_string(format!("{FOLDER}/{file}.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}.yaml: {error}"))
}

/// One side of the comparison.
enum Side {
    Twin(Box<Twin>, Timestamp),
    Peer(Emulator),
}

impl Side {
    fn twin() -> Self {
        let world = World::alleycat().with_races(0);
        let now = world.start;
        let mut twin = Twin::new(world, 7);
        // The calls come at one moment, and no emulator has request rates: tests/it/conformance/rates.rs shows ours.
        twin.assumptions_mut().enforce_request_rates = false;
        Self::Twin(Box::new(twin), now)
    }

    fn variables(&self) -> BTreeMap<String, String> {
        let (region, account) = match self {
            Self::Twin(twin, _) => (twin.world().region.clone(), twin.world().account_id.clone()),
            Self::Peer(peer) => (emulator::REGION.to_owned(), peer.account().to_owned()),
        };
        BTreeMap::from([("REGION".to_owned(), region), ("ACCOUNT".to_owned(), account)])
    }

    fn now(&self) -> i64 {
        match self {
            Self::Twin(_, now) => now.as_second(),
            Self::Peer(_) => emulator::now(),
        }
    }

    fn send(&mut self, call: &str, input: &Value) -> Response {
        let request = request(call, input);
        match self {
            Self::Twin(twin, now) => twin.handle(*now, &request),
            Self::Peer(peer) => peer.send(call, &request),
        }
    }

    fn settle(&mut self) {
        match self {
            Self::Twin(twin, now) => {
                *now += SETTLE;
                twin.advance(*now);
            }
            Self::Peer(peer) => peer.settle(),
        }
    }

    /// What each step gives, in words that can be compared.
    fn play(&mut self, steps: &[Step]) -> Vec<String> {
        let mut variables = self.variables();
        let base = self.now() / 60 * 60;
        let play = |step: &Step| {
            let input = fill(&Value::Object(step.input.clone()), &variables, base);
            let given = answer(&self.send(&step.call, &input));
            if step.settle {
                self.settle();
            }
            match given {
                Err(refused) => format!("{} {}", refused.status, refused.code),
                Ok(output) => {
                    for (name, pointer) in &step.keep {
                        let value = output.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                        variables.insert(name.clone(), value.to_owned());
                    }
                    let looks = step.look.iter().map(|pointer| format!(" {pointer} = {}", look(&output, pointer)));
                    format!("ok{}", looks.collect::<String>())
                }
            }
        };
        steps.iter().map(play).collect()
    }
}

fn look(output: &Value, pointer: &str) -> Value {
    match pointer.strip_suffix('#') {
        Some(list) => Value::from(output.pointer(list).and_then(Value::as_array).map_or(0, Vec::len)),
        None => match output.pointer(pointer) {
            // Emulators differ in writing 5 or 5.0.
            Some(Value::Number(number)) => Value::from(number.as_f64()),
            other => other.cloned().unwrap_or_default(),
        },
    }
}

fn fill(value: &Value, variables: &BTreeMap<String, String>, base: i64) -> Value {
    match value {
        Value::String(text) => {
            if let Some(offset) = text.strip_prefix('@') {
                return Value::from(base + offset.parse::<i64>().unwrap());
            }
            let replace = |text: String, (name, value): (&String, &String)| text.replace(&format!("${name}"), value);
            Value::String(variables.iter().fold(text.clone(), replace))
        }
        Value::Array(items) => items.iter().map(|item| fill(item, variables, base)).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(key, value)| (key.clone(), fill(value, variables, base))).collect())
        }
        other => other.clone(),
    }
}

/// Plays the files for `peer` on the twin and on it and compares.
fn compare(peer: &str) {
    let mut differences = BTreeMap::new();
    for difference in read::<Vec<Difference>>("differences") {
        assert!(!difference.why.is_empty() && !difference.source.is_empty(), "{:?}", difference.steps);
        if difference.peers.iter().any(|name| name == peer) {
            differences.extend(difference.steps.into_iter().map(|step| (step, difference.right)));
        }
    }
    let mut problems = String::new();
    let mut known = BTreeSet::new();
    for file in FILES {
        let sequence: Sequence = read(file);
        if !sequence.peers.iter().any(|name| name == peer) {
            continue;
        }
        let Some(emulator) = Emulator::start(peer, &format!("{file}.yaml on {peer}")) else { return };
        let ours = Side::twin().play(&sequence.steps);
        let theirs = Side::Peer(emulator).play(&sequence.steps);
        for ((step, ours), theirs) in sequence.steps.iter().zip(ours).zip(theirs) {
            let name = format!("{file}/{}", step.name);
            assert!(known.insert(name.clone()), "two steps are named {name}");
            match (ours == theirs, differences.get(&name)) {
                (true, None) | (false, Some(_)) => {}
                (true, Some(_)) => drop(writeln!(problems, "- {name} no longer differs: {ours}")),
                (false, None) => {
                    let _ = writeln!(problems, "- {name} ({})\n    twin: {ours}\n    {peer}: {theirs}", step.call);
                }
            }
        }
    }
    for name in differences.keys().filter(|name| !known.contains(*name)) {
        let _ = writeln!(problems, "- no step is named {name}");
    }
    assert!(problems.is_empty(), "answers that differ without a reason in differences.yaml:\n{problems}");
}

#[test]
fn kinesis_local_answers_as_the_twin() {
    compare("kinesis-local");
}

#[test]
fn ministack_answers_as_the_twin() {
    compare("ministack");
}

#[test]
fn moto_answers_as_the_twin() {
    compare("moto");
}

/// docs/peers.md is the table of differences (`BLESS=1` writes it).
#[test]
fn the_docs_list_the_differences() {
    let mut text = String::from(
        "# Where other emulators answer differently\n\n\
         The same calls are sent to the twin and to kinesis-local, ministack and moto in CI (`tests/it/peers/`), and their\n\
         answers are compared: success or the error's status and code, and some members. This is every difference, which\n\
         answer is AWS's, and where AWS says so. The names in parentheses are those of the calls in `tests/it/peers/`.\n\n\
         Written by `BLESS=1 cargo test --test it peers` from `tests/it/peers/differences.yaml`.\n\n",
    );
    let differences = read::<Vec<Difference>>("differences");
    text.push_str("| emulator | calls | of these, answered otherwise than the twin |\n|---|---|---|\n");
    for peer in ["kinesis-local", "ministack", "moto"] {
        let sequences = FILES.iter().map(|file| read::<Sequence>(file));
        let calls: usize =
            sequences.filter(|its| its.peers.iter().any(|name| name == peer)).map(|its| its.steps.len()).sum();
        let theirs = differences.iter().filter(|difference| difference.peers.iter().any(|name| name == peer));
        let _ =
            writeln!(text, "| {peer} | {calls} | {} |", theirs.map(|difference| difference.steps.len()).sum::<usize>());
    }
    text.push_str("\n| emulator | calls | right | why | source |\n|---|---|---|---|---|\n");
    for Difference { peers, steps, right, why, source } in differences {
        let right = match right {
            Right::Twin => "the twin",
            Right::Peer => "the emulator",
            Right::Unknown => "not documented",
        };
        let _ = writeln!(text, "| {} | {} | {right} | {why} | {source} |", peers.join(", "), calls(&steps));
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/peers.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(file, &text).unwrap();
    }
    let known = fs::read_to_string(file).unwrap_or_default();
    assert!(known == text, "docs/peers.md is not differences.yaml: BLESS=1 cargo test --test it peers");
}

/// The steps' names by operation.
fn calls(steps: &[String]) -> String {
    let mut names: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for step in steps {
        let (file, name) = step.split_once('/').unwrap_or_else(|| panic!("{step} is not file/step"));
        let sequence: Sequence = read(file);
        let found = sequence.steps.into_iter().find(|step| step.name == name);
        names.entry(found.unwrap_or_else(|| panic!("no step is named {step}")).call).or_default().push(name);
    }
    let lines = names.iter().map(|(call, names)| format!("`{call}` ({})", names.join(", ")));
    lines.collect::<Vec<_>>().join(", ")
}
