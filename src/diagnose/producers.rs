//! Who puts records: whether their calls fail, and whether they still come.

use jiff::SignedDuration;

use super::{
    Confidence, Diagnosis, Finding, Severity,
    rules::{Answer, View, evidence},
    series::{MINUTE, mean, newest, quantile, ratio, trend},
    thresholds::{
        FADING_BELOW, FADING_LEFT, FAILING_CALLS, FAILING_CALLS_CRITICAL, NEAR_TOP, SILENT_FLOOR, SILENT_SHARE,
    },
};
use crate::model::{ResourceId, Signal};

/// Newest minutes in which calls are judged.
const NOW: i64 = 3;
/// Newest minutes that must be quiet: one alone is a pause.
const QUIET: i64 = 2;
/// Minutes before them that make a band to compare with.
const BAND: usize = 5;
/// Share of the band's minutes that lie below its low end (and of all above its top): a pause or a peak now and then
/// is part of the band.
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

/// Far less comes in than the low end of the band before the fall, or it falls there steadily.
fn silent(view: &View<'_>, answer: &mut Answer, resource: &ResourceId) {
    let incoming = &view.signals.stream.incoming_records;
    if !incoming.is_fresh() {
        return;
    }
    let recent = newest(incoming, view.signals.newest_expected, QUIET);
    let values: Vec<f64> = incoming.points.iter().map(|point| point.value).collect();
    let Some(low) = low_before_fall(&values).map(|low| low / MINUTE).filter(|low| *low >= SILENT_FLOOR.value) else {
        return;
    };
    if recent.len() < 2 {
        return;
    }
    let now = recent.iter().copied().fold(0.0, f64::max) / MINUTE;
    let (limit, summary) = if now < SILENT_SHARE.value * low {
        let summary = format!("{now:.0} records/s come in to {resource}; shortly before it was at least {low:.0}.");
        (SILENT_SHARE.value * low, summary)
    } else if let Some(left) = left_of_fall(&values).filter(|_| now < FADING_BELOW.value * low) {
        let summary = format!(
            "{now:.0} records/s come in to {resource}, and it falls steadily from at least {low:.0}: at this pace \
             nothing comes in {left:.0} min."
        );
        (FADING_BELOW.value * low, summary)
    } else {
        return;
    };
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
                evidence("incoming records/s", now, Some(limit)),
                evidence("low end of the band before the fall, records/s", low, None),
            ])
            .person("Nothing, if the traffic was meant to end. Otherwise look at the producers."),
    );
}

/// The low end of the minutes up to the last one near the top: what came after it is the fall or the silence itself,
/// what came before it and was as low as now says that such a low is usual. `None` when that is too short.
fn low_before_fall(values: &[f64]) -> Option<f64> {
    let top = quantile(values.to_vec(), 1.0 - LOW_END).filter(|top| *top > 0.0)?;
    let last = values.iter().rposition(|value| *value >= NEAR_TOP.value * top)?;
    let band = values.get(..=last).filter(|band| band.len() >= BAND)?;
    quantile(band.to_vec(), LOW_END)
}

/// Minutes until nothing comes in, when the newest minutes lie on a line that falls there soon.
fn left_of_fall(values: &[f64]) -> Option<f64> {
    let left = values.last()? / -trend(values).filter(|slope| *slope < 0.0)?;
    (left <= FADING_LEFT.value).then_some(left)
}
