//! Whether raises help: each is measured against the shortage it answers, and what has helped twice in a row not at all
//! is left alone for a while, because something else must be the cause.
//!
//! What always holds: a raise is judged only once it is there and whole minutes after it are measured, and not against a
//! load that rose much; further raises in that time can only help it. The judgement comes from the same facts and signals
//! as the decision, so a decision made again comes out the same.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    Sizing,
    raises::{self, Raise},
};
use crate::{
    diagnose::{self, Diagnosis, Finding, Severity},
    memory::{Effort, Memory, OpenEffort},
    model::{Facts, ResourceId, Signals},
    spec::{Pipeline, ScalingPolicy},
};

/// More load than this times that of the raise says nothing of the raise.
const ROSE: f64 = 1.2;
/// A raise helps when this share of what it should add is there, or this share of the trouble is gone.
const HELPS: f64 = 0.3;
/// Raises without effect in a row before no more are made.
const FAILURES: u32 = 2;
/// None is made for so long; twice as long each time it fails again.
const REST: SignedDuration = SignedDuration::from_hours(2);
/// At the longest.
const LONGEST_REST: SignedDuration = SignedDuration::from_hours(24);
/// Whole minutes that have to be measured after the change, beyond CloudWatch's delay.
const MEASURED: SignedDuration = SignedDuration::from_mins(3);
/// A change that is not there after this time is not judged.
const LOST: SignedDuration = SignedDuration::from_hours(2);

/// What a pass sees.
pub(super) struct Seen<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) policy: &'a ScalingPolicy,
    pub(super) facts: &'a Facts,
    pub(super) signals: &'a Signals,
    pub(super) findings: &'a [Finding],
    pub(super) now: Timestamp,
}

/// How a resource fares.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// What it gets done: records/s or units/s.
    work: f64,
    /// What should go away: the share rejected, seconds of age gained a second, or throttles.
    trouble: f64,
}

/// Judges the raises that are there, takes out those that have not helped, and notes the others.
pub(super) fn keep(
    seen: &Seen<'_>,
    changed_before: &BTreeMap<String, Timestamp>,
    memory: &mut Memory,
    sizing: &mut Sizing,
) {
    let Some(stream) = &seen.facts.stream else { return };
    let Some(load) = diagnose::stream_load(seen.policy, stream, seen.signals) else { return };
    let offered = load.offered;
    judge(seen, memory, offered);
    let resting = |raise: &Raise| rests(memory, raise, offered, seen.now).is_some();
    let wanted = raises::raises(seen.pipeline, seen.facts, &sizing.targets);
    let (held, made): (Vec<Raise>, Vec<Raise>) = wanted.into_iter().partition(resting);
    for raise in held {
        let Some((effort, until)) = rests(memory, &raise, offered, seen.now) else { continue };
        let reason = format!(
            "{} raises in a row did nothing against {}: something else is the cause, and a person should look",
            effort.failures,
            effort.against.code()
        );
        let this = |other: &Raise| *other == raise;
        let why = ("ineffective", reason.as_str(), Some(until));
        raises::hold_back(seen.pipeline, seen.facts, memory, changed_before, sizing, &this, why);
    }
    for raise in made {
        let Some((against, measured)) = shortage(seen, &raise.resource, &raise.key) else { continue };
        let Measured { work, trouble } = measured;
        let open = OpenEffort { at: seen.now, from: raise.from, to: raise.to, seen: None, work, trouble, offered };
        let known = memory.efforts.remove(&raise.key).filter(|effort| effort.against == against);
        if let Some(running) = known.clone().filter(|effort| effort.open.is_some()) {
            memory.efforts.insert(raise.key, running);
            continue;
        }
        let (failures, from) = known.map_or((0, 0), |effort| (effort.failures, effort.from));
        let effort =
            Effort { resource: raise.resource, against, failures, from, rests_until: None, open: Some(open), offered };
        memory.efforts.insert(raise.key, effort);
    }
}

/// The effort, and until when nothing more is tried; not against a load that rose since, and not when the value is below
/// the one that last went up for nothing.
fn rests(memory: &Memory, raise: &Raise, offered: f64, now: Timestamp) -> Option<(Effort, Timestamp)> {
    let effort = memory.efforts.get(&raise.key).filter(|it| offered <= ROSE * it.offered && raise.from >= it.from)?;
    effort.rests_until.filter(|until| now < *until).map(|until| (effort.clone(), until))
}

/// Judges what is open and due; forgets what helped, and what is long past.
fn judge(seen: &Seen<'_>, memory: &mut Memory, offered: f64) {
    let delay = SignedDuration::from_secs(i64::from(seen.policy.metric_delay_seconds));
    memory.efforts.retain(|key, effort| {
        let Some(open) = &mut effort.open else {
            return effort.rests_until.is_some_and(|until| seen.now < until + LONGEST_REST);
        };
        if open.seen.is_none() && live(seen, &effort.resource, key) >= Some(open.to) {
            open.seen = Some(seen.now);
        }
        let Some(there) = open.seen else { return seen.now < open.at + LOST };
        if seen.now < there + delay + MEASURED {
            return true;
        }
        let Some((against, measured)) = shortage(seen, &effort.resource, key) else { return false };
        if against != effort.against || helped(&effort.resource, open, measured) {
            return false;
        }
        let (rose, from) = (offered > ROSE * open.offered, open.from);
        effort.open = None;
        effort.rests_until = Some(seen.now);
        if !rose {
            effort.failures += 1;
            effort.from = from;
            effort.offered = offered;
            let doublings = effort.failures.checked_sub(FAILURES);
            let rest = doublings.map(|times| (REST * 2_i32.pow(times.min(8))).min(LONGEST_REST));
            effort.rests_until = Some(seen.now + rest.unwrap_or_default());
        }
        true
    });
}

/// Whether a raise that was made has done a good part of what it should. What a table did before may have been done on
/// burst credit, so it is held against the capacity that was there.
fn helped(resource: &ResourceId, open: &OpenEffort, now: Measured) -> bool {
    let share = open.to as f64 / open.from.max(1) as f64 - 1.0;
    let before = match resource {
        ResourceId::Table(_) | ResourceId::Index(..) => open.from as f64,
        _ => open.work,
    };
    now.work >= before * (1.0 + HELPS * share) || now.trouble <= open.trouble * (1.0 - HELPS)
}

/// The shortage that a raise of this value answers, and how the resource fares; `None` when nothing is short, or it
/// cannot be measured.
fn shortage(seen: &Seen<'_>, resource: &ResourceId, key: &str) -> Option<(Diagnosis, Measured)> {
    let answered: &[Diagnosis] = match resource {
        ResourceId::Stream(_) => &[Diagnosis::IngestShort],
        ResourceId::Mapping(_) => &[Diagnosis::ConsumerShort],
        _ if key.ends_with("writeCapacity") => &[Diagnosis::SinkShort],
        _ => &[Diagnosis::SinkReadShort],
    };
    let urgent = |it: &&Finding| it.resource == *resource && it.severity >= Severity::Warning;
    let found = seen.findings.iter().filter(urgent).find(|it| answered.contains(&it.diagnosis))?;
    Some((found.diagnosis, measure(seen, resource, key)?))
}

fn measure(seen: &Seen<'_>, resource: &ResourceId, key: &str) -> Option<Measured> {
    let stream = diagnose::stream_load(seen.policy, seen.facts.stream.as_ref()?, seen.signals)?;
    let sink = |load: diagnose::SinkLoad| {
        let write = Measured { work: load.write, trouble: load.write_throttles };
        let read = Measured { work: load.read, trouble: load.read_throttles };
        if key.ends_with("writeCapacity") { write } else { read }
    };
    match resource {
        ResourceId::Stream(_) => Some(Measured { work: stream.accepted, trouble: stream.rejected_ratio }),
        ResourceId::Mapping(name) => {
            let spec = seen.pipeline.consumers.iter().find(|it| it.name == *name)?;
            let load = diagnose::consumer_load(seen.pipeline, seen.policy, seen.signals, spec)?;
            // Who falls behind by half a second each second does half of what comes in.
            let work = stream.accepted * (1.0 - load.age_slope).max(0.0);
            Some(Measured { work, trouble: load.age_slope.max(0.0) })
        }
        ResourceId::Table(name) => {
            let (signals, facts) = (&seen.signals.tables.get(name)?.table, &seen.facts.tables.get(name)?.capacity);
            diagnose::sink_load(seen.signals, signals, facts).map(sink)
        }
        ResourceId::Index(table, index) => {
            let signals = seen.signals.tables.get(table)?.indexes.get(index)?;
            let facts = &seen.facts.tables.get(table)?.global_secondary_indexes.get(index)?.capacity;
            diagnose::sink_load(seen.signals, signals, facts).map(sink)
        }
        _ => None,
    }
}

/// Where a value stands in AWS.
fn live(seen: &Seen<'_>, resource: &ResourceId, key: &str) -> Option<u64> {
    let capacity = match resource {
        ResourceId::Stream(_) => return seen.facts.stream.as_ref().map(|it| it.open_shards.get().into()),
        ResourceId::Mapping(name) => {
            let spec = seen.pipeline.consumers.iter().find(|it| it.name == *name)?;
            let mapping = seen.facts.mapping_to(&spec.function, spec.alias.as_deref())?;
            return Some(mapping.parallelization_factor.get().into());
        }
        ResourceId::Table(name) => &seen.facts.tables.get(name)?.capacity,
        ResourceId::Index(table, index) => &seen.facts.tables.get(table)?.global_secondary_indexes.get(index)?.capacity,
        _ => return None,
    };
    Some(if key.ends_with("writeCapacity") { capacity.write.get() } else { capacity.read.get() })
}
