//! Who puts records: whether their calls fail, and whether they still come.

use jiff::SignedDuration;

use super::{
    Confidence, Diagnosis, Finding, Severity,
    rules::{Answer, View, evidence},
    series::{MINUTE, mean, newest, quantile, ratio},
    thresholds::{FAILING_CALLS, FAILING_CALLS_CRITICAL, SILENT_FLOOR, SILENT_SHARE},
};
use crate::model::{ResourceId, Signal};

/// Newest minutes in which calls are judged.
const NOW: i64 = 3;
/// Newest minutes that must be quiet: one alone is a pause.
const QUIET: i64 = 2;
/// Minutes before them that make a band to compare with.
const BAND: usize = 8;
/// Share of the band's minutes that lie below its low end: a pause now and then is part of the band.
const LOW_END: f64 = 0.1;

pub(super) fn rules(view: &View<'_>, answer: &mut Answer) {
    let resource = ResourceId::Stream(view.pipeline.stream.name.clone());
    failing(view, answer, &resource);
    silent(view, answer, &resource);
}

/// Calls fail, and not for throughput. With both kinds of calls in use and rejections, the share of each kind that
/// throttling explains is not known.
fn failing(view: &View<'_>, answer: &mut Answer, resource: &ResourceId) {
    let stream = &view.signals.stream;
    let beyond = |success: &Signal, other: &Signal| -> Vec<f64> {
        let from = view.signals.newest_expected - SignedDuration::from_mins(NOW - 1);
        let points = success.points.iter().filter(|point| point.at >= from);
        let share = points.filter_map(|point| {
            let accepted = stream.incoming_records.at(point.at).unwrap_or(0.0);
            let rejected = stream.rejected_records.at(point.at).unwrap_or(0.0);
            let told_apart = rejected <= 0.0 || other.at(point.at).is_none();
            told_apart.then(|| 1.0 - point.value - ratio(rejected, accepted + rejected))
        });
        share.collect()
    };
    let singles = beyond(&stream.put_record_success, &stream.put_records_success);
    let batches = beyond(&stream.put_records_success, &stream.put_record_success);
    for (call, shares) in [("PutRecord", singles), ("PutRecords", batches)] {
        if shares.iter().filter(|share| **share > FAILING_CALLS.value).count() < 2 {
            continue;
        }
        let share = mean(&shares);
        let severity = if share > FAILING_CALLS_CRITICAL.value { Severity::Critical } else { Severity::Warning };
        let summary = format!(
            "{:.1} % of the producers' {call} calls to {resource} fail, and throttling does not explain it.",
            share * 100.0
        );
        let finding = Finding::new(
            Diagnosis::ProducersFailing,
            severity,
            resource.clone(),
            summary,
            "None: more capacity does not help.",
        );
        answer.cause(
            finding
                .with(vec![evidence(&format!("failing share of {call}"), share, Some(FAILING_CALLS.value))])
                .person("Look at the producers' errors: rights, the KMS key, record size, or Kinesis's health."),
        );
        return;
    }
}

/// Far less comes in than the low end of the recent band.
fn silent(view: &View<'_>, answer: &mut Answer, resource: &ResourceId) {
    let incoming = &view.signals.stream.incoming_records;
    if !incoming.is_fresh() {
        return;
    }
    let recent = newest(incoming, view.signals.newest_expected, QUIET);
    let from = view.signals.newest_expected - SignedDuration::from_mins(QUIET - 1);
    let before: Vec<f64> =
        incoming.points.iter().filter(|point| point.at < from && point.value > 0.0).map(|point| point.value).collect();
    if before.len() < BAND || recent.len() < 2 {
        return;
    }
    // Minutes of the silence itself are in the band when it has lasted: they are not what came before it.
    let middle = quantile(before.clone(), 0.9).unwrap_or(0.0);
    let band = before.into_iter().filter(|value| *value > SILENT_SHARE.value * middle).collect();
    let low = quantile(band, LOW_END).unwrap_or(0.0) / MINUTE;
    let now = recent.iter().copied().fold(0.0, f64::max) / MINUTE;
    if low < SILENT_FLOOR.value || now >= SILENT_SHARE.value * low {
        return;
    }
    let summary = format!("{now:.0} records/s come in to {resource}; shortly before it was at least {low:.0}.");
    let finding = Finding::new(
        Diagnosis::ProducersSilent,
        Severity::Warning,
        resource.clone(),
        summary,
        "None: nothing is scaled in before its time.",
    );
    answer.cause(
        finding
            .sure(Confidence::Medium)
            .with(vec![
                evidence("incoming records/s", now, Some(SILENT_SHARE.value * low)),
                evidence("low end of the recent band, records/s", low, None),
            ])
            .person("Nothing, if the traffic was meant to end. Otherwise look at the producers."),
    );
}
