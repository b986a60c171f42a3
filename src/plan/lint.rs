//! An independent check of a plan before anything of it is called.
//!
//! Written from the rules (the spec's bounds, AWS's quotas, ownership by tag), not from the code that plans: it shares
//! no decision with it, so that a slip there is caught here. Anything it finds is a bug of this program.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{
        LifecycleStatus, MANAGED_BY, MappingFacts, MappingState, ResourceId, TAG_MANAGED_BY, TAG_MOVE, TAG_PIPELINE,
        TAG_RESHARDS,
    },
    scale::COLD_LEDGER_TAG,
    spec::{AdoptionPolicy, DeletionPolicy},
};

use super::{Action, Change, Input, Plan, Risk, Step, lint_moves, lint_values};

/// Checks every rule again. Anything returned is a reason to refuse the whole plan.
pub fn lint(plan: &Plan, input: &Input<'_>) -> Vec<String> {
    let mut found = Vec::new();
    identity(plan, input, &mut found);
    let mut values = lint_values::State::new(input);
    let mut said = BTreeSet::new();
    for change in &plan.changes {
        if !said.insert((change.resource.clone(), format!("{:?}", change.action))) {
            found.push(format!("{}: the same change stands twice in the plan", change.resource));
        }
        if change.steps.is_empty() {
            found.push(format!("{}: a change without a call", change.resource));
        }
        for (at, step) in change.steps.iter().enumerate() {
            let mut complain = |text: String| found.push(format!("{}: {}: {text}", change.resource, name_of(step)));
            if resource_of(step) != change.resource {
                complain(format!("the call is for {}", resource_of(step)));
            }
            if change.action == Action::Replace {
                lint_moves::check(change, step, at, input, &mut complain);
            }
            let created = matches!(
                change.steps.first(),
                Some(Step::CreateStream { .. } | Step::CreateTable(_) | Step::CreateMapping(_))
            ) && at > 0;
            if creates(step) {
                creation(change, step, input, plan, &mut complain);
            } else if matches!(step, Step::RegisterStreamConsumer { .. }) {
                lint_moves::registration(change, step, input, plan, &mut complain);
            } else if !created {
                match live(step, input) {
                    None => complain("it does not exist".to_owned()),
                    Some(live) => {
                        ownership(change, &live, input, &mut complain);
                        transition(change, &live, input, &mut complain);
                    }
                }
            }
            deletion(change, step, plan, input, &mut complain);
            tags(step, input, &mut complain);
            values.check(step, change.action, &mut complain);
        }
    }
    order(plan, &mut found);
    found
}

/// Right account, right region, right pipeline.
fn identity(plan: &Plan, input: &Input<'_>, found: &mut Vec<String>) {
    let (pipeline, facts) = (input.pipeline, input.facts);
    if plan.pipeline != pipeline.name {
        found.push(format!("the plan is for pipeline {}, not {}", plan.pipeline, pipeline.name));
    }
    if plan.account != facts.account || plan.region != facts.region {
        found.push(format!("the plan is for {}/{}, not {}/{}", plan.account, plan.region, facts.account, facts.region));
    }
    let expected = &pipeline.expected_account_ids;
    if !plan.changes.is_empty() && !expected.is_empty() && !expected.contains(&facts.account) {
        found.push(format!("account {} is not one of expectedAccountIds", facts.account));
    }
}

/// The API operation of a step.
fn name_of(step: &Step) -> &'static str {
    match step {
        Step::CreateStream { .. } => "CreateStream",
        Step::TagStream { .. } => "AddTagsToStream",
        Step::IncreaseRetention { .. } => "IncreaseStreamRetentionPeriod",
        Step::DecreaseRetention { .. } => "DecreaseStreamRetentionPeriod",
        Step::UpdateShardCount { .. } => "UpdateShardCount",
        Step::SplitShard { .. } => "SplitShard",
        Step::UpdateStreamMode { .. } => "UpdateStreamMode",
        Step::RegisterStreamConsumer { .. } => "RegisterStreamConsumer",
        Step::DeregisterStreamConsumer { .. } => "DeregisterStreamConsumer",
        Step::DeleteStream { .. } => "DeleteStream",
        Step::CreateTable(_) => "CreateTable",
        Step::UpdateCapacity(_)
        | Step::UpdateBillingMode { .. }
        | Step::CreateIndex { .. }
        | Step::UpdateTableStream { .. } => "UpdateTable",
        Step::UpdateDeletionProtection { .. } => "UpdateTable (protection)",
        Step::UpdatePointInTimeRecovery { .. } => "UpdateContinuousBackups",
        Step::UpdateTimeToLive { .. } => "UpdateTimeToLive",
        Step::TagTable { .. } | Step::TagMapping { .. } | Step::TagStreamConsumer { .. } => "TagResource",
        Step::DeleteTable { .. } => "DeleteTable",
        Step::CreateMapping(_) => "CreateEventSourceMapping",
        Step::UpdateMapping(_) => "UpdateEventSourceMapping",
        Step::DeleteMapping { .. } => "DeleteEventSourceMapping",
    }
}

fn resource_of(step: &Step) -> ResourceId {
    match step {
        Step::CreateStream { stream, .. }
        | Step::TagStream { stream, .. }
        | Step::IncreaseRetention { stream, .. }
        | Step::DecreaseRetention { stream, .. }
        | Step::UpdateShardCount { stream, .. }
        | Step::SplitShard { stream, .. }
        | Step::UpdateStreamMode { stream, .. }
        | Step::DeleteStream { stream } => ResourceId::Stream(stream.clone()),
        Step::RegisterStreamConsumer { stream, consumer, .. }
        | Step::TagStreamConsumer { stream, consumer, .. }
        | Step::DeregisterStreamConsumer { stream, consumer, .. } => {
            ResourceId::FanOutConsumer(stream.clone(), consumer.clone())
        }
        Step::CreateTable(new) => ResourceId::Table(new.spec.name.clone()),
        Step::UpdateCapacity(change) | Step::UpdateBillingMode { capacity: change, .. } => {
            ResourceId::Table(change.table.clone())
        }
        Step::CreateIndex { table, .. }
        | Step::UpdateTableStream { table, .. }
        | Step::UpdateDeletionProtection { table, .. }
        | Step::UpdatePointInTimeRecovery { table, .. }
        | Step::UpdateTimeToLive { table, .. }
        | Step::TagTable { table, .. }
        | Step::DeleteTable { table } => ResourceId::Table(table.clone()),
        Step::CreateMapping(new) => ResourceId::Mapping(new.consumer.clone()),
        Step::UpdateMapping(change) => ResourceId::Mapping(change.consumer.clone()),
        Step::TagMapping { consumer, .. } | Step::DeleteMapping { consumer, .. } => {
            ResourceId::Mapping(consumer.clone())
        }
    }
}

fn creates(step: &Step) -> bool {
    matches!(step, Step::CreateStream { .. } | Step::CreateTable(_) | Step::CreateMapping(_))
}

/// What is known of the resource a step changes.
struct Live<'a> {
    tags: &'a BTreeMap<String, String>,
    settled: bool,
    deleting: bool,
    unknown: bool,
    adoption: Option<AdoptionPolicy>,
}

/// The mapping a step names; tag steps name it by ARN.
fn mapping_of<'a>(step: &Step, input: &Input<'a>) -> Option<&'a MappingFacts> {
    let by_uuid = |uuid: &String| input.facts.mappings.iter().find(|mapping| mapping.uuid == *uuid);
    match step {
        Step::UpdateMapping(change) => by_uuid(&change.uuid),
        Step::DeleteMapping { uuid, .. } => by_uuid(uuid),
        Step::TagMapping { arn, .. } => input.facts.mappings.iter().find(|mapping| mapping.arn.as_ref() == Some(arn)),
        _ => None,
    }
}

/// Whether the ARN of a mapping's function is that of the consumer in the spec.
fn feeds(mapping: &MappingFacts, consumer: &str, input: &Input<'_>) -> bool {
    let Some(spec) = input.pipeline.consumers.iter().find(|spec| spec.name == consumer) else { return false };
    let (name, alias) = match mapping.function_arn.split_once(":function:") {
        Some((_, rest)) => rest.split_once(':').map_or((rest, None), |(name, alias)| (name, Some(alias))),
        None => {
            mapping.function_arn.split_once(':').map_or((mapping.function_arn.as_str(), None), |(n, a)| (n, Some(a)))
        }
    };
    name == spec.function && alias.filter(|alias| *alias != "$LATEST") == spec.alias.as_deref()
}

fn live<'a>(step: &Step, input: &Input<'a>) -> Option<Live<'a>> {
    let (facts, pipeline) = (input.facts, input.pipeline);
    match resource_of(step) {
        ResourceId::FanOutConsumer(_, name) => {
            let consumer = facts.fan_out.iter().find(|consumer| consumer.name == name)?;
            Some(Live {
                tags: &consumer.tags,
                settled: consumer.status == LifecycleStatus::Active,
                deleting: consumer.status == LifecycleStatus::Deleting,
                unknown: consumer.status == LifecycleStatus::Other,
                adoption: Some(AdoptionPolicy::Refuse),
            })
        }
        ResourceId::Stream(name) => {
            let stream = facts.stream.as_ref().filter(|stream| stream.name == name)?;
            Some(Live {
                tags: &stream.tags,
                settled: stream.status == LifecycleStatus::Active,
                deleting: stream.status == LifecycleStatus::Deleting,
                unknown: stream.status == LifecycleStatus::Other,
                adoption: (pipeline.stream.name == name).then_some(pipeline.stream.adoption_policy),
            })
        }
        ResourceId::Table(name) | ResourceId::Index(name, _) => {
            let table = facts.tables.get(&name)?;
            Some(Live {
                tags: &table.tags,
                settled: table.is_settled(),
                deleting: table.status == LifecycleStatus::Deleting,
                unknown: table.status == LifecycleStatus::Other,
                adoption: pipeline.tables.iter().find(|spec| spec.name == name).map(|spec| spec.adoption_policy),
            })
        }
        ResourceId::Mapping(consumer) => {
            let mapping = mapping_of(step, input)?;
            let named = feeds(mapping, &consumer, input) || matches!(step, Step::DeleteMapping { .. });
            Some(Live {
                tags: &mapping.tags,
                settled: mapping.state.is_settled(),
                deleting: mapping.state == MappingState::Deleting,
                unknown: mapping.state == MappingState::Other,
                adoption: named.then_some(pipeline.stream.adoption_policy),
            })
        }
        ResourceId::Function(_) => None,
    }
}

/// Tagged as ours, or adopted in the first call because the spec says so.
fn ownership(change: &Change, live: &Live<'_>, input: &Input<'_>, complain: &mut impl FnMut(String)) {
    let Some(policy) = live.adoption else { return complain("the spec does not name it".to_owned()) };
    let name = &input.pipeline.name;
    match live.tags.get(TAG_PIPELINE) {
        Some(owner) if owner == name => {}
        Some(owner) => complain(format!("it belongs to pipeline {owner}")),
        None => {
            let foreign = live.tags.get(TAG_MANAGED_BY).is_some_and(|tool| tool != MANAGED_BY);
            let tagged_first = match change.steps.first() {
                Some(Step::TagStream { tags, .. } | Step::TagTable { tags, .. } | Step::TagMapping { tags, .. }) => {
                    tags.get(TAG_PIPELINE) == Some(name)
                }
                _ => false,
            };
            if change.action != Action::Adopt || policy != AdoptionPolicy::Adopt || !tagged_first || foreign {
                complain("it is not tagged as ours".to_owned());
            }
        }
    }
}

/// Nothing on what is going or unknown; while scaling, nothing on what is in transition.
fn transition(change: &Change, live: &Live<'_>, input: &Input<'_>, complain: &mut impl FnMut(String)) {
    if live.unknown {
        complain("it is in an unknown state".to_owned());
    } else if live.deleting && change.action != Action::Delete {
        complain("it is being deleted".to_owned());
    } else if input.targets.is_some() && !live.settled {
        complain("it is in transition".to_owned());
    }
}

/// What is created must not exist, and what it needs must.
fn creation(change: &Change, step: &Step, input: &Input<'_>, plan: &Plan, complain: &mut impl FnMut(String)) {
    let (facts, pipeline) = (input.facts, input.pipeline);
    let moves = change.action == Action::Replace && matches!(step, Step::CreateMapping(_));
    if change.action != Action::Create && !moves {
        complain("it creates, but the change does not say so".to_owned());
    }
    let (exists, named) = match step {
        Step::CreateStream { stream, .. } => (facts.stream.is_some(), pipeline.stream.name == *stream),
        Step::CreateTable(new) => {
            let name = &new.spec.name;
            (facts.tables.contains_key(name), pipeline.tables.iter().any(|spec| spec.name == *name))
        }
        Step::CreateMapping(new) => {
            let spec = pipeline.consumers.iter().find(|spec| spec.name == new.consumer);
            if spec.is_some_and(|spec| !facts.functions.contains_key(&spec.function)) {
                complain("its function does not exist".to_owned());
            }
            let arn = facts.stream.as_ref().map(|stream| &stream.arn);
            lint_moves::source(new, input, complain);
            let coming = plan
                .changes
                .iter()
                .take_while(|other| other.resource != change.resource)
                .any(|other| matches!(other.steps.first(), Some(Step::CreateStream { .. })));
            if arn.is_none() && !coming {
                complain("the stream does not exist and is not created before it".to_owned());
            }
            let exists = !moves && facts.mappings.iter().any(|mapping| feeds(mapping, &new.consumer, input));
            (exists, spec.is_some())
        }
        _ => (false, true),
    };
    if exists {
        complain("it exists already".to_owned());
    }
    if !named {
        complain("the spec does not name it".to_owned());
    }
}

/// Data goes only when the spec and a person say so, and the plan must call it what it is.
fn deletion(change: &Change, step: &Step, plan: &Plan, input: &Input<'_>, complain: &mut impl FnMut(String)) {
    let pipeline = input.pipeline;
    let policy = match step {
        Step::DeleteStream { .. } => Some(pipeline.stream.deletion_policy),
        Step::DeleteTable { table } => Some(
            pipeline
                .tables
                .iter()
                .find(|spec| spec.name == *table)
                .map_or(DeletionPolicy::Retain, |spec| spec.deletion_policy),
        ),
        _ => None,
    };
    let replaces = change.action == Action::Replace && matches!(step, Step::DeleteMapping { .. });
    let deletes = policy.is_some()
        || matches!(step, Step::DeregisterStreamConsumer { .. })
        || (matches!(step, Step::DeleteMapping { .. }) && !replaces);
    if let Some(policy) = policy {
        if policy != DeletionPolicy::Delete {
            complain("deletionPolicy is retain".to_owned());
        }
        if plan.confirmed_name.as_ref() != Some(&pipeline.name) {
            complain("nobody confirmed the name".to_owned());
        }
    }
    let unlocks = matches!(step, Step::UpdateDeletionProtection { enabled: false, .. });
    if change.action == Action::Delete {
        if unlocks && plan.confirmed_name.as_ref() != Some(&pipeline.name) {
            complain("nobody confirmed the name".to_owned());
        }
        if !deletes && !unlocks {
            complain("no part of a deletion".to_owned());
        }
    } else if deletes {
        complain("it deletes, but the change does not say so".to_owned());
    }
    let loses = policy.is_some() || matches!(step, Step::DecreaseRetention { .. });
    if loses && change.risk != Risk::LosesData {
        complain("it loses data, but the change does not say so".to_owned());
    }
    if let Step::DeregisterStreamConsumer { arn, .. } = step
        && input.facts.mappings.iter().any(|mapping| mapping.source_arn == *arn)
        && change.wait.is_none()
    {
        complain("a mapping reads through it".to_owned());
    }
}

/// Our two tags have one value each, and no other tag of their family is written.
fn tags(step: &Step, input: &Input<'_>, complain: &mut impl FnMut(String)) {
    let (tags, whole) = match step {
        Step::CreateStream { tags, .. } | Step::RegisterStreamConsumer { tags, .. } => (tags, true),
        Step::CreateTable(new) => (&new.tags, true),
        Step::CreateMapping(new) => (&new.tags, true),
        Step::TagStream { tags, .. }
        | Step::TagTable { tags, .. }
        | Step::TagMapping { tags, .. }
        | Step::TagStreamConsumer { tags, .. } => (tags, false),
        _ => return,
    };
    let on_consumer = matches!(step, Step::RegisterStreamConsumer { .. } | Step::TagStreamConsumer { .. });
    for (key, value) in tags.iter().filter(|(key, _)| key.starts_with("alleycat.dev/")) {
        let right = match key.as_str() {
            TAG_PIPELINE => *value == input.pipeline.name,
            TAG_MANAGED_BY => value == MANAGED_BY,
            // A new stream has an empty ledger; every other value is the driver's to write, with a call.
            TAG_RESHARDS => value == COLD_LEDGER_TAG && matches!(step, Step::CreateStream { .. }),
            TAG_MOVE => on_consumer && ["shared", "enhancedFanOut"].contains(&value.as_str()),
            _ => false,
        };
        if !right {
            complain(format!("it writes the tag {key}={value}"));
        }
    }
    if whole && !tags.contains_key(TAG_PIPELINE) {
        complain("it creates without the ownership tag".to_owned());
    }
}

/// Going down, nothing is deleted before what reads it: mappings, stream, tables.
fn order(plan: &Plan, found: &mut Vec<String>) {
    let rank = |change: &Change| match change.resource {
        ResourceId::Mapping(_) => 0,
        ResourceId::FanOutConsumer(..) => 1,
        ResourceId::Stream(_) => 2,
        _ => 3,
    };
    let deletes: Vec<_> = plan.changes.iter().filter(|change| change.action == Action::Delete).collect();
    if deletes.windows(2).any(|pair| matches!(pair, [first, second] if rank(first) > rank(second))) {
        found.push(
            "deletions are out of order: mappings, then their fan-out consumers, then the stream, then tables"
                .to_owned(),
        );
    }
}
