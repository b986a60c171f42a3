//! The rules, in order of cause before consequence: what the stream takes in, what the sink takes, then
//! what the consumers make of it. Thresholds come from the policy; the limits from AWS.

use jiff::SignedDuration;

use crate::{
    model::{Facts, IndexSignals, LifecycleStatus, ResourceId, Signals},
    spec::{ConsumerSpec, Pipeline, ScalingPolicy, TableSpec},
};

use super::{
    Confidence, Diagnosis, Evidence, Finding, Severity,
    symptoms::{self, ConsumerLoad, SHARD_RECORDS_PER_SECOND, SinkLoad, StreamLoad},
};

/// A duration this close to the timeout counts as a timeout.
const TIMEOUT_SHARE: f64 = 0.98;
/// Busy share of the slots above which a lagging consumer is short of slots.
const BUSY: f64 = 0.85;
/// Error share above which a function is faulty.
const FAULTY: f64 = 0.01;
/// Seconds of age per second below which a consumer is catching up.
const CATCHING_UP: f64 = -0.1;
/// Share of provisioned write capacity in use above which burst credit is being spent.
const SPENDING_CREDIT: f64 = 0.95;

/// How long after a change of a mapping its lag is taken for the change's: the update takes minutes (Lambda guide) and
/// its metrics come a minute or two late.
const SETTLING: SignedDuration = SignedDuration::from_mins(5);

/// Everything that is wrong, or soon will be, causes first.
pub fn diagnose(pipeline: &Pipeline, policy: &ScalingPolicy, facts: &Facts, signals: &Signals) -> Vec<Finding> {
    let mut findings = Vec::new();
    let load = facts.stream.as_ref().and_then(|stream| symptoms::stream_load(policy, stream, signals));
    ingest(&mut findings, pipeline, policy, facts, load.as_ref());
    let mut sink_throttled = false;
    for table in &pipeline.tables {
        sink_throttled |= sinks(&mut findings, facts, signals, table);
    }
    for consumer in &pipeline.consumers {
        consumers(&mut findings, pipeline, policy, facts, signals, consumer, sink_throttled);
    }
    findings
}

fn evidence(name: &str, value: f64, limit: Option<f64>) -> Evidence {
    Evidence { name: name.to_owned(), value, limit }
}

fn blind(resource: ResourceId, what: &str) -> Finding {
    Finding {
        confidence: Confidence::High,
        since: None,
        outlook: None,
        person: None,
        diagnosis: Diagnosis::Blind,
        severity: Severity::Warning,
        summary: format!("{what} of {resource} is missing or stale: it is not taken for zero."),
        resource,
        evidence: Vec::new(),
        remedy: "Hold: nothing is scaled on a missing signal. Check that the resource exists and is in use, and that \
                 CloudWatch publishes."
            .to_owned(),
    }
}

fn ingest(
    findings: &mut Vec<Finding>,
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    load: Option<&StreamLoad>,
) {
    let resource = ResourceId::Stream(pipeline.stream.name.clone());
    let Some(stream) = &facts.stream else { return };
    if stream.status != LifecycleStatus::Active {
        findings.push(Finding {
            confidence: Confidence::High,
            since: None,
            outlook: None,
            person: None,
            diagnosis: Diagnosis::Actuating,
            severity: Severity::Info,
            summary: format!("{resource} is {:?}: AWS accepts no other change until it is ACTIVE.", stream.status),
            resource: resource.clone(),
            evidence: Vec::new(),
            remedy: "Wait.".to_owned(),
        });
    }
    let Some(load) = load else {
        findings.push(blind(resource, "The incoming load"));
        return;
    };
    let shards = f64::from(stream.open_shards.get());
    let numbers = vec![
        evidence("offered records/s", load.offered, Some(shards * SHARD_RECORDS_PER_SECOND)),
        evidence("offered bytes/s", load.offered_bytes, Some(shards * symptoms::SHARD_BYTES_PER_SECOND)),
        evidence("rejected share", load.rejected_ratio, Some(policy.rejecting_ratio)),
        evidence("utilization", load.utilization, Some(policy.shard_raise_utilization)),
    ];
    if load.rejecting && load.utilization < 0.7 {
        findings.push(Finding {
confidence: Confidence::High, since: None, outlook: None, person: None,
            diagnosis: Diagnosis::HotShard,
            severity: Severity::Critical,
            resource,
            summary: format!(
                "{:.1} % of the records are rejected while the stream as a whole is only {:.0} % used: one shard or key \
                 is hot.",
                load.rejected_ratio * 100.0,
                load.utilization * 100.0
            ),
            evidence: numbers,
            remedy: "More shards do not help a single hot key: spread the partition keys.".to_owned(),
        });
    } else if load.rejecting || load.utilization > policy.shard_raise_utilization {
        let bound = if load.offered / SHARD_RECORDS_PER_SECOND >= load.offered_bytes / symptoms::SHARD_BYTES_PER_SECOND
        {
            "records (bytes are far below: packing messages in the producer would help too)"
        } else {
            "bytes"
        };
        findings.push(Finding {
            confidence: Confidence::High,
            since: None,
            outlook: None,
            person: None,
            diagnosis: Diagnosis::IngestShort,
            severity: if load.rejecting { Severity::Critical } else { Severity::Warning },
            resource,
            summary: format!(
                "{:.0} records/s are offered to {}, {:.0} % of the limit, which is in {bound}.",
                load.offered,
                stream.open_shards.words(),
                load.utilization * 100.0
            ),
            evidence: numbers,
            remedy: "Raise the shard count.".to_owned(),
        });
    }
}

/// Findings on a table and its indexes; whether any of them throttles writes for provisioned throughput.
fn sinks(findings: &mut Vec<Finding>, facts: &Facts, signals: &Signals, table: &TableSpec) -> bool {
    let (Some(live), Some(measured)) = (facts.tables.get(&table.name), signals.tables.get(&table.name)) else {
        return false;
    };
    if live.billing_mode == crate::model::BillingMode::OnDemand {
        return false;
    }
    let mut throttled = sink(
        findings,
        ResourceId::Table(table.name.clone()),
        signals,
        &measured.table,
        &live.capacity,
        table.write_capacity.max.get() as f64,
    );
    for index in &table.global_secondary_indexes {
        if let (Some(live), Some(measured)) =
            (live.global_secondary_indexes.get(&index.name), measured.indexes.get(&index.name))
        {
            throttled |= sink(
                findings,
                ResourceId::Index(table.name.clone(), index.name.clone()),
                signals,
                measured,
                &live.capacity,
                index.write_capacity.max.get() as f64,
            );
        }
    }
    throttled
}

fn sink(
    findings: &mut Vec<Finding>,
    resource: ResourceId,
    signals: &Signals,
    measured: &IndexSignals,
    capacity: &crate::model::CapacityFacts,
    write_max: f64,
) -> bool {
    let Some(load) = symptoms::sink_load(signals, measured, capacity) else {
        findings.push(blind(resource, "The consumed capacity"));
        return false;
    };
    let (read, write) = load.provisioned;
    let numbers = vec![
        evidence("consumed write units/s", load.write, Some(write)),
        evidence("write throttle events, 3 min", load.write_throttles, Some(0.0)),
        evidence("key-range throttle events, 3 min", load.key_range_throttles, Some(0.0)),
    ];
    if load.write_throttles > 0.0 || load.write > SPENDING_CREDIT * write {
        findings.push(short(&load, &resource, write >= write_max, numbers.clone()));
    }
    if load.key_range_throttles > 0.0 {
        findings.push(Finding {
            confidence: Confidence::High,
            since: None,
            outlook: None,
            person: None,
            diagnosis: Diagnosis::HotItem,
            severity: Severity::Warning,
            summary: format!(
                "{resource}: {:.0} writes in the last 3 minutes were throttled at one partition key's 1,000 units/s.",
                load.key_range_throttles
            ),
            remedy: "More capacity does not cure it: spread the writes over keys, write smaller items, or less often."
                .to_owned(),
            resource: resource.clone(),
            evidence: numbers,
        });
    }
    if load.read_throttles > 0.0 {
        findings.push(Finding {
            confidence: Confidence::High,
            since: None,
            outlook: None,
            person: None,
            diagnosis: Diagnosis::SinkReadShort,
            severity: Severity::Critical,
            summary: format!("{resource} consumes {:.0} of {read:.0} read units/s and throttles reads.", load.read),
            remedy: "Raise read capacity.".to_owned(),
            resource,
            evidence: vec![evidence("read throttle events, 3 min", load.read_throttles, Some(0.0))],
        });
    }
    load.write_throttles > 0.0
}

fn short(load: &SinkLoad, resource: &ResourceId, at_limit: bool, evidence: Vec<Evidence>) -> Finding {
    let throttling = load.write_throttles > 0.0;
    let effect = if throttling {
        format!("throttled {:.0} writes in the last 3 minutes", load.write_throttles)
    } else {
        "lives on burst credit, which lasts 300 s at most".to_owned()
    };
    let (diagnosis, remedy) = if at_limit {
        let remedy = "Write capacity is at the spec's maximum: raise the bound, or write less; consumers are not scaled \
                      up.";
        (Diagnosis::SinkLimit, remedy)
    } else {
        (Diagnosis::SinkShort, "Raise write capacity before anything that writes to it.")
    };
    Finding {
        confidence: Confidence::High,
        since: None,
        outlook: None,
        person: None,
        diagnosis,
        severity: if throttling { Severity::Critical } else { Severity::Warning },
        summary: format!(
            "{resource} consumes {:.0} of {:.0} write units/s and {effect}.",
            load.write, load.provisioned.1
        ),
        remedy: remedy.to_owned(),
        resource: resource.clone(),
        evidence,
    }
}

fn consumers(
    findings: &mut Vec<Finding>,
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: &Signals,
    consumer: &ConsumerSpec,
    sink_throttled: bool,
) {
    let resource = ResourceId::Mapping(consumer.name.clone());
    let (Some(stream), Some(mapping)) =
        (&facts.stream, facts.mapping_to(&consumer.function, consumer.alias.as_deref()))
    else {
        return;
    };
    let Some(load) = symptoms::consumer_load(pipeline, policy, signals, consumer) else {
        findings.push(blind(resource, "The iterator age"));
        return;
    };
    let slots = f64::from(stream.open_shards.get() * mapping.parallelization_factor.get());
    let numbers = vec![
        evidence("iterator age s", load.age_seconds, Some(pipeline.objectives.iterator_age.as_secs_f64())),
        evidence("backlog records, at most", load.backlog, None),
        evidence("slots in use", load.concurrency.unwrap_or(0.0), Some(slots)),
        evidence("failed share of invocations", load.error_ratio, Some(FAULTY)),
        evidence("maximum duration ms", load.duration_max_ms.unwrap_or(0.0), None),
    ];
    let retention = f64::from(stream.retention.get()) * 3600.0;
    if load.age_seconds > 0.5 * retention {
        findings.push(Finding {
            confidence: Confidence::High,
            since: None,
            outlook: None,
            person: None,
            diagnosis: Diagnosis::RetentionAtRisk,
            severity: if load.age_seconds > 0.8 * retention { Severity::Critical } else { Severity::Warning },
            resource: resource.clone(),
            summary: format!(
                "{resource} is {:.1} h behind; at {:.0} h the stream forgets records it has not read.",
                load.age_seconds / 3600.0,
                retention / 3600.0
            ),
            evidence: numbers.clone(),
            remedy: "Extend retention and remove the cause of the lag.".to_owned(),
        });
    }
    let timeout = facts.functions.get(&consumer.function).map(|function| f64::from(function.timeout_seconds) * 1000.0);
    let times_out = load.duration_max_ms.zip(timeout).is_some_and(|(longest, limit)| longest >= TIMEOUT_SHARE * limit);
    let found = cause(&load, &resource, slots, &numbers, times_out, sink_throttled, signals);
    let changed = mapping.last_modified.map(|at| facts.observed_at.duration_since(at)).filter(|ago| *ago < SETTLING);
    findings.extend(found.map(|finding| match changed {
        Some(ago) if finding.diagnosis == Diagnosis::Unknown => paused(finding, &load, ago),
        _ => finding,
    }));
}

/// The first cause that fits, as in a troubleshooting guide.
fn cause(
    load: &ConsumerLoad,
    resource: &ResourceId,
    slots: f64,
    numbers: &[Evidence],
    times_out: bool,
    sink_throttled: bool,
    signals: &Signals,
) -> Option<Finding> {
    let busy = load.concurrency.map_or(0.0, |used| used / slots);
    let read_throttled = signals.stream.read_throttles.last().is_some_and(|point| point.value > 0.0);
    let (diagnosis, severity, summary, remedy) = if times_out {
        timeout(load, resource, sink_throttled)
    } else if load.throttles > 0.0 {
        (
            Diagnosis::ConcurrencyLimit,
            Severity::Critical,
            format!("{resource}: {:.0} invocations were refused for concurrency.", load.throttles),
            "Raise the function's reserved concurrency or the account's; more shards make it worse.",
        )
    } else if load.error_ratio > FAULTY && !sink_throttled {
        (
            Diagnosis::FunctionFault,
            Severity::Critical,
            format!("{resource}: {:.1} % of the invocations fail and no table throttles.", load.error_ratio * 100.0),
            "Scaling does not help: look at the function's log; bisect and an on-failure destination let it pass.",
        )
    } else if load.lagging {
        lag(load, resource, busy, sink_throttled, read_throttled)
    } else {
        return None;
    };
    Some(Finding {
        confidence: Confidence::High,
        since: None,
        outlook: None,
        person: None,
        diagnosis,
        severity,
        resource: resource.clone(),
        summary,
        evidence: numbers.to_vec(),
        remedy: remedy.to_owned(),
    })
}

/// A lag without another cause, right after a change of the mapping, comes from the change: the mapping stops
/// polling while it is updated.
fn paused(finding: Finding, load: &ConsumerLoad, ago: SignedDuration) -> Finding {
    let (resource, ago) = (&finding.resource, ago.as_secs());
    Finding {
        diagnosis: Diagnosis::Actuating,
        severity: Severity::Info,
        summary: format!(
            "{resource} is {:.0} s behind: it was changed {ago} s ago and paused for it.",
            load.age_seconds
        ),
        remedy: "None needed: it catches up.".to_owned(),
        ..finding
    }
}

type Cause = (Diagnosis, Severity, String, &'static str);

fn timeout(load: &ConsumerLoad, resource: &ResourceId, sink_throttled: bool) -> Cause {
    let longest = load.duration_max_ms.unwrap_or(0.0) / 1000.0;
    let (why, remedy) = if sink_throttled {
        ("its writes are throttled", "Cure the sink first.")
    } else {
        ("its batches take too long", "Make the batch smaller or the timeout longer.")
    };
    let summary = format!(
        "{resource} runs into the function's timeout ({longest:.1} s) because {why}; batches are retried whole."
    );
    (Diagnosis::FunctionTimeout, Severity::Critical, summary, remedy)
}

/// Why a consumer lags, when it is neither timing out, refused nor failing.
fn lag(load: &ConsumerLoad, resource: &ResourceId, busy: f64, sink_throttled: bool, read_throttled: bool) -> Cause {
    let behind = format!("{resource} is {:.0} s behind", load.age_seconds);
    let warning = Severity::Warning;
    if sink_throttled {
        let remedy = "Cure the sink first: more consumers would make it worse.";
        return (Diagnosis::SinkShort, warning, format!("{behind} because its table throttles."), remedy);
    }
    if read_throttled {
        let remedy = "Fewer shared readers, more shards, or enhanced fan-out.";
        return (Diagnosis::ReadShort, warning, format!("{behind} and shared reads are throttled."), remedy);
    }
    if busy > BUSY {
        let summary = format!("{behind} and {:.0} % of its slots are busy.", busy * 100.0);
        let remedy = "Raise the parallelization factor; at its bound, the shard count.";
        return (Diagnosis::ConsumerShort, warning, summary, remedy);
    }
    if load.age_slope < CATCHING_UP {
        return (Diagnosis::Unknown, Severity::Info, format!("{behind} and catching up."), "None needed.");
    }
    (Diagnosis::Unknown, warning, format!("{behind} and none of the known causes is there."), "Hold and watch.")
}
