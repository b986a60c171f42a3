//! PutMetricData: a client's own metrics.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{NAME_LENGTH, combination, dimensions, invalid, missing, not_finite, text, time, unit};
use crate::twin::{
    Ctx,
    plane::{Name, Stat},
    wire::{Answer, Args, Refusal},
};

/// Metrics a call, and values a metric (API reference, PutMetricData).
const METRIC_LIMIT: usize = 1_000;
const VALUE_LIMIT: usize = 150;
/// Two weeks back, two hours ahead (API reference, MetricDatum).
const OLDEST_MS: i64 = 14 * 86_400_000;
const NEWEST_MS: i64 = 2 * 3_600_000;
/// Values lie between -2^360 and 2^360 (API reference, MetricDatum).
const GREATEST: f64 = 2.348_542_582_773_833e108;
/// Most samples that one datum may stand for here: counts stay far from overflow.
const MOST_SAMPLES: f64 = 1e12;

struct Datum {
    name: Name,
    at: i64,
    samples: Vec<Stat>,
    fine: bool,
}

pub(super) fn put_metric_data(ctx: &mut Ctx, args: Args) -> Answer {
    let namespace = text(args, "Namespace", "Namespace", NAME_LENGTH)?;
    if namespace.starts_with("AWS/") || namespace.starts_with(':') || !plain(namespace) {
        let shown = if namespace.starts_with("AWS/") { "AWS/" } else { namespace };
        return Err(invalid(format!("The value {shown} for parameter Namespace is invalid.")));
    }
    let data: Vec<Args> = args.list("MetricData").collect();
    if data.is_empty() {
        return Err(missing("MetricData"));
    }
    if data.len() > METRIC_LIMIT {
        return Err(invalid(format!("The collection MetricData must not have a size greater than {METRIC_LIMIT}.")));
    }
    let data = (1..).zip(data).map(|(index, datum)| parse(ctx.now, namespace, index, datum));
    let data: Vec<Datum> = data.collect::<Result<_, _>>()?;
    let entries: usize = data.iter().map(|datum| datum.samples.len() * (2 + 2 * usize::from(datum.fine))).sum();
    let metrics = ctx.plane.metrics_mut();
    let fresh: std::collections::BTreeSet<&Name> =
        data.iter().map(|datum| &datum.name).filter(|name| metrics.seen(name).is_none()).collect();
    let fresh = fresh.len();
    if !metrics.has_room(fresh, entries) {
        return Err(Refusal::new(400, "LimitExceededException", "The account has no room for more custom metrics."));
    }
    for Datum { name, at, samples, fine } in data {
        metrics.put(name, ctx.now, at, &samples, fine);
    }
    Ok(Value::Null)
}

/// Printable ASCII, as names of metrics must be.
fn plain(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

fn parse(now: i64, namespace: &str, index: usize, datum: Args) -> Result<Datum, Refusal> {
    let place = format!("MetricData.member.{index}.");
    let member = |name: &str| format!("{place}{name}");
    let metric = text(datum, "MetricName", &member("MetricName"), NAME_LENGTH)?;
    if metric.starts_with(':') || !plain(metric) {
        return Err(invalid(format!("The value {metric} for parameter {} is invalid.", member("MetricName"))));
    }
    let at = match datum.get("Timestamp") {
        None => now,
        Some(_) => time(datum, "Timestamp")
            .ok_or_else(|| invalid(format!("The parameter {} is invalid.", member("Timestamp"))))?,
    };
    if at < now - OLDEST_MS {
        let message =
            format!("The parameter {} must specify a time no more than two weeks in the past.", member("Timestamp"));
        return Err(invalid(message));
    }
    if at > now + NEWEST_MS {
        let message =
            format!("The parameter {} must specify a time no more than two hours in the future.", member("Timestamp"));
        return Err(invalid(message));
    }
    let resolution = datum.int("StorageResolution").unwrap_or(60);
    if ![1, 60].contains(&resolution) {
        let place = member("StorageResolution");
        return Err(invalid(format!("The value {resolution} for parameter {place} is invalid: 1 or 60.")));
    }
    let unit = unit(datum, &member("Unit"))?.unwrap_or("None").to_owned();
    let dimensions: BTreeMap<String, String> = dimensions(datum, &place)?;
    let samples = samples(datum, &place)?;
    let name = Name { namespace: namespace.to_owned(), metric: metric.to_owned(), dimensions, unit };
    Ok(Datum { name, at, samples, fine: resolution == 1 })
}

fn samples(datum: Args, place: &str) -> Result<Vec<Stat>, Refusal> {
    let given = ["Value", "StatisticValues", "Values"].map(|member| (member, datum.get(member).is_some()));
    let given: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(member, _)| *member).collect();
    match given.as_slice() {
        ["Value"] => Ok(vec![Stat::of(value(datum, "Value", place)?, 1)]),
        ["StatisticValues"] => {
            let place = format!("{place}StatisticValues.");
            let set = datum.at("StatisticValues").unwrap_or(datum);
            let count = value(set, "SampleCount", &place)?;
            let (sum, min, max) =
                (value(set, "Sum", &place)?, value(set, "Minimum", &place)?, value(set, "Maximum", &place)?);
            if min > max {
                return Err(invalid(format!("The parameter {place}Minimum must not be greater than {place}Maximum.")));
            }
            Ok(vec![Stat { sum, min, max, count: whole(count, &format!("{place}SampleCount"))? }])
        }
        [_] => arrays(datum, place),
        [] => Err(missing(&format!("{place}Value"))),
        [first, second, ..] => Err(combination(format!(
            "The parameters {place}{first} and {place}{second} are mutually exclusive and you have specified both."
        ))),
    }
}

fn arrays(datum: Args, place: &str) -> Result<Vec<Stat>, Refusal> {
    let list = |member: &str| datum.get(member).and_then(Value::as_array).map(Vec::as_slice);
    let values = list("Values").unwrap_or_default();
    if values.is_empty() {
        return Err(missing(&format!("{place}Values")));
    }
    if values.len() > VALUE_LIMIT {
        let message = format!("The collection {place}Values must not have a size greater than {VALUE_LIMIT}.");
        return Err(invalid(message));
    }
    let counts = list("Counts");
    if counts.is_some_and(|counts| counts.len() != values.len()) {
        let message = format!("The parameters {place}Values and {place}Counts must be of the same size.");
        return Err(invalid(message));
    }
    let one = |(index, raw): (usize, &Value)| {
        let value = finite(raw, &format!("{place}Values.member.{}", index + 1))?;
        let place = format!("{place}Counts.member.{}", index + 1);
        let count = counts.and_then(|counts| counts.get(index)).map_or(Ok(1.0), |count| finite(count, &place))?;
        Ok(Stat::of(value, whole(count, &place)?))
    };
    values.iter().enumerate().map(one).collect()
}

fn value(args: Args, member: &str, place: &str) -> Result<f64, Refusal> {
    let place = format!("{place}{member}");
    finite(args.get(member).ok_or_else(|| missing(&place))?, &place)
}

fn finite(raw: &Value, place: &str) -> Result<f64, Refusal> {
    let parsed = raw.as_f64().or_else(|| not_finite(raw.as_str()?));
    match parsed {
        Some(value) if value.is_finite() && value.abs() <= GREATEST => Ok(value),
        Some(value) => Err(invalid(format!("The value {value} for parameter {place} is invalid."))),
        None => Err(invalid(format!("The value {raw} for parameter {place} is not a number."))),
    }
}

/// Sample counts are doubles on the wire; here they are whole numbers from 1.
fn whole(count: f64, place: &str) -> Result<u64, Refusal> {
    if (0.5..=MOST_SAMPLES).contains(&count) {
        return Ok(count.round() as u64);
    }
    Err(invalid(format!("The value {count} for parameter {place} is invalid.")))
}
