//! What is kept of a run: its measures beside the yardstick, and what the benchmark's marks ask for. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    cell::{Cell, DrainForecast, Run},
    demand::Demand,
    measure::{Measures, violates},
    minute::Minute,
    scenarios::Scenario,
};
use crate::{
    cost::PriceSheet,
    diagnose::median,
    twin::{Change, MetricTrouble, World},
};

/// Minutes after an incident's begin in which its cause need not be named yet: two passes more than the world's metrics
/// are late, and five at the least.
const GRACE: i64 = 5;
/// A violation minute this long after the last one begins an incident anew.
const APART: SignedDuration = SignedDuration::from_mins(30);
/// Metrics that were published just before an outage are used for this long.
const STILL_SEEN: SignedDuration = SignedDuration::from_mins(3);
/// A sink that refuses more than this share of its writes throttles.
const THROTTLED_SHARE: f64 = 0.001;

/// A consumer this far behind has drained its backlog, ms: as the diagnosis has it of one that keeps up.
const DRAINED_MS: f64 = 30_000.0;
/// How far away the end of a backlog is at least when its forecast counts: of the last minutes a share says nothing.
const WORTH_FORETELLING: SignedDuration = SignedDuration::from_mins(10);

/// The figures of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// What the verb reports.
    pub measures: Measures,
    /// Offered records: mean minute over greatest minute.
    pub mean_over_peak: f64,
    /// Violation minutes of each day from the world's start.
    pub violations_by_day: Vec<u64>,
    /// Minutes from the trouble's begin until one of its causes was named.
    pub diagnosed_after_minutes: Option<i64>,
    /// Violation minutes of the trouble, the first five of each incident left out (or as many as the metrics are late, and
    /// two), and those of them with a right cause named.
    pub attribution: Attribution,
    /// Median error of the forecasts of a drained backlog, as a share of the time it took from then; `None` without any.
    #[serde(default)]
    pub drain_error: Option<f64>,
    /// Raises of a parallelization factor while a sink throttled.
    pub consumer_raises_while_throttled: u64,
    /// Reductions while CloudWatch published nothing.
    pub scale_ins_while_blind: u64,
    /// Share of minutes in which an index refused a request.
    pub index_throttle_shares: BTreeMap<String, f64>,
}

/// How often the right cause stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attribution {
    /// Minutes that count.
    pub minutes: u64,
    /// Those with a right cause.
    pub right: u64,
}

impl Figures {
    /// The figures of what a cell played against what its world asked for.
    pub fn of(cell: &Cell, run: &Run, scenario: Option<&Scenario>, demand: &Demand, prices: &PriceSheet) -> Self {
        let (world, pipeline) = (&cell.world, &cell.pipeline);
        let minutes: Vec<&Minute> = run.counted().collect();
        let violations = |minute: &&Minute| {
            let (old, rejected) = violates(minute, pipeline.objectives.iterator_age);
            old || rejected
        };
        let mut violations_by_day = vec![0; cell.length.as_hours().div_euclid(24).max(1) as usize];
        let missed: Vec<&Minute> = minutes.iter().copied().filter(violations).collect();
        for minute in &missed {
            let day = minute.at.duration_since(world.start).as_hours() / 24;
            if let Some(count) = violations_by_day.get_mut(day as usize) {
                *count += 1;
            }
        }
        let (diagnosed_after_minutes, attribution) =
            scenario.map_or_else(Default::default, |row| attributed(row, world, run, &missed));
        let ages: Vec<_> = minutes.iter().map(|minute| (minute.at, minute.max_age_ms)).collect();
        let counted = |change: &&Change| change.at >= run.counted_from && change.from > 0 && change.to > 0;
        let changes: Vec<&Change> = run.changes.iter().filter(counted).collect();
        Self {
            measures: Measures::of(run, pipeline, prices, Some(demand)),
            mean_over_peak: mean_over_peak(&minutes),
            violations_by_day,
            diagnosed_after_minutes,
            attribution,
            drain_error: drain_error(&ages, &run.drain_forecasts, pipeline.objectives.iterator_age),
            consumer_raises_while_throttled: raises_while_throttled(&changes, &minutes),
            scale_ins_while_blind: changes.iter().filter(|it| it.to < it.from && is_blind(world, it)).count() as u64,
            index_throttle_shares: index_throttles(&minutes),
        }
    }

    /// What every passing row also holds, and what of it this run does not.
    pub fn breaches(&self, scenario: Option<&Scenario>) -> Vec<String> {
        let days = self.violations_by_day.len() as u64;
        let worst = self.measures.reversals_by_resource.values().copied().max().unwrap_or(0);
        let headroom = scenario.is_some_and(Scenario::begins_short_of_calls) || self.measures.quota_headroom_min >= 1;
        let Attribution { minutes, right } = self.attribution;
        [
            (self.measures.records.expired == 0, format!("{} records expired", self.measures.records.expired)),
            (worst <= days, format!("{worst} reversals of one resource in {days} days")),
            (headroom, "all UpdateShardCount calls of a day used".to_owned()),
            (right as f64 >= 0.95 * minutes as f64, format!("right cause in {right} of {minutes} minutes")),
            (
                self.measures.quota_refusals + self.measures.out_of_bounds == 0,
                format!(
                    "{} calls beyond a budget, {} values out of bounds",
                    self.measures.quota_refusals, self.measures.out_of_bounds
                ),
            ),
        ]
        .into_iter()
        .filter_map(|(holds, text)| (!holds).then_some(text))
        .collect()
    }
}

fn mean_over_peak(minutes: &[&Minute]) -> f64 {
    let greatest = minutes.iter().map(|minute| minute.offered).max().unwrap_or(0);
    let all: u64 = minutes.iter().map(|minute| minute.offered).sum();
    if greatest == 0 { 0.0 } else { all as f64 / minutes.len() as f64 / greatest as f64 }
}

/// How wrong it was told when a backlog would be drained, while the age (ms, minute by minute) was above the objective and
/// the end [`WORTH_FORETELLING`] away at least.
fn drain_error(ages: &[(Timestamp, f64)], told: &[DrainForecast], objective: SignedDuration) -> Option<f64> {
    let error = |told: &DrainForecast| {
        let (_, age) = ages.iter().rev().find(|(at, _)| *at <= told.at)?;
        let missed = *age > objective.as_secs_f64() * 1000.0;
        let (drained, _) = ages.iter().find(|(at, age)| *at >= told.at && *age < DRAINED_MS)?;
        let took = drained.duration_since(told.at);
        let off = told.drained_at.duration_since(*drained).as_secs_f64().abs();
        (missed && took >= WORTH_FORETELLING).then(|| off / took.as_secs_f64())
    };
    median(told.iter().filter_map(error).collect())
}

/// When a right cause was named first, and in how many of the missed minutes one stood.
fn attributed(row: &Scenario, world: &World, run: &Run, missed: &[&Minute]) -> (Option<i64>, Attribution) {
    let begin = world.start + SignedDuration::from_hours(i64::from(row.trouble_hour));
    let right: Vec<_> = run.diagnoses.iter().filter(|it| row.causes.contains(&it.code.as_str())).collect();
    let after = right
        .iter()
        .filter(|it| it.to >= begin)
        .map(|it| it.from.duration_since(begin).as_secs().max(0).div_euclid(60))
        .min();
    let late = (world.timings.metric_delay / 60.0).ceil() as i64;
    let grace = SignedDuration::from_mins(GRACE.max(late + 2));
    let spans: Vec<_> = right.iter().map(|it| (it.from, it.to)).collect();
    let missed: Vec<_> = missed.iter().map(|minute| minute.at).collect();
    (after, named(begin, grace, &missed, &spans))
}

/// In how many of the minutes a cause stood, those within the grace of an incident's begin left out. `begin` is that of
/// the first.
fn named(
    begin: Timestamp,
    grace: SignedDuration,
    missed: &[Timestamp],
    right: &[(Timestamp, Timestamp)],
) -> Attribution {
    let mut found = Attribution::default();
    let (mut incident, mut last) = (begin, begin);
    for minute in missed.iter().copied().filter(|minute| *minute >= begin) {
        if minute.duration_since(last) > APART {
            incident = minute;
        }
        last = minute;
        if minute.duration_since(incident) >= grace {
            let end = minute + SignedDuration::from_mins(1);
            found.minutes += 1;
            found.right += u64::from(right.iter().any(|(from, to)| *from <= end && *to >= minute));
        }
    }
    found
}

/// Factors raised in a minute, or the minute after one, in which a sink refused writes.
fn raises_while_throttled(changes: &[&Change], minutes: &[&Minute]) -> u64 {
    let throttles =
        |minute: &&&Minute| minute.sinks.values().any(|sink| sink.throttled as f64 > THROTTLED_SHARE * sink.written);
    let short: Vec<_> = minutes.iter().filter(throttles).map(|minute| minute.at).collect();
    let during = |change: &&&Change| short.iter().any(|at| (0..120).contains(&change.at.duration_since(*at).as_secs()));
    let raised = |change: &&&Change| change.field == "parallelizationFactor" && change.to > change.from;
    changes.iter().filter(raised).filter(during).count() as u64
}

/// Whether nothing of the time was published when a change was made.
fn is_blind(world: &World, change: &Change) -> bool {
    let second = change.at.duration_since(world.start);
    world.metric_outages.iter().any(|outage| {
        let all = outage.namespace.is_none() && outage.metric.is_none() && outage.trouble == MetricTrouble::Missing;
        let from = SignedDuration::from_secs(i64::from(outage.from_seconds)) + STILL_SEEN;
        all && second >= from && second < SignedDuration::from_secs(i64::from(outage.to_seconds))
    })
}

fn index_throttles(minutes: &[&Minute]) -> BTreeMap<String, f64> {
    let mut shares: BTreeMap<String, f64> = BTreeMap::new();
    for (name, sink) in minutes.iter().flat_map(|minute| &minute.sinks).filter(|(name, _)| name.contains("/index/")) {
        let share = if sink.throttled > 0 { 1.0 / minutes.len() as f64 } else { 0.0 };
        *shares.entry(name.clone()).or_default() += share;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_judged_by_the_middle_of_what_was_told_of_it_while_an_objective_was_missed() {
        let at = |minute: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        let told = |minute: i64, after: i64| DrainForecast { at: at(minute), drained_at: at(minute + after) };
        let objective = SignedDuration::from_secs(300);
        // 400 s behind in minutes 10 to 39, within the objective from then, and with nothing waiting in minute 50.
        let age = |minute| match minute {
            10..40 => 400_000.0,
            40..50 => 100_000.0,
            _ => 1_000.0,
        };
        let of = |told: &[DrainForecast]| {
            drain_error(&(0..60).map(|it| (at(it), age(it))).collect::<Vec<_>>(), told, objective)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[told(5, 45), told(45, 10)]), None, "nothing was missed");
        assert_eq!(of(&[told(30, 20)]), Some(0.0));
        assert_eq!(of(&[told(30, 10), told(30, 25), told(30, 60)]), Some(0.5), "10 and 5 minutes of 20 off, and 40");
    }

    #[test]
    fn each_incident_has_its_own_grace_and_every_other_minute_counts() {
        let at = |minute: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        let of = |missed: &[i64], right: &[(i64, i64)]| {
            let missed: Vec<_> = missed.iter().map(|minute| at(*minute)).collect();
            let right: Vec<_> = right.iter().map(|(from, to)| (at(*from), at(*to))).collect();
            let Attribution { minutes, right } = named(at(10), SignedDuration::from_mins(5), &missed, &right);
            (minutes, right)
        };
        assert_eq!(of(&[8, 9, 10, 14], &[]), (0, 0), "before the trouble, and its first five minutes");
        assert_eq!(
            of(&[15, 16, 17], &[(13, 15), (17, 20)]),
            (3, 3),
            "a cause stands in the minute it ends or begins in"
        );
        assert_eq!(of(&[15, 16, 17], &[(19, 20)]), (3, 0));
        assert_eq!(of(&[12, 42, 43], &[]), (2, 0), "half an hour later it is the same incident");
        assert_eq!(of(&[12, 43, 47, 48], &[(48, 50)]), (1, 1), "later than that another one");
    }
}
