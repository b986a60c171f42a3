//! What the stream takes in: hot shards, and shards too few.

use super::{
    Confidence, Diagnosis, Evidence, Finding, Severity, StreamLoad,
    rules::{Answer, View, actuating, blind, evidence},
    symptoms::{self, SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND, ShardLoad},
    thresholds::{HOT_BELOW, HOT_REJECTED, HOT_SKEW, HOT_TAKEN, PACKING_ROOM},
};
use crate::model::{LifecycleStatus, ResourceId, StreamFacts, StreamMode};

/// Minutes over which a trend is read.
const TREND: usize = 6;

pub(super) fn rules(view: &View<'_>, answer: &mut Answer) {
    let Some(stream) = &view.facts.stream else { return };
    let resource = ResourceId::Stream(view.pipeline.stream.name.clone());
    if stream.status != LifecycleStatus::Active {
        answer.cause(actuating(resource.clone(), &format!("{:?}", stream.status)));
    }
    let Some(load) = &view.load else {
        answer.cause(blind(&resource, "The incoming load"));
        return;
    };
    let shards = f64::from(stream.open_shards.get());
    let numbers = vec![
        evidence("offered records/s", load.offered, Some(shards * SHARD_RECORDS_PER_SECOND)),
        evidence("offered bytes/s", load.offered_bytes, Some(shards * SHARD_BYTES_PER_SECOND)),
        evidence("rejected share", load.rejected_ratio, Some(view.policy.rejecting_ratio)),
        evidence("utilization", load.utilization, Some(view.policy.shard_raise_utilization)),
    ];
    if stream.mode == StreamMode::OnDemand {
        if load.rejecting {
            answer.cause(on_demand(load, resource, numbers));
        }
    } else if let Some(finding) = hot(view, stream, load, &resource, &numbers) {
        answer.cause(finding);
    } else if load.rejecting || load.of_widest(stream) > view.policy.shard_raise_utilization {
        let finding = short(view, stream, load, resource, numbers);
        if load.rejecting { answer.cause(finding) } else { answer.soon(finding) }
    }
}

/// One shard is at its limit and others are not: named where the shards have metrics, otherwise told from rejections
/// while the stream has room. One shard alone is no hot one: its bursts are too short for a minute's mean. Nor is any
/// told from minutes of the shards before a reshard, or while shards of unequal width explain it.
fn hot(
    view: &View<'_>,
    stream: &StreamFacts,
    load: &StreamLoad,
    resource: &ResourceId,
    numbers: &[Evidence],
) -> Option<Finding> {
    if stream.open_shards.get() < 2 || view.old_shards {
        return None;
    }
    if load.rejecting && is_uneven(stream) && load.of_widest(stream) > HOT_BELOW.value {
        return None;
    }
    let seen = symptoms::shard_loads(view.signals);
    let skewed = seen.filter(|(_, skew)| *skew >= HOT_SKEW.value).and_then(|(shards, skew)| {
        let first: ShardLoad = shards.into_iter().next()?;
        (first.rejected > 0.0 || first.utilization > view.policy.shard_raise_utilization).then_some((first, skew))
    });
    let mut numbers = numbers.to_vec();
    let what = match &skewed {
        Some((shard, skew)) => {
            numbers.push(evidence("utilization of the fullest shard", shard.utilization, Some(1.0)));
            numbers.push(evidence("fullest shard over the mean", *skew, Some(HOT_SKEW.value)));
            format!("{} is {:.0} % used, {skew:.1} times the mean of the shards", shard.id, shard.utilization * 100.0)
        }
        None if load.rejecting && (load.utilization < HOT_BELOW.value || has_room(stream, load)) => {
            format!(
                "{:.1} % of the records are rejected while the stream as a whole takes only {:.0} % of what it could: \
                 one shard or key is hot",
                load.rejected_ratio * 100.0,
                taken(stream, load) * 100.0
            )
        }
        None => return None,
    };
    let severity = if load.rejecting { Severity::Critical } else { Severity::Warning };
    let finding = Finding::new(
        Diagnosis::HotShard,
        severity,
        resource.clone(),
        format!("{resource}: {what}."),
        "The shard count is left alone: more shards do not help a single hot key.",
    );
    let person = if skewed.is_some() {
        "Spread the partition keys. If the shard holds several keys, SplitShard may part them."
    } else {
        "Spread the partition keys. Shard-level metrics (EnableEnhancedMonitoring) would name the shard."
    };
    let confidence = if skewed.is_some() { Confidence::High } else { Confidence::Medium };
    Some(finding.sure(confidence).with(numbers).person(person))
}

/// Whether the shards' ranges of hash keys are known and not of one width.
fn is_uneven(stream: &StreamFacts) -> bool {
    stream.even_shards() < 0.99 * f64::from(stream.open_shards.get())
}

/// What is accepted over what the open shards take, by the tighter of records and bytes.
fn taken(stream: &StreamFacts, load: &StreamLoad) -> f64 {
    let bytes = load.offered_bytes * load.accepted / load.offered.max(load.accepted).max(1e-9);
    let shards = f64::from(stream.open_shards.get().max(1));
    symptoms::shards_filled(load.accepted, bytes) / shards
}

/// Much is rejected and much room is left: bursts within a second reject little, and a load that is spread evenly
/// fills all shards before it rejects much.
fn has_room(stream: &StreamFacts, load: &StreamLoad) -> bool {
    load.rejected_ratio > HOT_REJECTED.value && taken(stream, load) < HOT_TAKEN.value
}

/// More is offered than the shards take, or soon will be.
fn short(
    view: &View<'_>,
    stream: &StreamFacts,
    load: &StreamLoad,
    resource: ResourceId,
    numbers: Vec<Evidence>,
) -> Finding {
    let records = load.offered / SHARD_RECORDS_PER_SECOND;
    let bytes = load.offered_bytes / SHARD_BYTES_PER_SECOND;
    let live = stream.open_shards.get();
    let cured = view.old_shards && load.utilization < view.policy.shard_target_utilization.max(HOT_BELOW.value);
    let bursts = load.rejecting && load.utilization < HOT_BELOW.value && !cured;
    let wanted = (records.max(bytes) / view.policy.shard_target_utilization).ceil();
    let most = view.pipeline.stream.shards.max.get().max(live);
    let next = (wanted as u32).clamp(live.saturating_add(1), live.saturating_mul(2).max(1)).min(most);
    let bound = if records >= bytes { "records" } else { "bytes" };
    let why = if is_uneven(stream) {
        &format!("; the shard with the most hash keys is offered {:.0} % of its own", load.of_widest(stream) * 100.0)
    } else if cured {
        "; the shards before the last reshard rejected them"
    } else if bursts {
        "; bursts within a second exceed it"
    } else {
        ""
    };
    let summary = format!(
        "{:.0} records/s are offered to {}, {:.0} % of the limit, which is in {bound}{why}.",
        load.offered,
        stream.open_shards.words(),
        load.utilization * 100.0
    );
    let remedy = if cured {
        "Wait: what was measured since the last reshard is not published yet.".to_owned()
    } else if next > live {
        format!("Raise the shard count from {live} to {next}.")
    } else {
        format!("None inside the bounds: stream.shards.max is {most}.")
    };
    let severity = if load.rejecting { Severity::Critical } else { Severity::Warning };
    let finding = Finding::new(Diagnosis::IngestShort, severity, resource, summary, remedy)
        .sure(if bursts { Confidence::Medium } else { Confidence::High })
        .with(numbers)
        .leads_to("records are rejected", view.signals.observed_at, full_in(load));
    let mut advice = Vec::new();
    if bytes < PACKING_ROOM.value * records {
        let pack = (records / f64::from(live.max(1)) / view.policy.shard_target_utilization).ceil().max(2.0);
        advice.push(format!(
            "Packing {pack:.0} messages into a record would do too, as bytes are at {:.0} %: a producer of one message \
             a second then waits up to {:.0} s.",
            bytes / f64::from(live.max(1)) * 100.0,
            pack - 1.0
        ));
    }
    if next <= live {
        advice.push("Raise the bound of the shards in the spec.".to_owned());
    }
    if advice.is_empty() { finding } else { finding.person(advice.join(" ")) }
}

/// Seconds until the offered load reaches the limit, at the trend of the last minutes.
fn full_in(load: &StreamLoad) -> Option<f64> {
    let recent = &load.history[load.history.len().saturating_sub(TREND)..];
    let (first, last) = (recent.first()?, recent.last()?);
    let seconds = last.0.duration_since(first.0).as_secs_f64();
    let slope = (last.1 - first.1) / seconds;
    let limit = load.offered / load.utilization;
    (slope > 0.0 && load.utilization < 1.0 && !load.rejecting).then(|| (limit - load.offered) / slope)
}

fn on_demand(load: &StreamLoad, resource: ResourceId, numbers: Vec<Evidence>) -> Finding {
    let summary = format!(
        "{resource} is on demand and rejects {:.1} % of the records: the load more than doubled in a short time, or \
         one key is above 1,000 records/s.",
        load.rejected_ratio * 100.0
    );
    Finding::new(Diagnosis::IngestShort, Severity::Critical, resource, summary, "None: AWS sizes it within minutes.")
        .sure(Confidence::Medium)
        .with(numbers)
        .person("If it lasts longer than 15 minutes, spread the partition keys, or set a warm throughput.")
}
