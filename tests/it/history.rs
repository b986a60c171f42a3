//! What the daemon leaves to read: its decisions, what they were made from, and whether they came as expected.

use alleycat_operator::{
    daemon::Mode,
    memory::{
        Came, Decision, Inputs, KEPT_INPUTS, LARGEST_PACKET, MemStore, PackError, Recommendation, RedbStore, Store,
    },
    scale,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    bench::{Bench, done},
    cli,
};

const DAY: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test(start_paused = true)]
async fn every_decision_of_a_race_day_can_be_made_again() {
    let bench = Bench::new();
    done(&bench.apply().await);
    bench.daemon(Mode::Act, DAY, |report, _| assert!(report.problems.is_empty(), "{:?}", report.problems)).await;
    let name = &bench.pipeline.name;
    let decisions = bench.store.decisions(name, usize::MAX).unwrap();
    assert!(decisions.len() >= 10, "a quiet day proves nothing: {}", decisions.len());
    let (mut largest, mut came_true) = (0, 0);
    for decision in decisions.iter().rev().take(KEPT_INPUTS as usize) {
        let packet = bench.store.inputs(name, decision.id).unwrap().unwrap();
        let inputs = Inputs::unpack(&packet).unwrap();
        assert_eq!(scale::replay(&inputs), Ok(vec![]), "decision {}", decision.id);
        assert_eq!((&inputs.sizing.holds, &inputs.findings), (&decision.holds, &decision.findings));
        largest = largest.max(packet.len());
        let Some(expectation) = &decision.expectation else {
            assert!(!decision.actions.iter().any(|(_, what)| !what.contains(": ")), "{:?}", decision.actions);
            continue;
        };
        let over = expectation.by + SignedDuration::from_mins(5) < bench.clock.now();
        assert!(!over || expectation.verdict.is_some(), "decision {} was never judged", decision.id);
        came_true += usize::from(expectation.verdict.as_ref().is_some_and(|verdict| verdict.came == Came::True));
    }
    eprintln!("{} decisions, {came_true} came true, the largest inputs are {largest} bytes", decisions.len());
    assert!(came_true > 0);
    assert!(largest < LARGEST_PACKET / 2, "{largest}");
    let last = bench.store.inputs(name, decisions.last().unwrap().id).unwrap().unwrap();
    let mut other = Inputs::unpack(&last).unwrap();
    other.signals.stream.incoming_records.points.iter_mut().for_each(|point| point.value = 9e6);
    assert_ne!(scale::replay(&other), Ok(vec![]), "other inputs are another decision");
}

#[test]
fn inputs_are_kept_within_bounds_and_a_decision_is_amended_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let stores: [Box<dyn Store>; 2] = [Box::new(RedbStore::open(dir.path()).unwrap()), Box::new(MemStore::new())];
    for store in stores {
        assert_eq!(store.inputs("alleycat", 1).unwrap(), None);
        for id in 1..=KEPT_INPUTS + 2 {
            store.keep_inputs("alleycat", id, &id.to_le_bytes()).unwrap();
        }
        let kept = |id: u64| store.inputs("alleycat", id).unwrap();
        assert_eq!((kept(2), kept(3)), (None, Some(3_u64.to_le_bytes().to_vec())));
        assert_eq!(store.inputs("alley", 3).unwrap(), None);
        let id = store.record("alleycat", old_decision()).unwrap();
        let amended = Decision { id, waits: vec!["it waits".to_owned()], ..old_decision() };
        store.amend("alleycat", &amended).unwrap();
        store.amend("alleycat", &Decision { id: id + 1, ..old_decision() }).unwrap();
        assert_eq!(store.decisions("alleycat", 9).unwrap(), [amended]);
    }
}

/// As the first version wrote it.
fn old_decision() -> Decision {
    let text = r#"{"id": 0, "at": "2026-01-01T00:00:00Z", "findings": [], "terms": [], "holds": [], "actions": []}"#;
    serde_json::from_str(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn inputs_that_are_too_large_are_not_kept() {
    let bench = Bench::new();
    done(&bench.apply().await);
    bench.daemon(Mode::Act, SignedDuration::from_mins(30), |_, _| {}).await;
    let packet = bench.store.inputs(&bench.pipeline.name, 1).unwrap().unwrap();
    let mut inputs = Inputs::unpack(&packet).unwrap();
    let noise = (1..60_000_u64).map(|number| f64::from_bits(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2));
    let rates = noise.map(|value| Recommendation { at: Timestamp::UNIX_EPOCH, value }).collect();
    inputs.memory.slot_rates.insert("leaderboard".to_owned(), rates);
    assert!(matches!(inputs.pack(), Err(PackError::TooLarge(_))));
    assert!(Inputs::unpack(&packet[..packet.len() / 2]).is_err());
    assert!(Inputs::unpack(b"something else").is_err());
}

#[test]
fn what_another_process_holds_can_be_read_and_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let holder = RedbStore::open(dir.path()).unwrap();
    holder.record("alleycat", old_decision()).unwrap();
    holder.keep_inputs("alleycat", 1, b"inputs").unwrap();
    let copy = RedbStore::copy(dir.path()).unwrap();
    assert_eq!(copy.decisions("alleycat", 9).unwrap().len(), 1);
    assert_eq!(copy.inputs("alleycat", 1).unwrap(), Some(b"inputs".to_vec()));
    let refused = copy.record("alleycat", old_decision()).unwrap_err().to_string();
    assert!(refused.contains("a copy of what another process holds"), "{refused}");
    holder.record("alleycat", old_decision()).unwrap();
    assert_eq!(RedbStore::copy(dir.path()).unwrap().decisions("alleycat", 9).unwrap().len(), 2);
}

#[test]
fn the_history_tells_what_was_done_and_whether_it_helped() {
    let bench = cli::Bench::new();
    let nothing = bench.run("history spec.yaml --local").exits(0);
    bench.run("apply spec.yaml --local --yes").exits(0);
    bench.run("daemon spec.yaml --local --for 90m").exits(0);
    let list = bench.run("history spec.yaml --local --limit 6").exits(0);
    let one = bench.run("history spec.yaml --local --explain 3").exits(0);
    for line in list.stdout.lines().chain(one.stdout.lines()) {
        assert!(line.chars().count() <= 100, "too wide: {line}");
    }
    assert!(one.stdout.contains("to the same decision again, byte for byte"), "{}", one.stdout);
    bench.golden("history", &[&nothing, &list, &one]);

    let all = bench.run("history spec.yaml --local --limit 1000 --output json").exits(0).json();
    let all = all["decisions"].as_array().unwrap();
    assert!(all.len() > 1);
    let recent = bench.run("history spec.yaml --local --since 20m --output json").exits(0).json();
    assert!(recent["decisions"].as_array().unwrap().len() < all.len());
    let story = bench.run("history spec.yaml --local --explain 1 --output json").exits(0).json();
    assert_eq!(story["replay"]["result"], "agrees");
    bench.run("history spec.yaml --local --explain 9999").exits(64);
}
