//! What a move does next, on each side of every rule.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    position_tests::{MINUTE, healthy, newest, same, seconds},
    *,
};
use crate::{
    apply::fixtures::{self, at},
    cost::PriceSheet,
    model::{
        Bounds, FanOutFacts, FunctionFacts, Hours, MANAGED_BY, Signal, StreamSignals, TAG_MANAGED_BY, TAG_MOVE,
        TAG_PIPELINE,
    },
    plan::{Action, Change, Plan, codes, lint, plan as make_plan},
    spec::policy,
};

/// A stream with one idempotent consumer that polls, all tagged as ours.
struct World {
    pipeline: Pipeline,
    facts: Facts,
    evidence: Evidence,
    refused: BTreeMap<String, RefusedMove>,
    targets: Option<Targets>,
    now: Timestamp,
}

fn world() -> World {
    let mut pipeline = fixtures::pipeline();
    pipeline.consumers[0].idempotent = true;
    pipeline.consumers[0].delivery = Delivery::EnhancedFanOut;
    pipeline.stream.retention = Bounds::pinned(Hours(24));
    let mut facts = fixtures::facts("ACTIVE", "", "Enabled");
    let tags = [(TAG_PIPELINE, "p"), (TAG_MANAGED_BY, MANAGED_BY)];
    let tags: BTreeMap<_, _> = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    facts.stream.as_mut().unwrap().tags = tags.clone();
    facts.mappings[0].tags = tags;
    facts.mappings[0].arn = Some("m".into());
    facts.mappings[0].last_modified = Some(at(0));
    let signals = Signals {
        observed_at: newest() + MINUTE * 3,
        newest_expected: newest(),
        metrics_requested: 0,
        account_concurrency: Signal::absent(),
        stream: StreamSignals {
            incoming_records: same(60_000.0),
            incoming_bytes: same(6e7),
            read_throttles: same(0.0),
            ..StreamSignals::default()
        },
        consumers: BTreeMap::from([("c".to_owned(), healthy(1_000.0))]),
        tables: BTreeMap::new(),
    };
    let closed = Some(ClosedShards { since: at(0), any: false });
    let evidence = Evidence { signals, closed };
    World { pipeline, facts, evidence, refused: BTreeMap::new(), targets: None, now: newest() + MINUTE * 3 }
}

impl World {
    fn plan(&self) -> Plan {
        let (prices, policy) = (PriceSheet::us_east_1(), policy::builtin("balanced").unwrap());
        let input = Input {
            pipeline: &self.pipeline,
            facts: &self.facts,
            targets: self.targets.as_ref(),
            ledger_used: 0,
            exhausted_until: None,
            prices: &prices,
            policy: &policy,
            evidence: Some(&self.evidence),
            refused_moves: &self.refused,
            break_glass_since: None,
            now: self.now,
        };
        let plan = make_plan(&input);
        assert_eq!(lint(&plan, &input), [""; 0], "{plan:#?}");
        plan
    }

    /// The consumer is there, and says where the move leads.
    fn registered(mut self, to: Way) -> Self {
        self.facts.fan_out = vec![fixtures::read(json!({
            "name": "p-c", "arn": "a/consumer/p-c:1", "status": "ACTIVE",
            "tags": {TAG_PIPELINE: "p", TAG_MOVE: to.word()}
        }))];
        self
    }

    fn old(&mut self) -> &mut MappingFacts {
        &mut self.facts.mappings[0]
    }

    /// The old mapping was switched off so long before the newest minute ended.
    fn switched_off(mut self, before: SignedDuration) -> Self {
        let off = newest() + MINUTE - before;
        self.old().state = MappingState::Disabled;
        self.old().last_modified = Some(off);
        self
    }

    /// A second mapping on the fan-out consumer.
    fn with_new(mut self, state: MappingState) -> Self {
        let new = MappingFacts {
            uuid: "v".into(),
            source_arn: "a/consumer/p-c:1".into(),
            state,
            last_modified: Some(newest() - MINUTE),
            ..self.facts.mappings[0].clone()
        };
        self.facts.mappings.push(new);
        self
    }

    /// A second consumer like the first: `d`, with mapping `x` of function `fd`.
    fn with_second_consumer(mut self) -> Self {
        let spec = ConsumerSpec { name: "d".into(), function: "fd".into(), ..self.pipeline.consumers[0].clone() };
        self.pipeline.consumers.push(spec);
        let function_arn = "arn:aws:lambda:r:1:function:fd".to_owned();
        let function = FunctionFacts { arn: function_arn.clone(), ..self.facts.functions["fn"].clone() };
        self.facts.functions.insert("fd".into(), function);
        let mapping = MappingFacts { uuid: "x".into(), function_arn, ..self.facts.mappings[0].clone() };
        self.facts.mappings.push(mapping);
        let registered =
            FanOutFacts { name: "p-d".into(), arn: "a/consumer/p-d:1".into(), ..self.facts.fan_out[0].clone() };
        self.facts.fan_out.push(registered);
        self.evidence.signals.consumers.insert("d".into(), healthy(1_000.0));
        self
    }

    /// It reads through fan-out and the spec wants it shared.
    fn on_fan_out(self) -> Self {
        let mut world = self.registered(Way::Shared).with_new(MappingState::Enabled);
        world.facts.mappings.remove(0);
        world.old().last_modified = Some(at(0));
        world.pipeline.consumers[0].delivery = Delivery::Shared;
        world
    }
}

type Arrange = fn(&mut World);

/// The function reads the stream through another mapping, too.
fn second_mapping(world: &mut World) {
    let arn = "arn:aws:lambda:r:1:function:fn:live".to_owned();
    let other = MappingFacts { uuid: "w".into(), function_arn: arn, ..world.facts.mappings[0].clone() };
    world.facts.mappings.push(other);
}

fn replaced(plan: &Plan) -> &Change {
    let change = plan.changes.iter().find(|change| change.action == Action::Replace);
    change.unwrap_or_else(|| panic!("{plan:#?}"))
}

fn call(step: &Step) -> String {
    match step {
        Step::UpdateMapping(change) => format!("switch {} {}", change.uuid, change.enabled.unwrap()),
        Step::CreateMapping(new) => format!("create on {:?} {}", new.fan_out_consumer, new.starting_position.words()),
        Step::DeleteMapping { uuid, .. } => format!("delete {uuid}"),
        Step::RegisterStreamConsumer { consumer, .. } => format!("register {consumer}"),
        Step::DeregisterStreamConsumer { consumer, .. } => format!("deregister {consumer}"),
        Step::TagStreamConsumer { tags, .. } => format!("tag {tags:?}"),
        other => format!("{other:?}"),
    }
}

fn calls(change: &Change) -> Vec<String> {
    change.steps.iter().map(call).collect()
}

fn refusal(world: &World) -> String {
    let plan = world.plan();
    assert!(plan.changes.iter().all(|change| change.action != Action::Replace), "{plan:#?}");
    let blocked = plan.blocked.iter().find(|blocked| blocked.code == codes::MOVE_REFUSED);
    let blocked = blocked.unwrap_or_else(|| panic!("{plan:#?}"));
    assert!(!blocked.hint.is_empty() && !blocked.is_conflict());
    blocked.reason.clone()
}

#[test]
fn a_move_is_shown_whole_before_it_begins() {
    let plan = world().plan();
    assert_eq!(calls(&plan.changes[0]), ["register p-c"]);
    assert_eq!(plan.changes[0].quota[0].limit, 20);
    assert!(plan.changes[0].cost_delta.0 > 0.014);
    let change = replaced(&plan);
    assert_eq!(calls(change)[0], "switch u false");
    assert!(calls(change)[1].starts_with("create on Some(\"p-c\") AT_TIMESTAMP 2027-01-15T"), "{:?}", calls(change));
    assert_eq!(calls(change)[2], "delete u");
    assert!(change.wait.as_ref().unwrap().contains("not registered yet"));
    let said: BTreeMap<&str, &str> =
        change.fields.iter().map(|field| (field.path.as_str(), field.after.as_deref().unwrap())).collect();
    assert_eq!(said["delivery"], "enhancedFanOut");
    assert_eq!(said["latency"], "about 70 ms");
    assert!(said["price"].contains("/h (1 consumer-shard-hours"), "{said:?}");
    assert!(said["read again"].starts_with("at most 301 s of records, about 3"), "{said:?}");

    let plan = world().registered(Way::EnhancedFanOut).plan();
    assert_eq!((plan.changes.len(), &replaced(&plan).wait), (1, &None), "registered: it begins");
}

#[test]
fn the_settings_of_the_old_mapping_are_copied() {
    let mut world = world().registered(Way::EnhancedFanOut).switched_off(MINUTE * 3);
    world.old().batch_size = crate::model::BatchSize(777);
    world.old().maximum_retry_attempts = 5;
    world.old().filter_criteria = vec!["{}".into()];
    world.old().metrics = vec!["EventCount".into()];
    let plan = world.plan();
    let Step::CreateMapping(new) = &replaced(&plan).steps[0] else { panic!("{plan:#?}") };
    assert_eq!(new.settings.batch_size.unwrap().get(), 777);
    assert_eq!(new.settings.maximum_retry_attempts, Some(5));
    assert_eq!(new.settings.filter_criteria.as_deref(), Some(&["{}".to_owned()][..]));
    assert_eq!((new.settings.enabled, new.tags[TAG_PIPELINE].as_str()), (Some(true), "p"));
    assert_eq!((new.metrics.join(" "), &new.kms_key_arn), ("EventCount".to_owned(), &None));

    world.old().kms_key_arn = Some("key".into());
    world.old().filter_criteria = Vec::new();
    world.pipeline.consumers[0].filter_criteria = vec!["{\"a\":[1]}".into()];
    let plan = world.plan();
    let Step::CreateMapping(new) = &replaced(&plan).steps[0] else { panic!("{plan:#?}") };
    assert_eq!(new.kms_key_arn.as_deref(), Some("key"));
    assert_eq!(new.settings.filter_criteria.as_ref(), Some(&world.pipeline.consumers[0].filter_criteria), "the hidden");
}

#[test]
fn what_stands_against_a_move_is_said_and_nothing_is_changed() {
    let cases: [(&str, Arrange); 11] = [
        ("does not allow", |world| world.pipeline.consumers[0].idempotent = false),
        ("second mapping on the stream (w)", second_mapping),
        ("a KMS key hides its filter patterns", |world| world.old().kms_key_arn = Some("key".into())),
        ("the stream is in transition", |world| {
            world.facts.stream.as_mut().unwrap().status = crate::model::LifecycleStatus::Updating;
        }),
        ("was given up at", |world| {
            let (at, until) = (world.now - MINUTE, world.now + MINUTE);
            world.refused.insert("c".into(), RefusedMove { at, until, reason: "no right".into() });
        }),
        ("changed less than 5 min ago", |world| world.old().last_modified = Some(newest() - MINUTE * 2)),
        ("2 errors at", |world| {
            let own = world.evidence.signals.consumers.get_mut("c").unwrap();
            own.errors.points.last_mut().unwrap().value = 2.0;
        }),
        ("is missing", |world| {
            let own = world.evidence.signals.consumers.get_mut("c").unwrap();
            own.iterator_age_ms.points.pop();
        }),
        ("a shard was closed", |world| world.evidence.closed.as_mut().unwrap().any = true),
        ("closed shards are not known", |world| world.evidence.closed = None),
        ("closed shards are not known", |world| world.evidence.closed.as_mut().unwrap().since = newest()),
    ];
    for (said, arrange) in cases {
        let mut world = world().registered(Way::EnhancedFanOut);
        arrange(&mut world);
        let reason = refusal(&world);
        assert!(reason.contains(said), "{said}: {reason}");
    }
    let mut again = world();
    again.refused.insert("c".into(), RefusedMove { at: at(0), until: again.now, reason: "no right".into() });
    replaced(&again.plan());
}

#[test]
fn one_consumer_is_moved_at_a_time() {
    let moved = |world: &World| {
        let plan = world.plan();
        let moved = plan.changes.iter().filter(|change| change.action == Action::Replace);
        let moved: Vec<String> = moved.map(|change| change.resource.to_string()).collect();
        let refused = plan.blocked.iter().filter(|blocked| blocked.code == codes::MOVE_REFUSED);
        (moved.join(" "), refused.map(|blocked| blocked.reason.clone()).collect::<Vec<_>>().join(" "))
    };
    let mut two = world().registered(Way::EnhancedFanOut).with_second_consumer();
    let (first, refused) = moved(&two);
    assert!(first == "mapping/c" && refused.ends_with("mapping/c is being moved"), "{first}: {refused}");
    two.facts.mappings[1].state = MappingState::Disabled;
    two.facts.mappings[1].last_modified = Some(newest() - MINUTE);
    let (begun, refused) = moved(&two);
    assert!(begun == "mapping/d" && refused.ends_with("mapping/d is being moved"), "{begun}: {refused}");
}

#[test]
fn a_mapping_of_somebody_else_is_not_moved() {
    for owner in [Some("other"), None] {
        let mut theirs = world();
        theirs.old().tags = owner.map(|name| (TAG_PIPELINE.to_owned(), name.to_owned())).into_iter().collect();
        let plan = theirs.plan();
        assert!(plan.changes.is_empty(), "not even its fan-out consumer is registered: {plan:#?}");
        assert_ne!(plan.blocked[0].code, codes::MOVE_REFUSED);
    }
}

#[test]
fn registered_consumers_are_counted_and_others_are_never_taken() {
    let full = |count: usize, status: &str| {
        let mut world = world();
        world.facts.fan_out = (0..count)
            .map(|number| {
                fixtures::read(json!({"name": format!("x{number}"), "arn": format!("x{number}"), "status": status}))
            })
            .collect();
        world
    };
    for (count, status, refused) in
        [(19, "ACTIVE", false), (20, "ACTIVE", true), (4, "CREATING", false), (5, "CREATING", true)]
    {
        let plan = full(count, status).plan();
        let blocked = plan.blocked.iter().any(|blocked| blocked.code == codes::FAN_OUT_LIMIT);
        assert_eq!(blocked, refused, "{count} {status}: {plan:#?}");
    }
    let mut theirs = world().registered(Way::EnhancedFanOut);
    theirs.facts.fan_out[0].tags = BTreeMap::from([(TAG_PIPELINE.to_owned(), "other".to_owned())]);
    let plan = theirs.plan();
    assert!(plan.changes.is_empty(), "{plan:#?}");
    assert!(plan.blocked.iter().any(|blocked| blocked.reason == "belongs to pipeline other"), "{plan:#?}");
}

#[test]
fn switched_off_it_waits_for_the_metrics_and_is_then_created_or_undone() {
    let off = |before: SignedDuration| world().registered(Way::EnhancedFanOut).switched_off(before);
    let plan = off(seconds(50)).plan();
    assert!(replaced(&plan).wait.as_ref().unwrap().contains("are published"), "{plan:#?}");
    let mut stopping = off(MINUTE * 2);
    stopping.old().state = MappingState::Disabling;
    let plan = stopping.plan();
    assert_eq!(calls(replaced(&plan)), ["delete u"], "the new one is not created while the old one may poll");
    assert!(replaced(&plan).wait.as_ref().unwrap().ends_with("is Disabling"), "{plan:#?}");
    let mut young = off(MINUTE * 2);
    young.now = newest() + seconds(10);
    assert!(replaced(&young.plan()).wait.as_ref().unwrap().contains("invocations of the old mapping end"));
    let plan = off(MINUTE * 2).plan();
    let wanted = "create on Some(\"p-c\") AT_TIMESTAMP ";
    assert!(calls(replaced(&plan))[0].starts_with(wanted) && replaced(&plan).wait.is_none(), "{plan:#?}");
    assert_eq!(calls(replaced(&plan))[1], "delete u");

    let undone: [(&str, Arrange); 8] = [
        ("second mapping on the stream (w)", second_mapping),
        ("errors at", |world| {
            world.evidence.signals.consumers.get_mut("c").unwrap().errors.points.last_mut().unwrap().value = 2.0;
        }),
        ("a shard was closed", |world| world.evidence.closed.as_mut().unwrap().any = true),
        ("no right", |world| {
            let (at, until) = (world.now, world.now + MINUTE);
            world.refused.insert("c".into(), RefusedMove { at, until, reason: "no right".into() });
        }),
        ("does not ask for the move", |world| world.pipeline.consumers[0].delivery = Delivery::Shared),
        ("does not allow", |world| world.pipeline.consumers[0].idempotent = false),
        ("not ACTIVE", |world| world.facts.fan_out[0].status = crate::model::LifecycleStatus::Creating),
        ("is missing", |world| {
            let own = world.evidence.signals.consumers.get_mut("c").unwrap();
            own.iterator_age_ms.points.retain(|point| point.at != newest() - MINUTE * 2);
            world.now += MINUTE * 30;
        }),
    ];
    for (said, arrange) in undone {
        let mut world = off(MINUTE * 2);
        arrange(&mut world);
        let plan = world.plan();
        assert_eq!(calls(replaced(&plan)), ["switch u true"], "{said}");
        assert!(replaced(&plan).reason.contains(said), "{said}: {}", replaced(&plan).reason);
    }
}

#[test]
fn beyond_the_retention_it_reads_everything() {
    let mut world = world().registered(Way::EnhancedFanOut).switched_off(MINUTE * 2);
    let own = world.evidence.signals.consumers.get_mut("c").unwrap();
    own.iterator_age_ms.points.iter_mut().for_each(|point| point.value = 86_400_000.0);
    world.evidence.closed = Some(ClosedShards { since: at(-200_000), any: false });
    let plan = world.plan();
    assert_eq!(calls(replaced(&plan))[0], "create on Some(\"p-c\") TRIM_HORIZON");
    let said = replaced(&plan).fields[0].after.as_ref().unwrap();
    assert!(said.starts_with("all that the stream keeps, because the position 2027-"), "{said}");
    assert!(replaced(&plan).reason.as_str().contains("reads from TRIM_HORIZON"), "{:?}", replaced(&plan).reason);
}

#[test]
fn the_old_mapping_goes_when_the_new_one_has_caught_up() {
    let both = |state| world().registered(Way::EnhancedFanOut).with_new(state).switched_off(MINUTE * 5);
    let set = |world: &mut World, age: f64| {
        let own = world.evidence.signals.consumers.get_mut("c").unwrap();
        own.iterator_age_ms = same(age);
        own.behind_latest_ms = same(age);
    };
    let mut caught_up = both(MappingState::Enabled);
    set(&mut caught_up, 30_000.0);
    let plan = caught_up.plan();
    assert_eq!((calls(replaced(&plan)), &replaced(&plan).wait), (vec!["delete u".to_owned()], &None));
    let mut behind = both(MappingState::Enabled);
    set(&mut behind, 31_000.0);
    assert!(replaced(&behind.plan()).wait.as_ref().unwrap().contains("31 s behind"));
    behind.now = newest() + MINUTE * 14;
    assert_eq!(replaced(&behind.plan()).wait, None, "after 15 minutes it is on its own");
    let mut young = both(MappingState::Enabled);
    young.facts.mappings[1].last_modified = Some(newest() + seconds(1));
    assert!(replaced(&young.plan()).wait.as_ref().unwrap().contains("first whole minute"));

    assert_eq!(calls(replaced(&both(MappingState::Disabled).plan())), ["switch v true", "delete u"]);
    let creating = both(MappingState::Creating).plan();
    assert!(replaced(&creating).wait.as_ref().unwrap().contains("Creating"));
    let mut twice = both(MappingState::Enabled);
    twice.old().state = MappingState::Enabled;
    assert_eq!(calls(replaced(&twice.plan())), ["switch u false", "delete u"], "they never both read for long");
    let mut turned = both(MappingState::Enabled);
    turned.pipeline.consumers[0].delivery = Delivery::Shared;
    set(&mut turned, 0.0);
    assert_eq!(calls(replaced(&turned.plan())), ["delete u"], "first the one move, then the other");
}

#[test]
fn back_again_likewise_and_the_consumer_goes_last() {
    let mut world = world().on_fan_out();
    world.facts.fan_out[0].tags.insert(TAG_MOVE.to_owned(), "enhancedFanOut".to_owned());
    let plan = world.plan();
    assert!(calls(&plan.changes[0])[0].starts_with("tag {\"alleycat.dev/move\": \"shared\"}"), "{plan:#?}");
    assert!(replaced(&plan).wait.as_ref().unwrap().contains("tagged first"));

    let plan = self::world().on_fan_out().plan();
    assert_eq!(calls(replaced(&plan))[0], "switch v false");
    assert!(calls(replaced(&plan))[1].starts_with("create on None AT_TIMESTAMP"));
    let last = plan.changes.last().unwrap();
    assert_eq!((calls(last), last.wait.is_some()), (vec!["deregister p-c".to_owned()], true));

    let plan = self::world().on_fan_out().switched_off(MINUTE * 2).plan();
    assert!(calls(replaced(&plan))[0].starts_with("create on None AT_TIMESTAMP"), "{plan:#?}");
}

#[test]
fn orphans_of_ours_are_deregistered_and_no_others() {
    let orphan = |arrange: fn(&mut World)| {
        let mut world = world().registered(Way::EnhancedFanOut);
        world.pipeline.consumers[0].delivery = Delivery::Shared;
        arrange(&mut world);
        let plan = world.plan();
        plan.changes.iter().any(|change| change.action == Action::Delete)
    };
    assert!(orphan(|_| ()));
    assert!(orphan(|world| world.facts.fan_out[0].name = "p-gone".into()), "its consumer has left the spec");
    assert!(!orphan(|world| world.pipeline.consumers[0].delivery = Delivery::EnhancedFanOut));
    assert!(!orphan(|world| _ = world.facts.fan_out[0].tags.insert(TAG_PIPELINE.to_owned(), "other".to_owned())));
    assert!(!orphan(|world| world.facts.fan_out[0].tags.clear()));
    assert!(!orphan(|world| world.old().state = MappingState::Disabled), "its reader is being moved");
    assert!(!orphan(|world| world.old().state = MappingState::Enabling), "nothing polls the stream yet");
    assert!(!orphan(|world| world.facts.mappings.clear()), "its reader may be there and not be listed yet");
    let read_through: Arrange = |world| {
        world.facts.fan_out[0].name = "p-gone".into();
        let function_arn = "arn:aws:lambda:r:1:function:gone".to_owned();
        let source_arn = world.facts.fan_out[0].arn.clone();
        world.facts.mappings.push(MappingFacts { function_arn, source_arn, ..world.facts.mappings[0].clone() });
    };
    assert!(!orphan(read_through), "its consumer has left the spec, but its mapping has not gone");
}

#[test]
fn auto_moves_only_when_the_sizing_says_so_and_a_move_that_has_begun_goes_on() {
    let auto = || {
        let mut world = world().registered(Way::EnhancedFanOut);
        world.pipeline.consumers[0].delivery = Delivery::Auto;
        world
    };
    assert!(auto().plan().changes.iter().all(|change| change.action != Action::Replace));
    let mut chosen = auto();
    let target = crate::scale::Target { value: Way::EnhancedFanOut, reason: "readers contend".to_owned() };
    let mut targets = Targets::default();
    targets.consumers.entry("c".into()).or_default().delivery = Some(target);
    chosen.targets = Some(targets);
    assert_eq!(replaced(&chosen.plan()).fields[0].reason, "readers contend");
    let begun = auto().switched_off(MINUTE * 2);
    assert!(calls(replaced(&begun.plan()))[0].starts_with("create on"), "with a lost memory, too");
}

#[test]
fn a_mapping_that_somebody_switched_off_is_not_taken_for_a_move() {
    let mut paused = world();
    paused.old().state = MappingState::Disabled;
    let plan = paused.plan();
    assert!(plan.changes.iter().all(|change| change.action != Action::Replace), "{plan:#?}");
}

#[test]
fn only_a_mapping_that_polls_is_moved() {
    use MappingState::{Creating, Disabled, Disabling, Enabling, Updating};
    for state in [Creating, Enabling, Disabling, Disabled, Updating] {
        let mut idle = world();
        idle.old().state = state;
        idle.old().last_modified = Some(newest() - MINUTE * 20);
        let plan = idle.plan();
        let known = plan.changes.iter().all(|change| change.action == Action::Update);
        assert!(known && plan.blocked.is_empty(), "{state:?}: {plan:#?}");
    }
}

#[test]
fn a_move_that_aws_refuses_or_that_is_undone_rests() {
    let world = world().registered(Way::EnhancedFanOut).switched_off(MINUTE * 2);
    let created = replaced(&world.plan()).steps[0].clone();
    let of = (&world.pipeline, &world.facts);
    let mut memory = Memory::empty();
    let failed = Err(fixtures::failure(ErrorClass::Throttled));
    note(&mut memory, of, &[], &created, &failed, world.now);
    assert!(memory.fan_out.refused.is_empty(), "that passes");
    let failed = Err(fixtures::failure(ErrorClass::Invalid));
    note(&mut memory, of, &[], &created, &failed, world.now);
    let undo = switch(&world.pipeline.consumers[0], &world.facts.mappings[0], true);
    note(&mut memory, of, &[], &undo, &Ok(()), world.now + MINUTE);
    let refused = &memory.fan_out.refused["c"];
    assert!(refused.reason.contains("Invalid") && refused.until == world.now + REFUSED_FOR, "{refused:?}");

    let mut erring = World { refused: BTreeMap::new(), ..self::world().registered(Way::EnhancedFanOut) };
    erring = erring.switched_off(MINUTE * 2);
    erring.evidence.closed.as_mut().unwrap().any = true;
    let plan = erring.plan();
    let mut memory = Memory::empty();
    note(&mut memory, (&erring.pipeline, &erring.facts), &plan.changes, &undo, &Ok(()), erring.now);
    let refused = &memory.fan_out.refused["c"];
    assert!(refused.reason.contains("a shard was closed") && refused.until == erring.now + UNDONE_FOR, "{refused:?}");

    let mut untouched = Memory::empty();
    let plain = self::world();
    note(&mut untouched, (&plain.pipeline, &plain.facts), &[], &undo, &Ok(()), plain.now);
    assert!(untouched.fan_out.refused.is_empty(), "an ordinary mapping was switched on");
}
