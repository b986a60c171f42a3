//! CloudWatch: PutMetricData, GetMetricData, GetMetricStatistics and ListMetrics over the data plane's series
//! and the clients' own.
//!
//! A minute of AWS's can be read once it has ended and the publication delay has passed, later, wrong or never
//! while a [`MetricFault`] lasts; a client's own at once. A period without a point is left out: absent is not
//! zero. Codes of refusals are the shapes' names of the JSON and CBOR protocols.

mod data;
mod fault;
mod list;
mod math;
mod put;
mod read;
mod search;
mod shapes;
mod statistic;
mod statistics;

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Ctx, millis,
    plane::{MetricStore, Name},
    wire::{Answer, Args, Refusal},
};

pub use fault::{MetricFault, MetricTrouble};
pub(super) use shapes::{is_number, is_timestamp, not_finite, number};

/// Most dimensions of one metric, and longest names (CloudWatch API reference, Dimension and MetricDatum).
const DIMENSION_LIMIT: usize = 30;
const NAME_LENGTH: usize = 255;
const VALUE_LENGTH: usize = 1_024;

pub(super) fn call(ctx: &mut Ctx, faults: &[MetricFault], operation: &str, args: Args) -> Answer {
    match operation {
        "GetMetricData" => data::get_metric_data(ctx, faults, args),
        "GetMetricStatistics" => statistics::get_metric_statistics(&View::of(ctx, faults), args),
        "ListMetrics" => list::list_metrics(&View::of(ctx, faults), args),
        "PutMetricData" => put::put_metric_data(ctx, args),
        _ => Err(Refusal::unknown_operation()),
    }
}

/// What can be read at a moment.
struct View<'a> {
    now: i64,
    metrics: &'a MetricStore,
    faults: &'a [MetricFault],
    /// From the end of a minute until AWS has published it, in milliseconds.
    delay: i64,
    /// From a metric's first sample until it is listed, in milliseconds.
    listing_delay: i64,
}

impl<'a> View<'a> {
    fn of(ctx: &'a Ctx, faults: &'a [MetricFault]) -> Self {
        Self {
            now: ctx.now,
            metrics: ctx.plane.metrics(),
            faults,
            delay: millis(ctx.world.timings.metric_delay),
            listing_delay: i64::from(ctx.assumptions.metric_listing_seconds) * 1_000,
        }
    }
}

/// Epoch seconds to milliseconds; `None` when absent or not a time.
fn time(args: Args, member: &str) -> Option<i64> {
    let seconds = args.get(member).and_then(Value::as_f64)?;
    // Years 0 to 9999.
    (-62_135_596_800.0..=253_402_300_799.0).contains(&seconds).then(|| millis(seconds))
}

/// The two times of a read; `refuse` makes the operation's own error of a message.
fn range(args: Args) -> Result<(i64, i64), Refusal> {
    let start = time(args, "StartTime").ok_or_else(|| missing("StartTime"))?;
    let end = time(args, "EndTime").ok_or_else(|| missing("EndTime"))?;
    if start >= end {
        return Err(invalid("The parameter StartTime must be less than the parameter EndTime."));
    }
    Ok((start, end))
}

/// Dimensions as a client writes them; `at` is their place in the request.
fn dimensions(args: Args, at: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let mut dimensions = BTreeMap::new();
    for (index, pair) in (1..).zip(args.list("Dimensions")) {
        let member = |name: &str| format!("{at}Dimensions.member.{index}.{name}");
        let name = text(pair, "Name", &member("Name"), NAME_LENGTH)?;
        let value = text(pair, "Value", &member("Value"), VALUE_LENGTH)?;
        if name.starts_with(':') || !name.is_ascii() || !value.is_ascii() {
            return Err(invalid(format!("The value {name} for parameter {} is invalid.", member("Name"))));
        }
        if index > DIMENSION_LIMIT {
            let message = format!("The collection {at}Dimensions must not have a size greater than {DIMENSION_LIMIT}.");
            return Err(invalid(message));
        }
        dimensions.insert(name.to_owned(), value.to_owned());
    }
    Ok(dimensions)
}

/// A required text of 1 to `most` characters; `place` is its name in the refusal.
fn text<'a>(args: Args<'a>, member: &str, place: &str, most: usize) -> Result<&'a str, Refusal> {
    let text = args.text(member).ok_or_else(|| missing(place))?;
    if text.is_empty() || text.trim().is_empty() {
        return Err(invalid(format!("The parameter {place} must not be empty.")));
    }
    if text.chars().count() > most {
        return Err(invalid(format!("The parameter {place} must be shorter than {} characters.", most + 1)));
    }
    Ok(text)
}

/// A unit of the API's list, if one is given.
fn unit<'a>(args: Args<'a>, place: &str) -> Result<Option<&'a str>, Refusal> {
    let unit = args.text("Unit");
    match unit.filter(|unit| !shapes::UNITS.contains(unit)) {
        Some(wrong) => Err(invalid(format!("The value {wrong} for parameter {place} is invalid."))),
        None => Ok(unit),
    }
}

/// The unit of a series: the client's, or AWS's.
fn unit_of(name: &Name) -> &str {
    let metric = name.metric.as_str();
    let has = |parts: &[&str]| parts.iter().any(|part| metric.contains(part));
    match name.unit.as_str() {
        "" if has(&["Milliseconds", "Millis", "Latency", "Duration", "Age"]) => "Milliseconds",
        "" if metric.ends_with("Bytes") => "Bytes",
        "" if metric.ends_with("Utilization") => "Percent",
        "" => "Count",
        unit => unit,
    }
}

fn missing(place: &str) -> Refusal {
    Refusal::new(400, "MissingRequiredParameterException", format!("The parameter {place} is required."))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterValueException", message)
}

fn combination(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterCombinationException", message)
}

fn validation(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ValidationError", message)
}
