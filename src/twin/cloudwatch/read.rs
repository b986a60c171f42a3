//! Reads one metric: which points are visible, and what the periods of a query make of them.

use std::collections::BTreeMap;

use super::{MetricTrouble, NAME_LENGTH, View, dimensions, invalid, statistic::Statistic, text, unit, unit_of};
use crate::twin::{
    plane::{MINUTE_MS, Name, Point, Stat},
    wire::{Args, Refusal},
};

const DAY_MS: i64 = 86_400_000;

/// Names a metric exactly: a subset of its dimensions is another metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Selector {
    pub namespace: String,
    pub metric: String,
    pub dimensions: BTreeMap<String, String>,
    pub unit: Option<String>,
}

/// A period's samples as they are visible.
#[derive(Debug, Clone)]
pub(super) struct Period {
    point: Point,
    not_a_number: bool,
}

impl Period {
    /// The statistic's value; `None` when it cannot be known.
    pub fn value(&self, statistic: Statistic) -> Option<f64> {
        if self.not_a_number { Some(f64::NAN) } else { statistic.of(&self.point) }
    }
}

/// A read in progress: its times and the length of its periods, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub start: i64,
    pub end: i64,
}

impl Window {
    /// StartTime goes down to the minute, to five minutes beyond 15 days, to the hour beyond 63 days (API
    /// reference, GetMetricData); high resolution keeps it as it is.
    pub fn rounded(self, now: i64, period_ms: i64) -> Self {
        let step = match now - self.start {
            _ if period_ms < MINUTE_MS => period_ms,
            age if age < 15 * DAY_MS => MINUTE_MS,
            age if age < 63 * DAY_MS => 5 * MINUTE_MS,
            _ => 60 * MINUTE_MS,
        };
        Self { start: self.start - self.start.rem_euclid(step), ..self }
    }
}

/// A period in seconds, as the API allows it, in milliseconds.
pub(super) fn period(seconds: i64, place: &str) -> Result<i64, Refusal> {
    // A day is the longest (API reference); here a year is, so that products stay small.
    let known = [1, 5, 10, 20, 30].contains(&seconds) || (seconds >= 60 && seconds % 60 == 0);
    if !known || seconds > 366 * 86_400 {
        return Err(invalid(format!(
            "The parameter {place} must be 1, 5, 10, 20, 30 or a multiple of 60; {seconds} is not."
        )));
    }
    Ok(seconds * 1_000)
}

impl Selector {
    /// From members Namespace, MetricName and Dimensions of a request.
    pub fn parse(args: Args, place: &str) -> Result<Self, Refusal> {
        let namespace = text(args, "Namespace", &format!("{place}Namespace"), NAME_LENGTH)?;
        let metric = text(args, "MetricName", &format!("{place}MetricName"), NAME_LENGTH)?;
        if namespace.starts_with(':') {
            return Err(invalid(format!("The value {namespace} for parameter {place}Namespace is invalid.")));
        }
        let unit = unit(args, &format!("{place}Unit"))?.map(str::to_owned);
        let dimensions = dimensions(args, place)?;
        Ok(Self { namespace: namespace.to_owned(), metric: metric.to_owned(), dimensions, unit })
    }

    /// The periods of this metric with a visible sample, by their start, and their unit.
    pub fn periods(&self, view: &View, window: Window, period_ms: i64) -> (BTreeMap<i64, Period>, String) {
        let window = window.rounded(view.now, period_ms);
        let mut periods: BTreeMap<i64, Period> = BTreeMap::new();
        let mut unit = String::from("None");
        for name in view.metrics.find(&self.namespace, &self.metric, &self.dimensions) {
            if self.unit.as_deref().is_some_and(|wanted| wanted != unit_of(name)) {
                continue;
            }
            unit_of(name).clone_into(&mut unit);
            for (length, point) in points(view, name, window, period_ms) {
                // Rolled-up points cannot be divided: such a time range gives nothing.
                if period_ms % length != 0 {
                    continue;
                }
                let Some(seen) = visible(view, name, point) else { continue };
                let start = seen.point.start - seen.point.start.rem_euclid(period_ms);
                match periods.get_mut(&start) {
                    Some(period) => {
                        period.point.absorb(&seen.point);
                        period.not_a_number |= seen.not_a_number;
                    }
                    None => drop(periods.insert(start, seen)),
                }
            }
        }
        (periods, unit)
    }
}

fn points(view: &View, name: &Name, window: Window, period_ms: i64) -> Vec<(i64, Point)> {
    if period_ms < MINUTE_MS {
        return view.metrics.fine(name, window.start, window.end).map(|point| (1_000, point.clone())).collect();
    }
    view.metrics.points(name, window.start, window.end)
}

/// What a reader sees of a point now: `None` before it is published.
fn visible(view: &View, name: &Name, mut point: Point) -> Option<Period> {
    let client = !name.unit.is_empty();
    let mut visible_at = if client { point.start } else { point.start + MINUTE_MS + view.delay };
    let troubles = || {
        let hits = view.faults.iter().filter(|fault| fault.hits(&name.namespace, &name.metric, point.start));
        hits.map(|fault| fault.trouble).collect::<Vec<_>>()
    };
    let troubles = troubles();
    for trouble in &troubles {
        match trouble {
            MetricTrouble::Late { seconds } => visible_at += i64::from(*seconds) * 1_000,
            MetricTrouble::Missing => return None,
            _ => {}
        }
    }
    if visible_at > view.now {
        return None;
    }
    let mut not_a_number = false;
    for trouble in &troubles {
        match trouble {
            MetricTrouble::Revised { percent, seconds } if view.now < visible_at + i64::from(*seconds) * 1_000 => {
                let percent = u64::from(*percent).min(100);
                point.stat.sum *= percent as f64 / 100.0;
                point.stat.count = (point.stat.count.saturating_mul(percent) / 100).max(1);
            }
            MetricTrouble::Duplicated => {
                point.stat.sum *= 2.0;
                point.stat.count = point.stat.count.saturating_mul(2);
            }
            MetricTrouble::Zero => point.stat = Stat::of(0.0, point.stat.count),
            MetricTrouble::NotANumber => not_a_number = true,
            _ => {}
        }
    }
    Some(Period { point, not_a_number })
}
