//! ListMetrics: which metrics there are.

use serde_json::json;

use super::{NAME_LENGTH, VALUE_LENGTH, View, invalid, text};
use crate::twin::{
    plane::Name,
    wire::{Answer, Args, Refusal},
};

/// Metrics a page, and dimension filters a call (API reference, ListMetrics).
const PAGE: usize = 500;
const FILTER_LIMIT: usize = 10;
/// A metric without data for two weeks is not listed.
const IDLE_MS: i64 = 14 * 86_400_000;
/// `RecentlyActive`: data in the last three hours.
const RECENT_MS: i64 = 3 * 3_600_000;

pub(super) fn list_metrics(view: &View, args: Args) -> Answer {
    let optional = |member: &'static str| match args.get(member) {
        None => Ok(None),
        Some(_) => text(args, member, member, NAME_LENGTH).map(Some),
    };
    let (namespace, metric) = (optional("Namespace")?, optional("MetricName")?);
    let filters = filters(args)?;
    let idle = match args.text("RecentlyActive") {
        None => IDLE_MS,
        Some("PT3H") => RECENT_MS,
        Some(other) => return Err(invalid(format!("The value {other} for parameter RecentlyActive is invalid."))),
    };
    let token = args.text("NextToken").map(str::parse::<usize>).transpose();
    let skip = token.map_err(|_| invalid("The value for parameter NextToken is invalid."))?.unwrap_or(0);

    let wanted = |name: &Name| {
        namespace.is_none_or(|namespace| name.namespace == namespace)
            && metric.is_none_or(|metric| name.metric == metric)
            && filters.iter().all(|(key, value)| {
                name.dimensions.get(*key).is_some_and(|found| value.is_none_or(|value| found == value))
            })
    };
    let mut names = listed(view, idle).filter(|name| wanted(name)).collect::<Vec<_>>();
    // Series that differ by unit only are one metric.
    names.dedup_by(|a, b| (&a.namespace, &a.metric, &a.dimensions) == (&b.namespace, &b.metric, &b.dimensions));
    let metrics = names.iter().skip(skip).take(PAGE).map(|name| {
        let dimensions = name.dimensions.iter().map(|(key, value)| json!({"Name": key, "Value": value}));
        json!({"Namespace": name.namespace, "MetricName": name.metric, "Dimensions": dimensions.collect::<Vec<_>>()})
    });
    let metrics: Vec<_> = metrics.collect();
    let shown = skip.saturating_add(metrics.len());
    let mut output = json!({ "Metrics": metrics });
    if shown < names.len() {
        output["NextToken"] = json!(shown.to_string());
    }
    Ok(output)
}

/// The metrics that are listed by now and had data in the last `idle` milliseconds.
pub(super) fn listed<'a>(view: &'a View, idle: i64) -> impl Iterator<Item = &'a Name> {
    let (now, delay) = (view.now, view.listing_delay);
    let names = view.metrics.names();
    names.filter(move |(_, seen)| seen.since + delay <= now && seen.last >= now - idle).map(|(name, _)| name)
}

type Filter<'a> = (&'a str, Option<&'a str>);

fn filters<'a>(args: Args<'a>) -> Result<Vec<Filter<'a>>, Refusal> {
    let filter = |(index, pair): (usize, Args<'a>)| {
        let place = |member: &str| format!("Dimensions.member.{index}.{member}");
        let name = text(pair, "Name", &place("Name"), NAME_LENGTH)?;
        let value = pair.get("Value").map(|_| text(pair, "Value", &place("Value"), VALUE_LENGTH)).transpose()?;
        Ok((name, value))
    };
    let filters: Vec<Filter> = (1..).zip(args.list("Dimensions")).map(filter).collect::<Result<_, Refusal>>()?;
    if filters.len() > FILTER_LIMIT {
        return Err(invalid(format!("The collection Dimensions must not have a size greater than {FILTER_LIMIT}.")));
    }
    Ok(filters)
}
