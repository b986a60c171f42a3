//! GetMetricStatistics: several statistics of one metric.

use serde_json::{Map, Value, json};

use super::{
    View, combination, invalid, missing, number, range,
    read::{Selector, Window, period},
    statistic::Statistic,
};
use crate::twin::{
    epoch, mix,
    wire::{Answer, Args, Refusal},
};

/// Datapoints and statistics a call (API reference, GetMetricStatistics).
const DATAPOINT_LIMIT: i64 = 1_440;
const STATISTIC_LIMIT: usize = 5;
const EXTENDED_LIMIT: usize = 10;

pub(super) fn get_metric_statistics(view: &View, args: Args) -> Answer {
    let selector = Selector::parse(args, "")?;
    let seconds = args.int("Period").ok_or_else(|| missing("Period"))?;
    let (start, end) = range(args)?;
    let period_ms = period(seconds, "Period")?;
    let plain = statistics(args, "Statistics", STATISTIC_LIMIT)?;
    let extended = statistics(args, "ExtendedStatistics", EXTENDED_LIMIT)?;
    if plain.is_empty() && extended.is_empty() {
        let message = "At least one of the parameters Statistics and ExtendedStatistics must be specified.";
        return Err(combination(message));
    }
    if !plain.is_empty() && !extended.is_empty() {
        let message =
            "The parameters Statistics and ExtendedStatistics are mutually exclusive and you have specified both.";
        return Err(combination(message));
    }
    let asked = (end - start + period_ms - 1) / period_ms;
    if asked > DATAPOINT_LIMIT {
        return Err(combination(format!(
            "You have requested up to {asked} datapoints, which exceeds the limit of {DATAPOINT_LIMIT}. You may reduce \
             the datapoints requested by increasing Period, or decreasing the time range."
        )));
    }
    let (periods, unit) = selector.periods(view, Window { start, end }, period_ms);
    let mut points: Vec<_> = periods.into_iter().collect();
    // AWS returns them in no order.
    points.sort_by_key(|(start, _)| mix(0, *start as u64));
    let points = points.iter().map(|(start, period)| {
        let values = |statistics: &[(String, Statistic)]| -> Map<String, Value> {
            let value =
                |(name, statistic): &(String, Statistic)| Some((name.clone(), number(period.value(*statistic)?)));
            statistics.iter().filter_map(value).collect()
        };
        let mut point = values(&plain);
        if !extended.is_empty() {
            point.insert("ExtendedStatistics".to_owned(), Value::Object(values(&extended)));
        }
        point.insert("Timestamp".to_owned(), epoch(*start));
        point.insert("Unit".to_owned(), json!(unit));
        Value::Object(point)
    });
    Ok(json!({ "Label": selector.metric, "Datapoints": points.collect::<Vec<_>>() }))
}

fn statistics(args: Args, member: &str, most: usize) -> Result<Vec<(String, Statistic)>, Refusal> {
    let basic = |statistic: &Statistic| !matches!(statistic, Statistic::Percentile(_) | Statistic::Between(..));
    let extended = member != "Statistics";
    let names: Vec<&str> = args.texts(member).collect();
    if names.len() > most {
        return Err(invalid(format!("The collection {member} must not have a size greater than {most}.")));
    }
    let one = |(index, name): (usize, &str)| {
        let statistic = Statistic::parse(name).filter(|statistic| basic(statistic) != extended);
        let wrong = || invalid(format!("The value {name} for parameter {member}.member.{index} is invalid."));
        Ok((name.to_owned(), statistic.ok_or_else(wrong)?))
    };
    (1..).zip(names).map(one).collect()
}
