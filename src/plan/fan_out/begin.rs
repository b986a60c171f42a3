//! A move before its first call: whether it may begin, and what it will do.
//!
//! What always holds: a move begins only when its position could be told if it were switched off now; a refusal says
//! why and what to do, and changes nothing.

use jiff::{SignedDuration, Timestamp};

use crate::{
    diagnose::{FAN_OUT_MS, KIB, Reading, SHARED_MS, Way},
    model::{LifecycleStatus, MappingFacts, MappingState},
    spec::{ConsumerSpec, Delivery, StartingPosition},
};

use super::{
    Evidence, consumer,
    consumer::Registered,
    create, delete, id,
    position::{minute_of, position, reach},
    stand, switch,
};
use crate::plan::{
    Action, FieldChange, Input, Owner, Risk, codes,
    draft::{Draft, Work},
    ownership::{self, Holder},
    timing,
};

type Move<'a, 'b> = (&'a ConsumerSpec, &'a Reading<'b>, Way);

/// Plans a move that has not begun; whether it could begin now.
pub(super) fn plan(
    draft: &mut Draft,
    input: &Input<'_>,
    (spec, reading, to): Move<'_, '_>,
    old: &MappingFacts,
) -> bool {
    // What is not ours, switched off by somebody or in transition is for the rest of the plan to deal with.
    if ownership::holder(&old.tags, input.pipeline) != Holder::Ours || old.state != MappingState::Enabled {
        return false;
    }
    let checked = checked(draft, input, (spec, reading, to), old);
    let (evidence, from) = match checked {
        Ok(found) => found,
        Err((reason, hint)) => {
            let reason = format!("cannot be moved to {} now: {reason}", to.word());
            draft.block(&id(spec), codes::MOVE_REFUSED, reason, hint);
            return false;
        }
    };
    let wait = match to {
        Way::EnhancedFanOut => match consumer::register(draft, input, spec, reading) {
            Registered::Ready => None,
            Registered::Pending(why) => Some(why),
            Registered::Refused => return false,
        },
        Way::Shared => {
            let Some(own) = reading.own() else {
                let reason = "its fan-out consumer is not tagged as ours".to_owned();
                draft.block(&id(spec), codes::MOVE_REFUSED, reason, "tag it, or delete its mapping by hand".to_owned());
                return false;
            };
            let said = consumer::announce(draft, input, own, to);
            (!said).then(|| "its fan-out consumer is tagged first".to_owned())
        }
    };
    let mut work = Work { risk: Risk::Interrupts, wait, ..Work::default() };
    describe(input, (spec, reading, to), old, evidence, from, &mut work);
    let start = start(input, from);
    work.step(switch(spec, old, false), timing::MAPPING);
    work.step(create(input, spec, reading, to, old, start), timing::MOVE);
    work.step(delete(spec, old), timing::MAPPING);
    let steps = format!(
        "switch the mapping off, wait for its metrics, create one on {} from about {}, wait until it has caught up, \
         delete the old one",
        match to {
            Way::Shared => "the stream",
            Way::EnhancedFanOut => "the fan-out consumer",
        },
        start.words()
    );
    draft.moving = Some(spec.name.clone());
    draft.change(&id(spec), Action::Replace, Some(steps), work);
    if let (Way::Shared, Some(own)) = (to, reading.own()) {
        consumer::deregister(draft, input, own, "nothing will read through it");
    }
    true
}

/// Where the new mapping starts: at the position, or at the oldest record when the stream does not reach so far back.
pub(super) fn start(input: &Input<'_>, from: Timestamp) -> StartingPosition {
    let hours = input.facts.stream.as_ref().map_or(24, |stream| stream.retention.get());
    let oldest = input.now - SignedDuration::from_hours(hours.into());
    if from < oldest { StartingPosition::TrimHorizon } else { StartingPosition::AtTimestamp(from) }
}

type Refused = (String, String);

/// Everything that stands against beginning now; else the evidence and the position as of now.
fn checked<'a>(
    draft: &Draft,
    input: &Input<'a>,
    (spec, reading, _): Move<'_, '_>,
    old: &MappingFacts,
) -> Result<(&'a Evidence, Timestamp), Refused> {
    let refuse = |reason: String, hint: &str| Err((reason, hint.to_owned()));
    if !spec.idempotent {
        let hint = "set `idempotent: true` on the consumer if reading records twice does no harm";
        return refuse("it reads some records a second time, and the spec does not allow that".to_owned(), hint);
    }
    if let Some(other) = reading.others.first() {
        let reason = format!(
            "its function has a second mapping on the stream ({}), whose metrics are mixed with it",
            other.uuid
        );
        return refuse(reason, "delete that mapping, or give it a function of its own");
    }
    if let Some(name) = draft.moving.as_ref().filter(|name| **name != spec.name) {
        return refuse(format!("mapping/{name} is being moved"), "wait: one move at a time");
    }
    if input.facts.stream.as_ref().is_none_or(|stream| stream.status != LifecycleStatus::Active) {
        return refuse("the stream is in transition".to_owned(), "wait until it is ACTIVE");
    }
    if let Some(before) = input.refused_moves.get(&spec.name).filter(|before| input.now < before.until) {
        let reason = format!("the last move was given up at {:.0}: {}", before.at, before.reason);
        return refuse(reason, &format!("solve that; it is tried again after {:.0}", before.until));
    }
    let Some(evidence) = input.evidence else {
        return refuse("its metrics were not asked for".to_owned(), "wait: the next look asks for them");
    };
    if old.kms_key_arn.is_some() && spec.filter_criteria.is_empty() {
        let hint = "write them into the spec as `filterCriteria`: the new mapping gets those, and the same key";
        return refuse("a KMS key hides its filter patterns, so they cannot be copied".to_owned(), hint);
    }
    let timeout = input.facts.functions.get(&spec.function).map_or(900, |function| function.timeout_seconds);
    let back = reach(SignedDuration::from_secs(timeout.into()));
    let settled = minute_of(evidence.signals.newest_expected - back);
    if old.last_modified.is_none_or(|at| at > settled) {
        let reason = format!("the mapping was changed less than {} min ago", back.as_mins() + 2);
        return refuse(reason, "wait: its metrics must show how it reads since then");
    }
    let stand = stand(input.facts, spec, old, reading, &evidence.signals);
    let Some(stand) = stand else { return refuse("nothing is known of it".to_owned(), "wait for its metrics") };
    let from = position(&stand).map_err(|unproven| (unproven.reason, unproven.hint))?;
    closed(evidence, from)?;
    Ok((evidence, from))
}

/// Refuses while a closed shard may not have been drained: one that was closed after the position.
pub(super) fn closed(evidence: &Evidence, from: Timestamp) -> Result<(), Refused> {
    match evidence.closed {
        Some(known) if known.since <= from && !known.any => Ok(()),
        Some(known) if known.since <= from => {
            let reason = "a shard was closed a short time ago, and its reader may not have drained it".to_owned();
            Err((reason, "wait until the consumer has read past the reshard".to_owned()))
        }
        _ => Err(("the stream's closed shards are not known".to_owned(), "wait for the next look".to_owned())),
    }
}

/// What a person sees before: latency, cost, what is read again.
fn describe(
    input: &Input<'_>,
    (spec, _, to): Move<'_, '_>,
    old: &MappingFacts,
    evidence: &Evidence,
    from: Timestamp,
    work: &mut Work,
) {
    let target = input.targets.and_then(|targets| targets.consumers.get(&spec.name)?.delivery.as_ref());
    let reason = target.map_or_else(|| "the spec says so".to_owned(), |target| target.reason.clone());
    let owner = if spec.delivery == Delivery::Auto { Owner::Scaler } else { Owner::Spec };
    let mut field = |path: &str, before: Option<String>, after: String| {
        let reason = reason.clone();
        work.fields.push(FieldChange { path: path.to_owned(), before, after: Some(after), owner, reason });
    };
    field("delivery", Some(to.other().word().to_owned()), to.word().to_owned());
    let sharing = input.facts.mappings.iter().filter(|mapping| {
        let source = input.facts.stream.as_ref().map(|stream| &stream.arn);
        Some(&mapping.source_arn) == source && mapping.uuid != old.uuid && mapping.state.reads()
    });
    let readers = sharing.count() + input.pipeline.external_consumers.len() + 1;
    let latency = |way: Way| match way {
        Way::Shared => format!("about {:.0} ms", SHARED_MS * readers as f64),
        Way::EnhancedFanOut => format!("about {FAN_OUT_MS:.0} ms"),
    };
    field("latency", Some(latency(to.other())), latency(to));
    let newest = evidence.signals.newest_expected;
    let bytes = evidence.signals.stream.incoming_bytes.at(newest).unwrap_or(0.0) / 60.0;
    let shards = input.facts.stream.as_ref().map_or(0.0, |stream| f64::from(stream.open_shards.get()));
    let gigabytes = bytes * 3600.0 / (KIB * KIB * KIB);
    let price = shards * input.prices.fan_out_consumer_shard_hour + gigabytes * input.prices.fan_out_gb;
    let cost = |way: Way| match way {
        Way::Shared => "$0".to_owned(),
        Way::EnhancedFanOut => {
            format!("${price:.3}/h ({shards:.0} consumer-shard-hours and {gigabytes:.2} GB at the present load)")
        }
    };
    field("price", Some(cost(to.other())), cost(to));
    let end = newest + SignedDuration::from_mins(1);
    field("read again", None, reread(input, evidence, from, end));
}

/// What is read a second time when a mapping stands at `end` and the new one starts at `from`: at most.
pub(super) fn reread(input: &Input<'_>, evidence: &Evidence, from: Timestamp, end: Timestamp) -> String {
    let points = &evidence.signals.stream.incoming_records.points;
    let known: f64 =
        points.iter().filter(|point| point.at >= minute_of(from) && point.at < end).map(|it| it.value).sum();
    match start(input, from) {
        StartingPosition::TrimHorizon => {
            format!("all that the stream keeps, because the position {from:.0} is older; at least {known:.0} records")
        }
        _ => format!("at most {} s of records, about {known:.0}", end.duration_since(from).as_secs().max(0)),
    }
}
