//! The machine against hand-made worlds.

use jiff::SignedDuration;
use serde_json::json;

use super::{
    fixtures::{at, change, facts, failure, pipeline, plan, read},
    machine::{Command, Machine, TRIES},
};
use crate::{
    model::{ErrorClass, Facts, ResourceId, ShardCount},
    plan::{Action, Change, Plan, Risk, Step},
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn stream() -> ResourceId {
    ResourceId::Stream("s".into())
}

fn create_stream() -> Change {
    change(&stream(), Action::Create, &[json!({"call": "createStream", "stream": "s", "shards": 1, "tags": {}})])
}

fn create_table() -> Change {
    // Any call on the table does: the machine does not look into it.
    let step = json!({"call": "updatePointInTimeRecovery", "table": "t", "enabled": true});
    change(&ResourceId::Table("t".into()), Action::Create, &[step])
}

fn create_mapping() -> Change {
    let step = json!({"call": "createMapping", "consumer": "c", "function": "fn", "sourceArn": null,
        "startingPosition": "latest", "settings": {"consumer": "c", "uuid": "", "batchSize": null,
        "parallelizationFactor": null, "maximumBatchingWindowSeconds": null, "tumblingWindowSeconds": null,
        "maximumRetryAttempts": null, "maximumRecordAgeSeconds": null, "bisectBatchOnFunctionError": null,
        "reportBatchItemFailures": null, "onFailure": null, "filterCriteria": null, "enabled": null}, "tags": {}});
    change(&ResourceId::Mapping("c".into()), Action::Create, &[step])
}

fn machine(approved: &Plan) -> Machine {
    Machine::new(&pipeline(), approved, at(0), HOUR)
}

/// What is done, or waited for.
fn on(command: &Command) -> String {
    match command {
        Command::Perform { resource, .. } => format!("perform {resource}"),
        Command::Wait { resource, why, .. } => format!("wait {resource}: {why}"),
        other => format!("{other:?}"),
    }
}

/// Asks, and answers a call with `result`.
fn turn(machine: &mut Machine, plan: &Plan, facts: &Facts, now: i64, result: Result<(), ErrorClass>) -> Command {
    let command = machine.next(plan, &[], facts, at(now));
    if let Command::Perform { resource, step, .. } = &command {
        machine.performed(resource, step, &result.map_err(failure), at(now));
    }
    command
}

#[test]
fn table_and_stream_are_created_side_by_side_and_the_mapping_waits_for_the_stream() {
    let all = plan(&[create_table(), create_stream(), create_mapping()]);
    let mut machine = machine(&all);
    assert_eq!(on(&turn(&mut machine, &all, &facts("", "", ""), 0, Ok(()))), "perform table/t");
    let after = facts("", "CREATING", "");
    assert_eq!(on(&turn(&mut machine, &all, &after, 1, Ok(()))), "perform stream/s");
    let left = plan(&[create_mapping()]);
    let after = facts("CREATING", "CREATING", "");
    assert_eq!(on(&turn(&mut machine, &left, &after, 2, Ok(()))), "wait mapping/c: stream/s is CREATING");
    let after = facts("ACTIVE", "CREATING", "");
    assert_eq!(on(&turn(&mut machine, &left, &after, 9, Ok(()))), "perform mapping/c");
    let nothing = plan(&[]);
    let after = facts("ACTIVE", "CREATING", "Creating");
    assert_eq!(on(&turn(&mut machine, &nothing, &after, 10, Ok(()))), "wait table/t: CREATING");
    let after = facts("ACTIVE", "ACTIVE", "Creating");
    assert_eq!(on(&turn(&mut machine, &nothing, &after, 20, Ok(()))), "wait mapping/c: Creating");
    assert_eq!(turn(&mut machine, &nothing, &facts("ACTIVE", "ACTIVE", "Enabled"), 30, Ok(())), Command::Done);
}

#[test]
fn nothing_is_done_to_a_resource_in_transition_and_looks_grow_rarer() {
    let step = json!({"call": "updateShardCount", "stream": "s", "from": ShardCount(1), "to": ShardCount(2)});
    let raise = plan(&[change(&stream(), Action::Update, &[step])]);
    let mut machine = machine(&raise);
    let mut pauses = Vec::new();
    for look in 0..6 {
        match turn(&mut machine, &raise, &facts("UPDATING", "", ""), look, Ok(())) {
            Command::Wait { pause, .. } => pauses.push(pause.as_secs()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
    assert!(on(&machine.next(&raise, &[], &facts("ACTIVE", "", ""), at(60))).starts_with("perform"));
}

#[test]
fn a_throttled_call_is_tried_again_ever_later_and_then_given_up_with_count_and_time() {
    let all = plan(&[create_stream()]);
    let mut machine = machine(&all);
    let (mut now, mut tries, mut pauses) = (0, 0, Vec::new());
    let end = loop {
        match turn(&mut machine, &all, &facts("", "", ""), now, Err(ErrorClass::Throttled)) {
            Command::Perform { .. } => tries += 1,
            Command::Wait { pause, .. } => {
                pauses.push(pause.as_secs());
                now += pause.as_secs() + 1;
            }
            other => break other,
        }
    };
    assert_eq!(tries, TRIES);
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1] + 10), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= 38), "{pauses:?}");
    let Command::GaveUp(line) = end else { panic!("{end:?}") };
    assert!(line.starts_with("stream/s: given up after 8 tries in ") && line.contains("Throttled"), "{line}");
}

#[test]
fn a_refusal_is_not_repeated_and_what_does_not_depend_on_it_goes_on() {
    let classes = [
        ErrorClass::Denied,
        ErrorClass::Invalid,
        ErrorClass::Forbidden,
        ErrorClass::QuotaExhausted,
        ErrorClass::NotFound,
    ];
    for class in classes {
        let all = plan(&[create_stream(), create_table(), create_mapping()]);
        let mut machine = machine(&all);
        assert_eq!(on(&turn(&mut machine, &all, &facts("", "", ""), 0, Err(class))), "perform stream/s");
        assert_eq!(on(&turn(&mut machine, &all, &facts("", "", ""), 600, Ok(()))), "perform table/t");
        let left = plan(&[create_stream(), create_mapping()]);
        let end = turn(&mut machine, &left, &facts("", "ACTIVE", ""), 1200, Ok(()));
        let Command::GaveUp(lines) = end else { panic!("{class:?}: {end:?}") };
        assert!(lines.contains(&format!("stream/s: kinesis:CreateStream on stream/s failed: {class:?}")), "{lines}");
        assert!(lines.contains("mapping/c: stream/s is not there"), "{lines}");
    }
}

#[test]
fn a_lost_answer_is_settled_by_looking() {
    for class in [ErrorClass::Unreachable, ErrorClass::ServerError, ErrorClass::AlreadyExists, ErrorClass::Unknown] {
        let all = plan(&[create_stream()]);
        let mut machine = machine(&all);
        turn(&mut machine, &all, &facts("", "", ""), 0, Err(class));
        assert!(
            on(&turn(&mut machine, &plan(&[]), &facts("CREATING", "", ""), 1, Ok(()))).starts_with("wait stream/s")
        );
        assert_eq!(turn(&mut machine, &plan(&[]), &facts("ACTIVE", "", ""), 9, Ok(())), Command::Done);
    }
}

#[test]
fn what_was_just_created_and_cannot_be_seen_yet_is_waited_for() {
    let all = plan(&[create_stream()]);
    let mut machine = machine(&all);
    turn(&mut machine, &all, &facts("", "", ""), 0, Ok(()));
    for now in [1, 30, 119] {
        assert!(on(&turn(&mut machine, &all, &facts("", "", ""), now, Ok(()))).starts_with("wait stream/s"));
    }
    let again = turn(&mut machine, &all, &facts("", "", ""), 121, Ok(()));
    assert_eq!(on(&again), "perform stream/s", "after two minutes it is gone, not late");
}

#[test]
fn not_found_right_after_our_own_create_is_tried_again() {
    let all = plan(&[create_stream(), create_mapping()]);
    let mut machine = machine(&all);
    turn(&mut machine, &all, &facts("", "", ""), 0, Ok(()));
    let left = plan(&[create_mapping()]);
    turn(&mut machine, &left, &facts("ACTIVE", "", ""), 20, Err(ErrorClass::NotFound));
    assert!(on(&turn(&mut machine, &left, &facts("ACTIVE", "", ""), 20, Ok(()))).starts_with("wait mapping/c"));
    assert_eq!(on(&turn(&mut machine, &left, &facts("ACTIVE", "", ""), 25, Ok(()))), "perform mapping/c");
}

#[test]
fn a_change_that_is_accepted_and_never_there_ends_as_not_converging() {
    let step = json!({"call": "updateTimeToLive", "table": "t", "attribute": "ttl", "enabled": true});
    let same = plan(&[change(&ResourceId::Table("t".into()), Action::Update, &[step])]);
    let mut machine = machine(&same);
    let mut calls = Vec::new();
    for now in 0..3600 {
        match turn(&mut machine, &same, &facts("", "ACTIVE", ""), now, Ok(())) {
            Command::Perform { .. } => calls.push(now),
            Command::Wait { .. } => {}
            Command::GaveUp(line) => {
                assert!(line.contains("NotConverging"), "{line}");
                assert_eq!(calls, [0, 45, 90], "an answer may be half a minute old");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("never ended");
}

#[test]
fn a_plan_the_linter_complains_about_is_never_performed() {
    let all = plan(&[create_stream()]);
    let end = machine(&all).next(&all, &["shards above max".into()], &facts("", "", ""), at(0));
    assert!(matches!(&end, Command::Refused(why) if why.contains("shards above max")), "{end:?}");
}

#[test]
fn only_what_was_approved_is_done() {
    let delete = change(&stream(), Action::Delete, &[json!({"call": "deleteStream", "stream": "s"})]);
    let update = change(&stream(), Action::Update, &[json!({"call": "tagStream", "stream": "s", "tags": {}})]);
    let mut machine = machine(&plan(std::slice::from_ref(&update)));
    let now_there = plan(&[create_table(), delete.clone()]);
    assert_eq!(machine.next(&now_there, &[], &facts("ACTIVE", "", ""), at(0)), Command::Done);
    assert!(!machine.is_approved(&delete) && machine.is_approved(&update));
    let riskier = Change { risk: Risk::LosesData, ..update };
    assert!(!machine.is_approved(&riskier), "what was shown as harmless");
}

#[test]
fn time_runs_out_while_waiting_and_no_wait_reaches_past_it() {
    let all = plan(&[create_stream()]);
    let mut machine = Machine::new(&pipeline(), &all, at(0), SignedDuration::from_secs(30));
    turn(&mut machine, &all, &facts("", "", ""), 0, Ok(()));
    for now in 1..30 {
        match machine.next(&plan(&[]), &[], &facts("CREATING", "", ""), at(now)) {
            Command::Wait { pause, .. } => assert!(now + pause.as_secs() <= 30),
            other => panic!("{other:?}"),
        }
    }
    let end = machine.next(&plan(&[]), &[], &facts("CREATING", "", ""), at(30));
    assert_eq!(end, Command::TimedOut("stream/s: CREATING".into()));
    let end = Machine::new(&pipeline(), &all, at(0), SignedDuration::ZERO).next(&all, &[], &facts("", "", ""), at(0));
    assert!(matches!(end, Command::TimedOut(_)), "no call after the deadline: {end:?}");
}

#[test]
fn a_stream_is_deleted_after_its_mappings_are_gone_and_that_is_waited_for() {
    let mapping = change(
        &ResourceId::Mapping("c".into()),
        Action::Delete,
        &[json!({"call": "deleteMapping", "consumer": "c", "uuid": "u"})],
    );
    let delete = change(&stream(), Action::Delete, &[json!({"call": "deleteStream", "stream": "s"})]);
    let all = plan(&[mapping, delete.clone()]);
    let mut machine = machine(&all);
    assert_eq!(on(&turn(&mut machine, &all, &facts("ACTIVE", "", "Enabled"), 0, Ok(()))), "perform mapping/c");
    assert_eq!(on(&turn(&mut machine, &all, &facts("ACTIVE", "", "Deleting"), 1, Ok(()))), "wait mapping/c: Deleting");
    let left = plan(&[delete]);
    assert_eq!(on(&turn(&mut machine, &left, &facts("ACTIVE", "", ""), 9, Ok(()))), "perform stream/s");
    assert!(on(&turn(&mut machine, &left, &facts("DELETING", "", ""), 10, Ok(()))).starts_with("wait stream/s"));
    assert_eq!(turn(&mut machine, &plan(&[]), &facts("", "", ""), 40, Ok(())), Command::Done);
}

#[test]
fn a_missing_function_ends_in_its_name() {
    let all = plan(&[create_mapping()]);
    let mut there = facts("ACTIVE", "", "");
    there.functions.clear();
    let end = machine(&all).next(&all, &[], &there, at(0));
    assert!(matches!(&end, Command::GaveUp(line) if line.contains("function fn")), "{end:?}");
}

#[test]
fn the_same_history_gives_the_same_commands() {
    let run = || {
        let all = plan(&[create_stream(), create_table()]);
        let mut machine = machine(&all);
        (0..200)
            .map(|now| turn(&mut machine, &all, &facts("", "", ""), now, Err(ErrorClass::ServerError)))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn steps_are_told_apart_by_everything_in_them() {
    let first: Step = read(json!({"call": "tagStream", "stream": "s", "tags": {"a": "1"}}));
    let second: Step = read(json!({"call": "tagStream", "stream": "s", "tags": {"a": "2"}}));
    let both = |step: &Step| plan(&[change(&stream(), Action::Update, &[serde_json::to_value(step).unwrap()])]);
    let mut machine = machine(&both(&first));
    machine.performed(&stream(), &first, &Err(failure(ErrorClass::Invalid)), at(0));
    assert!(matches!(machine.next(&both(&first), &[], &facts("ACTIVE", "", ""), at(1)), Command::GaveUp(_)));
    assert!(matches!(machine.next(&both(&second), &[], &facts("ACTIVE", "", ""), at(1)), Command::Perform { .. }));
}
