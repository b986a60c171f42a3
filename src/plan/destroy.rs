//! Taking a pipeline down: mappings, then their fan-out consumers, then the stream, then tables. Only what is tagged as ours; what holds data only
//! when the spec says `delete` and a person confirmed the name.

use crate::{
    cost,
    model::{FanOutFacts, LifecycleStatus, MappingState, ResourceId, TAG_PIPELINE, UsdPerHour},
    spec::DeletionPolicy,
};

use super::{
    Action, Input, Plan, Risk, Step, codes,
    draft::{Draft, Work},
    fan_out,
    mapping::function_of,
    ownership::{self, Holder},
    stream, table, timing,
};

/// The plan of `destroy`. What stays is listed as blocked, with what it goes on costing.
///
/// A resource that is being deleted stays in the changes until it is gone, so that what comes after it waits.
pub fn destroy(input: &Input<'_>, confirmed_name: Option<&str>) -> Plan {
    let mut draft = Draft::default();
    mappings(&mut draft, input);
    for consumer in input.facts.fan_out.iter().filter(|consumer| is_ours(consumer, input)) {
        fan_out::deregister(&mut draft, input, consumer, "destroy; it holds no data");
    }
    the_stream(&mut draft, input, confirmed_name);
    tables(&mut draft, input, confirmed_name);
    draft.finish(input, confirmed_name)
}

/// Every mapping on the stream that carries our tag, whether or not a consumer still names it.
fn mappings(draft: &mut Draft, input: &Input<'_>) {
    let mut found: Vec<_> = input
        .facts
        .mappings
        .iter()
        .map(|mapping| {
            let (name, qualifier) = function_of(&mapping.function_arn);
            let consumer = input
                .pipeline
                .consumers
                .iter()
                .find(|consumer| consumer.function == name && consumer.alias.as_deref() == qualifier)
                .map(|consumer| consumer.name.clone());
            (consumer, name, mapping)
        })
        .collect();
    found.sort_by(|a, b| (&a.0, a.1, &a.2.uuid).cmp(&(&b.0, b.1, &b.2.uuid)));
    for (consumer, function, mapping) in found {
        let named = consumer.is_some();
        let consumer = consumer.unwrap_or_else(|| function.to_owned());
        let id = ResourceId::Mapping(consumer.clone());
        match ownership::holder(&mapping.tags, input.pipeline) {
            Holder::Ours if mapping.state == MappingState::Other => unknown_state(draft, &id, UsdPerHour(0.0)),
            Holder::Ours => {
                let mut work = Work { risk: Risk::Interrupts, ..Work::default() };
                work.step(Step::DeleteMapping { consumer, uuid: mapping.uuid.clone() }, timing::MAPPING);
                let reason = if mapping.state == MappingState::Deleting {
                    "is being deleted already"
                } else {
                    "destroy; its position in the stream is lost"
                };
                draft.change(&id, Action::Delete, Some(reason.to_owned()), work);
            }
            // Other people's mappings are none of our business, unless the spec names their function.
            Holder::Nobody | Holder::Other(_) if named => left_alone(draft, &id, input, UsdPerHour(0.0)),
            Holder::Nobody | Holder::Other(_) => {}
        }
    }
}

fn is_ours(consumer: &FanOutFacts, input: &Input<'_>) -> bool {
    ownership::holder(&consumer.tags, input.pipeline) == Holder::Ours
}

/// Names what is not ours.
fn left_alone(draft: &mut Draft, id: &ResourceId, input: &Input<'_>, cost: UsdPerHour) {
    draft.block(
        id,
        codes::LEFT_ALONE,
        format!("is not tagged {TAG_PIPELINE}={}: left alone{}", input.pipeline.name, monthly(cost)),
        "nothing to do; it is not this pipeline's own".to_owned(),
    );
}

/// Names what is ours but in no state to be deleted; the rest goes on.
fn unknown_state(draft: &mut Draft, id: &ResourceId, cost: UsdPerHour) {
    draft.block(
        id,
        codes::LEFT_ALONE,
        format!("is in a state this version does not know: left alone{}", monthly(cost)),
        "look at it in the AWS console (archived? its KMS key disabled?)".to_owned(),
    );
}

fn monthly(cost: UsdPerHour) -> String {
    if cost.0 > 0.0 { format!(", costs ${:.2} a month", cost.per_month()) } else { String::new() }
}

/// Whether a stateful resource may go; otherwise says why it stays.
fn may_go(
    draft: &mut Draft,
    input: &Input<'_>,
    id: &ResourceId,
    policy: DeletionPolicy,
    confirmed: Option<&str>,
    cost: UsdPerHour,
) -> bool {
    let name = &input.pipeline.name;
    if policy == DeletionPolicy::Retain {
        draft.block(
            id,
            codes::RETAINED,
            format!("retained: deletionPolicy is retain{}", monthly(cost)),
            "to delete it with its data, set deletionPolicy: delete and confirm the name".to_owned(),
        );
        return false;
    }
    if confirmed != Some(name.as_str()) {
        let reason = match confirmed {
            None => format!("retained: the name was not confirmed{}", monthly(cost)),
            Some(other) => format!("retained: \"{other}\" is not this pipeline's name{}", monthly(cost)),
        };
        draft.block(id, codes::NOT_CONFIRMED, reason, format!("to delete it with its data, add --confirm-name {name}"));
        return false;
    }
    true
}

fn the_stream(draft: &mut Draft, input: &Input<'_>, confirmed: Option<&str>) {
    let Some(live) = &input.facts.stream else { return };
    let (spec, id) = (&input.pipeline.stream, stream::id(input.pipeline));
    // Its fan-out consumers are priced by themselves.
    let cost = cost::of_stream(live, 0, input.prices);
    if ownership::holder(&live.tags, input.pipeline) != Holder::Ours {
        left_alone(draft, &id, input, cost);
        return;
    }
    if !may_go(draft, input, &id, spec.deletion_policy, confirmed, cost) {
        return;
    }
    let others: Vec<&FanOutFacts> = input.facts.fan_out.iter().filter(|consumer| !is_ours(consumer, input)).collect();
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|consumer| consumer.name.as_str()).collect();
        draft.block(
            &id,
            codes::HAS_CONSUMERS,
            format!(
                "retained: fan-out consumers that are not ours are registered on it ({}){}",
                names.join(", "),
                monthly(cost)
            ),
            "deregister them first: AWS refuses to delete the stream while they exist".to_owned(),
        );
        return;
    }
    let foreign = input
        .facts
        .mappings
        .iter()
        .filter(|mapping| ownership::holder(&mapping.tags, input.pipeline) != Holder::Ours)
        .count();
    if foreign > 0 {
        draft.warnings.push(format!("{foreign} mappings that are not ours read {id} and will stop"));
    }
    let delete = Step::DeleteStream { stream: live.name.clone() };
    remove(draft, &id, live.status, cost, vec![(delete, timing::DELETE_STREAM)]);
}

fn tables(draft: &mut Draft, input: &Input<'_>, confirmed: Option<&str>) {
    let mut specs: Vec<_> = input.pipeline.tables.iter().collect();
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    for spec in specs {
        let Some(live) = input.facts.tables.get(&spec.name) else { continue };
        let id = ResourceId::Table(spec.name.clone());
        let cost = table::cost_of(live, input);
        if ownership::holder(&live.tags, input.pipeline) != Holder::Ours {
            left_alone(draft, &id, input, cost);
            continue;
        }
        if !may_go(draft, input, &id, spec.deletion_policy, confirmed, cost) {
            continue;
        }
        let table = spec.name.clone();
        let mut steps = Vec::new();
        if live.deletion_protection && live.status != LifecycleStatus::Deleting {
            let unlock = Step::UpdateDeletionProtection { table: table.clone(), enabled: false };
            steps.push((unlock, timing::SETTING));
        }
        steps.push((Step::DeleteTable { table }, timing::DELETE_TABLE));
        remove(draft, &id, live.status, cost, steps);
    }
}

fn remove(
    draft: &mut Draft,
    id: &ResourceId,
    status: LifecycleStatus,
    cost: UsdPerHour,
    steps: Vec<(Step, jiff::SignedDuration)>,
) {
    if status == LifecycleStatus::Other {
        unknown_state(draft, id, cost);
        return;
    }
    let mut work = Work { risk: Risk::LosesData, cost_delta: UsdPerHour(0.0) - cost, ..Work::default() };
    for (step, expected) in steps {
        work.step(step, expected);
    }
    let reason = match status {
        LifecycleStatus::Deleting => "is being deleted already",
        _ => "destroy; all its data goes with it",
    };
    draft.change(id, Action::Delete, Some(reason.to_owned()), work);
}
