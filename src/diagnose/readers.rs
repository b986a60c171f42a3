//! What is read from the stream: the limits that shared readers share, and reads that fail.

use std::fmt::Write as _;

use super::{
    Confidence, Diagnosis, Finding, Severity, consumers,
    rules::{Answer, View, evidence},
    series::{busy_minutes, sum},
    thresholds::{MANY_READERS, READ_NEAR, READS_FAILING, SHARD_READS},
};
use crate::model::{MappingFacts, MappingState, ResourceId};

pub(super) fn rules(view: &View<'_>, answer: &mut Answer) {
    let resource = ResourceId::Stream(view.pipeline.stream.name.clone());
    short(view, answer, &resource);
    failing(view, answer, &resource);
}

fn short(view: &View<'_>, answer: &mut Answer, resource: &ResourceId) {
    let Some(estimate) = &view.estimates.stream else { return };
    let newest = view.signals.newest_expected;
    let throttles = &view.signals.stream.read_throttles;
    let throttled = busy_minutes(throttles, newest, 3) >= 2;
    let readers = f64::from(estimate.shared_readers);
    let numbers = vec![
        evidence("shared readers", readers, Some(MANY_READERS.value)),
        evidence("polls/s of a shard when caught up", readers, Some(SHARD_READS.value)),
        evidence("share of the read limit in bytes", estimate.read_utilization, Some(READ_NEAR.value)),
        evidence("throttled GetRecords calls, 3 min", sum(throttles, newest, 3), Some(0.0)),
    ];
    if readers >= MANY_READERS.value {
        let summary = format!(
            "{readers:.0} readers share {resource}: each waits about {:.1} s for its turn of a shard's 5 calls a second{}.",
            readers / SHARD_READS.value,
            if throttled { ", and calls are throttled" } else { "" }
        );
        let finding = Finding::new(
            Diagnosis::TooManyReaders,
            Severity::Warning,
            resource.clone(),
            summary,
            "None: the operator removes no reader.",
        );
        answer.cause(finding.with(numbers).person(whom_to_remove(view, estimate.shared_readers)));
    } else if readers > 0.0 && (throttled || estimate.read_utilization > READ_NEAR.value) {
        let summary = format!(
            "{readers:.0} shared readers need {:.0} % of what {resource} gives out{}.",
            estimate.read_utilization * 100.0,
            if throttled { ", and GetRecords calls are throttled" } else { "" }
        );
        let remedy = "More shards when a reader lags for it; each brings 2 MiB/s and 5 calls a second.";
        let finding =
            Finding::new(Diagnosis::ReadShort, Severity::Warning, resource.clone(), summary, remedy).with(numbers);
        let person = "Remove a reader that is not needed, or give the one that must be fast enhanced fan-out.";
        answer.cause(finding.person(person));
    }
}

/// Who may go: readers that are not in the spec come first, because nobody sizes for them.
fn whom_to_remove(view: &View<'_>, readers: u32) -> String {
    let arn = view.facts.stream.as_ref().map_or("", |stream| stream.arn.as_str());
    let ours = |mapping: &MappingFacts| {
        let of = |spec: &&crate::spec::ConsumerSpec| {
            view.facts.mapping_named(&spec.function, spec.alias.as_deref()).is_some_and(|it| it.uuid == mapping.uuid)
        };
        view.pipeline.consumers.iter().any(|spec| of(&spec))
    };
    let shared: Vec<&MappingFacts> = view
        .facts
        .mappings
        .iter()
        .filter(|mapping| mapping.source_arn == arn && mapping.state != MappingState::Disabled)
        .collect();
    let mut foreign: Vec<String> =
        view.pipeline.external_consumers.iter().map(|it| format!("{} ({})", it.name, it.kind)).collect();
    foreign.extend(
        shared
            .iter()
            .filter(|mapping| !ours(mapping))
            .map(|mapping| mapping.function_arn.split(':').nth(6).unwrap_or(&mapping.function_arn).to_owned()),
    );
    let known = shared.iter().filter(|mapping| ours(mapping)).count() + foreign.len();
    let unseen = (readers as usize).saturating_sub(known);
    let too_many = readers.saturating_sub(MANY_READERS.value as u32 - 1).max(1);
    let mut text = format!("Remove or merge {too_many} of them");
    if !foreign.is_empty() {
        let _ = write!(text, ", first what is not in the spec: {}", foreign.join(", "));
    }
    if unseen > 0 {
        let _ = write!(text, "; {unseen} more show in the volume that is read and are no Lambda mapping");
    }
    text.push_str(". Only then think of enhanced fan-out for what must be fast.");
    text
}

/// GetRecords fails while nothing throttles it.
fn failing(view: &View<'_>, answer: &mut Answer, resource: &ResourceId) {
    let stream = &view.signals.stream;
    let newest = view.signals.newest_expected;
    let from = newest - jiff::SignedDuration::from_mins(2);
    let bad: Vec<f64> = stream
        .get_records_success
        .points
        .iter()
        .filter(|point| point.at >= from && stream.read_throttles.at(point.at).unwrap_or(0.0) <= 0.0)
        .map(|point| 1.0 - point.value)
        .filter(|share| *share > READS_FAILING.value)
        .collect();
    if bad.len() < 2 {
        return;
    }
    let share = super::series::mean(&bad);
    let summary = format!("{:.0} % of the GetRecords calls on {resource} fail without a throttle.", share * 100.0);
    let finding = Finding::new(
        Diagnosis::ReadsFailing,
        Severity::Warning,
        resource.clone(),
        summary,
        "None: capacity is not it.",
    )
    .with(vec![evidence("failing share of GetRecords", share, Some(READS_FAILING.value))])
    .person("Look at the readers' rights (kinesis:GetRecords, kms:Decrypt) and at expired shard iterators.");
    if view.facts.mappings.iter().any(consumers::denied) {
        answer.effect(finding);
    } else {
        answer.cause(finding.sure(Confidence::Medium));
    }
}
