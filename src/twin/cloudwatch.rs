//! CloudWatch: GetMetricData over the data plane's one-minute statistics.
//!
//! A minute can be read once it has ended and the publication delay has passed, later or never while a
//! [`MetricFault`] lasts. A period without a point is left out: absent is not zero.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Ctx, millis,
    plane::{MINUTE_MS, Stat},
    wire::{Answer, Args, Refusal},
};

/// Queries per call and datapoints per answer (GetMetricData).
const QUERY_LIMIT: usize = 500;
const DATAPOINT_LIMIT: i64 = 100_800;

/// CloudWatch publishes minutes late, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricFault {
    /// First minute concerned, in epoch milliseconds.
    pub from_ms: i64,
    /// End, exclusive.
    pub to_ms: i64,
    /// Only this namespace, e.g. `AWS/Lambda`.
    pub namespace: Option<String>,
    /// Seconds later than usual; `None`: the minutes are lost.
    pub delay_seconds: Option<u32>,
}

struct Query<'a> {
    id: &'a str,
    label: &'a str,
    namespace: &'a str,
    metric: &'a str,
    dimensions: BTreeMap<String, String>,
    period_ms: i64,
    stat: &'a str,
}

pub(super) fn call(ctx: &mut Ctx, faults: &[MetricFault], operation: &str, args: Args) -> Answer {
    match operation {
        "GetMetricData" => get_metric_data(ctx, faults, args),
        _ => Err(Refusal::new(404, "UnknownOperationException", "")),
    }
}

fn get_metric_data(ctx: &mut Ctx, faults: &[MetricFault], args: Args) -> Answer {
    let (start, end) = (time(args, "StartTime")?, time(args, "EndTime")?);
    if start >= end {
        return Err(validation("The parameter StartTime must be less than the parameter EndTime."));
    }
    let queries: Vec<Query> = args.list("MetricDataQueries").map(query).collect::<Result<_, _>>()?;
    let ids: BTreeSet<&str> = queries.iter().map(|query| query.id).collect();
    if queries.is_empty() || queries.len() > QUERY_LIMIT {
        return Err(validation(format!(
            "The collection MetricDataQueries must have between 1 and {QUERY_LIMIT} members."
        )));
    }
    if ids.len() < queries.len() {
        return Err(validation("The values for parameter Id in MetricDataQueries must be unique."));
    }
    let metrics: BTreeSet<_> = queries.iter().map(|query| (query.namespace, query.metric, &query.dimensions)).collect();
    ctx.audit.meters.cloudwatch_metrics += metrics.len() as u64;

    let ascending = args.text("ScanBy") == Some("TimestampAscending");
    let mut left = args.ranged("MaxDatapoints", 1, DATAPOINT_LIMIT)?.unwrap_or(DATAPOINT_LIMIT) as usize;
    let token = args.text("NextToken").map(str::parse).transpose();
    let mut skip: usize =
        token.map_err(|_| Refusal::new(400, "InvalidNextToken", "NextToken is invalid."))?.unwrap_or(0);
    let mut given = skip;
    let (mut results, mut more) = (Vec::new(), false);
    for query in &queries {
        let mut points = query.points(ctx, faults, start, end);
        if !ascending {
            points.reverse();
        }
        let rest: Vec<(i64, f64)> = points.iter().skip(skip).copied().collect();
        skip -= skip.min(points.len());
        let cut = rest.len() > left;
        let shown = rest.get(..left.min(rest.len())).unwrap_or_default();
        left -= shown.len();
        given += shown.len();
        more |= cut;
        results.push(json!({
            "Id": query.id,
            "Label": query.label,
            "Timestamps": shown.iter().map(|(minute, _)| *minute as f64 / 1000.0).collect::<Vec<_>>(),
            "Values": shown.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            "StatusCode": if cut { "PartialData" } else { "Complete" },
        }));
    }
    let mut output = json!({ "MetricDataResults": results, "Messages": [] });
    if more {
        output["NextToken"] = json!(given.to_string());
    }
    Ok(output)
}

fn query(args: Args<'_>) -> Result<Query<'_>, Refusal> {
    let id = args.need_text("Id")?;
    let lower = id.chars().next().is_some_and(|first| first.is_ascii_lowercase());
    if !lower || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(validation(format!(
            "The value {id} for parameter Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$."
        )));
    }
    let stat = args.at("MetricStat");
    let stat = stat.ok_or_else(|| validation(format!("The twin computes no Expression; {id} needs a MetricStat.")))?;
    let metric = stat.at("Metric").ok_or_else(|| validation("The parameter Metric is required."))?;
    let period = stat.need_int("Period")?;
    if period <= 0 || period % 60 != 0 {
        return Err(validation("The parameter Period must be a multiple of 60 for these metrics."));
    }
    let name = stat.need_text("Stat")?;
    if !["Sum", "Average", "Minimum", "Maximum", "SampleCount"].contains(&name) {
        return Err(validation(format!("The value {name} for parameter Stat is not supported.")));
    }
    let dimensions = metric.list("Dimensions");
    let metric_name = metric.need_text("MetricName")?;
    Ok(Query {
        id,
        label: args.text("Label").unwrap_or(metric_name),
        namespace: metric.need_text("Namespace")?,
        metric: metric_name,
        dimensions: dimensions
            .filter_map(|pair| Some((pair.text("Name")?.to_owned(), pair.text("Value")?.to_owned())))
            .collect(),
        period_ms: period * 1000,
        stat: name,
    })
}

impl Query<'_> {
    /// (start of the period, value), oldest first; StartTime rounds down to the minute, EndTime is exclusive.
    fn points(&self, ctx: &Ctx, faults: &[MetricFault], start: i64, end: i64) -> Vec<(i64, f64)> {
        let start = start - start.rem_euclid(MINUTE_MS);
        let stored = ctx.plane.metrics().get(self.namespace, self.metric, &self.dimensions, start, end);
        let mut periods: BTreeMap<i64, Stat> = BTreeMap::new();
        for (minute, stat) in stored.into_iter().filter(|(minute, _)| self.is_visible(ctx, faults, *minute)) {
            let period = minute - minute.rem_euclid(self.period_ms);
            let entry = periods.entry(period).or_insert(Stat { sum: 0.0, count: 0, ..stat });
            entry.sum += stat.sum;
            entry.count += stat.count;
            entry.min = entry.min.min(stat.min);
            entry.max = entry.max.max(stat.max);
        }
        periods.into_iter().map(|(period, stat)| (period, self.value(&stat))).collect()
    }

    fn is_visible(&self, ctx: &Ctx, faults: &[MetricFault], minute: i64) -> bool {
        let mut visible_at = minute + MINUTE_MS + millis(ctx.world.timings.metric_delay);
        for fault in faults {
            let here = fault.namespace.as_deref().is_none_or(|namespace| namespace == self.namespace);
            if here && (fault.from_ms..fault.to_ms).contains(&minute) {
                let Some(delay) = fault.delay_seconds else { return false };
                visible_at += i64::from(delay) * 1000;
            }
        }
        visible_at <= ctx.now
    }

    fn value(&self, stat: &Stat) -> f64 {
        match self.stat {
            "Sum" => stat.sum,
            "Minimum" => stat.min,
            "Maximum" => stat.max,
            "SampleCount" => stat.count as f64,
            _ => stat.sum / stat.count.max(1) as f64,
        }
    }
}

/// Epoch seconds to milliseconds.
fn time(args: Args, member: &str) -> Result<i64, Refusal> {
    let seconds = args.get(member).and_then(Value::as_f64);
    seconds.map(millis).ok_or_else(|| validation(format!("The parameter {member} is required.")))
}

fn validation(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ValidationError", message)
}
