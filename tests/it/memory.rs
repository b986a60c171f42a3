//! The store on disk: what was answered is there after a kill, damage is refused and never reset.

use std::{collections::BTreeMap, fs, path::Path};

use alleycat_operator::{
    memory::{Decision, IntentState, KEPT_DECISIONS, KEPT_INTENTS, MemStore, Memory, RedbStore, Store, StoreError},
    model::ShardCount,
    plan::Step,
};
use jiff::Timestamp;

fn step(to: u32) -> Step {
    Step::UpdateShardCount { stream: "alleycat".into(), from: ShardCount(1), to: ShardCount(to) }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn decision(second: i64) -> Decision {
    let nothing = serde_json::json!([]);
    let at = at(second);
    serde_json::from_value(
        serde_json::json!({"id": 0, "at": at, "findings": nothing, "terms": nothing, "holds": nothing,
        "actions": nothing}),
    )
    .unwrap()
}

fn filled(dir: &Path) {
    let store = RedbStore::open(dir).unwrap();
    let mut memory = Memory::empty();
    memory.drained_since = Some(at(7));
    store.save("alleycat", &memory).unwrap();
    store.intend("alleycat", at(1), &step(2)).unwrap();
    store.record("alleycat", decision(2)).unwrap();
}

#[test]
fn both_stores_keep_the_same_things() {
    let dir = tempfile::tempdir().unwrap();
    let stores: [Box<dyn Store>; 2] =
        [Box::new(RedbStore::open(&dir.path().join("state")).unwrap()), Box::new(MemStore::new())];
    for store in stores {
        assert_eq!(store.load("alleycat").unwrap(), None);
        assert!(store.decisions("alleycat", 10).unwrap().is_empty());
        let mut memory = Memory::empty();
        memory.last_change.insert("stream/alleycat shards".into(), at(5));
        store.save("alleycat", &memory).unwrap();
        assert_eq!(store.load("alleycat").unwrap(), Some(memory));
        assert_eq!(store.load("alley").unwrap(), None, "a pipeline whose name starts alike is another one");

        let first = store.intend("alleycat", at(1), &step(2)).unwrap();
        let second = store.intend("alleycat", at(2), &step(4)).unwrap();
        assert_eq!(store.intend("other", at(2), &step(4)).unwrap(), first, "numbers are per pipeline");
        assert!(first < second);
        store.resolve("alleycat", first, IntentState::Accepted { at: at(3) }).unwrap();
        let pending = store.pending("alleycat").unwrap();
        assert_eq!(pending.iter().map(|intent| (intent.id, &intent.step)).collect::<Vec<_>>(), [(second, &step(4))]);
        assert_eq!(store.intents("alleycat").unwrap().len(), 2);

        for number in 0..=i64::try_from(KEPT_INTENTS).unwrap() {
            store.intend("busy", at(number), &step(2)).unwrap();
        }
        let kept = store.intents("busy").unwrap();
        assert_eq!((kept.len() as u64, kept[0].at), (KEPT_INTENTS, at(1)), "the oldest goes first");
        store.resolve("busy", 1, IntentState::Accepted { at: at(3) }).unwrap();
        assert_eq!(store.intents("busy").unwrap(), kept, "resolving a dropped intent changes nothing");

        for second in 1..=3 {
            store.record("alleycat", decision(second)).unwrap();
        }
        let newest = store.decisions("alleycat", 2).unwrap();
        assert_eq!(newest.iter().map(|d| (d.id, d.at)).collect::<Vec<_>>(), [(2, at(2)), (3, at(3))]);
    }
}

#[test]
fn decisions_are_bounded() {
    let store = MemStore::new();
    for second in 0..=i64::try_from(KEPT_DECISIONS).unwrap() {
        store.record("alleycat", decision(second)).unwrap();
    }
    let kept = store.decisions("alleycat", usize::MAX).unwrap();
    assert_eq!((kept.len() as u64, kept[0].id), (KEPT_DECISIONS, 2));
}

#[test]
fn what_was_answered_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let store = RedbStore::open(dir.path()).unwrap();
    let mut copies = BTreeMap::new();
    for number in 1..=5 {
        let id = store.intend("alleycat", at(number), &step(2)).unwrap();
        // A kill leaves the bytes as they are now, without any closing work.
        let copy = tempfile::tempdir().unwrap();
        fs::copy(dir.path().join("memory.redb"), copy.path().join("memory.redb")).unwrap();
        copies.insert(id, copy);
    }
    for (id, copy) in copies {
        let reopened = RedbStore::open(copy.path()).unwrap();
        assert_eq!(reopened.pending("alleycat").unwrap().last().map(|intent| intent.id), Some(id));
        assert_eq!(reopened.intend("alleycat", at(9), &step(2)).unwrap(), id + 1);
    }
}

#[test]
fn a_second_opener_is_refused_with_the_holder_and_gets_in_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let first = RedbStore::open(dir.path()).unwrap();
    let error = RedbStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("memory.redb") && text.contains(&std::process::id().to_string()), "{text}");
    assert!(text.contains("--state-dir"), "{text}");
    first.save("alleycat", &Memory::empty()).unwrap();
    drop(first);
    assert!(RedbStore::open(dir.path()).unwrap().load("alleycat").unwrap().is_some());
}

#[test]
fn a_truncated_file_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let path = dir.path().join("memory.redb");
    let whole = fs::read(&path).unwrap();
    for keep in [0, 1, 100, 320, 512, 4095, 4096, 5000, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        fs::write(&path, &whole[..keep]).unwrap();
        let error = RedbStore::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{keep} bytes: {error:?}");
        assert!(error.to_string().contains("memory.redb"), "{error}");
    }
    fs::write(&path, &whole).unwrap();
    assert!(RedbStore::open(dir.path()).unwrap().load("alleycat").unwrap().is_some());
}

#[test]
fn a_damaged_page_is_refused_or_harmless_but_never_read_as_something_else() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let path = dir.path().join("memory.redb");
    let whole = fs::read(&path).unwrap();
    let expected = RedbStore::open(dir.path()).unwrap().load("alleycat").unwrap();
    for position in (0..whole.len()).step_by(whole.len() / 300) {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x55;
        fs::write(&path, &bytes).unwrap();
        match RedbStore::open(dir.path()) {
            Ok(store) => assert_eq!(store.load("alleycat").unwrap(), expected, "byte {position}"),
            Err(error) => {
                assert!(matches!(error, StoreError::Damaged { .. } | StoreError::Io { .. }), "{position}: {error:?}");
            }
        }
    }
}

#[test]
fn something_else_under_our_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("memory.redb");
    fs::write(&path, "apiVersion: alleycat.dev/v1alpha1\n".repeat(400)).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(RedbStore::open(dir.path()).unwrap_err(), StoreError::Damaged { .. }));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_newer_memory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = RedbStore::open(dir.path()).unwrap();
    let mut memory = Memory::empty();
    memory.version = Memory::VERSION + 1;
    store.save("alleycat", &memory).unwrap();
    let error = store.load("alleycat").unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, supported: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("newer"), "{error}");
}

#[test]
fn a_record_that_could_not_be_read_again_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = RedbStore::open(dir.path()).unwrap();
    store.save("alleycat", &Memory::empty()).unwrap();
    let mut memory = Memory::empty();
    memory
        .slot_rates
        .insert("leaderboard".into(), vec![alleycat_operator::memory::Recommendation { at: at(1), value: f64::NAN }]);
    assert!(store.save("alleycat", &memory).is_err());
    assert_eq!(store.load("alleycat").unwrap(), Some(Memory::empty()), "the old record stands and the store goes on");
}

#[cfg(unix)]
#[test]
fn the_store_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("a/b");
    drop(RedbStore::open(&state).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state.join("memory.redb")), 0o600);
    assert_eq!(mode(&state), 0o700);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_now_and_no_harm_later() {
    // /dev/full answers every write with "no space left on device".
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("memory.redb.lock")).unwrap();
    let error = RedbStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Io { what: "write", .. }), "{error:?}");
    assert!(!dir.path().join("memory.redb").exists());
}
