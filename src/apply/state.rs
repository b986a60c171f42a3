//! Whether a resource is there and whether AWS would accept a change of it now. Pure.

use crate::{
    model::{Facts, LifecycleStatus, MappingFacts, MappingState, ResourceId},
    spec::Pipeline,
};

/// How a resource stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It does not exist.
    Absent,
    /// It exists and may be changed.
    Settled,
    /// AWS is at work on it; the status as AWS spells it.
    Transition(String),
    /// A status that this version does not know: never changed.
    Unusable(String),
}

/// How `resource` stands according to `facts`.
pub fn presence(pipeline: &Pipeline, facts: &Facts, resource: &ResourceId) -> Presence {
    match resource {
        ResourceId::Stream(name) => match facts.stream.as_ref().filter(|stream| stream.name == *name) {
            None => Presence::Absent,
            Some(stream) => of_status(stream.status),
        },
        ResourceId::Table(name) | ResourceId::Index(name, _) => match facts.tables.get(name) {
            None => Presence::Absent,
            Some(table) => {
                let indexes = table.global_secondary_indexes.values().map(|index| index.status);
                let unsettled = std::iter::once(table.status).chain(indexes).find(|it| *it != LifecycleStatus::Active);
                of_status(unsettled.unwrap_or(LifecycleStatus::Active))
            }
        },
        ResourceId::FanOutConsumer(_, name) => match facts.fan_out.iter().find(|consumer| consumer.name == *name) {
            None => Presence::Absent,
            Some(consumer) => of_status(consumer.status),
        },
        ResourceId::Mapping(name) => {
            let consumer = pipeline.consumers.iter().find(|consumer| consumer.name == *name);
            // `destroy` also meets mappings whose consumer has left the spec: they go by their function's name.
            let (function, alias) = consumer.map_or((name, None), |it| (&it.function, it.alias.as_deref()));
            of_mappings(facts, function, alias)
        }
        ResourceId::Function(name) => {
            if facts.functions.contains_key(name) {
                Presence::Settled
            } else {
                Presence::Absent
            }
        }
    }
}

fn of_status(status: LifecycleStatus) -> Presence {
    match status {
        LifecycleStatus::Active => Presence::Settled,
        LifecycleStatus::Creating => Presence::Transition("CREATING".to_owned()),
        LifecycleStatus::Updating => Presence::Transition("UPDATING".to_owned()),
        LifecycleStatus::Deleting => Presence::Transition("DELETING".to_owned()),
        LifecycleStatus::Other => Presence::Unusable("unknown to this version".to_owned()),
    }
}

/// A consumer that is being moved has two mappings for a while: it is settled when all of them are.
fn of_mappings(facts: &Facts, function: &str, alias: Option<&str>) -> Presence {
    let mut presence = Presence::Absent;
    for mapping in facts.mappings.iter().filter(|mapping| invokes(mapping, function, alias)) {
        match mapping.state {
            MappingState::Other => return Presence::Unusable("unknown to this version".to_owned()),
            state if state.is_settled() => presence = Presence::Settled,
            state => return Presence::Transition(format!("{state:?}")),
        }
    }
    presence
}

/// Whether the mapping invokes the function: `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:ALIAS]`.
fn invokes(mapping: &MappingFacts, function: &str, alias: Option<&str>) -> bool {
    let mut parts = mapping.function_arn.split(':').skip(6);
    parts.next() == Some(function) && parts.next() == alias
}
