//! What will come in: what the spec's schedule says comes, and what came at this time of day on most of the last days
//! comes again. For the shards also: growth goes on.
//!
//! What always holds: a forecast only raises. It may keep something from being lowered; it never lowers anything.

use jiff::{SignedDuration, Timestamp, civil::Weekday, tz::TimeZone};

use crate::{
    diagnose::{self, StreamLoad},
    memory::{Memory, Season},
    model::{Facts, ShardCount, Signals},
    spec::{Pipeline, ScalingPolicy},
};

/// Seconds of a slot of the season.
const SLOT: i64 = 900;
/// Slots of a day.
const SLOTS: usize = 96;
/// Days remembered: eight days of weekends are in four weeks.
const REMEMBERED_DAYS: i64 = 28;
/// Days of one kind that a forecast looks at.
const LOOK_BACK: usize = 14;
const DAY: i64 = 86_400;

/// The load that a change made now has to serve.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expected {
    /// Records/s.
    pub(super) records: f64,
    /// Where it comes from, when not from what is seen now.
    pub(super) why: Option<String>,
}

/// Records/s expected once a change made now has settled.
pub(super) fn expected(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    load: &StreamLoad,
    memory: &Memory,
    now: Timestamp,
) -> Expected {
    let mut expected = Expected { records: load.offered, why: None };
    let until = ahead(now, policy.forecast_lead_seconds);
    if let Some((records, days)) = seasonal(policy, memory, now, until) {
        let records = records.min(load.offered * policy.seasonal_clamp);
        if records > expected.records {
            let why = format!("{records:.0} records/s came at this time on most of {days} days");
            expected = Expected { records, why: Some(why) };
        }
    }
    if let Some((records, name)) = scheduled(pipeline, now, until)
        && records > expected.records
    {
        expected = Expected { records, why: Some(format!("`{name}` is scheduled with {records:.0} records/s")) };
    }
    expected
}

/// The highest load known to come until then, if any: not a reason to raise yet, but one not to lower.
pub(super) fn coming(pipeline: &Pipeline, policy: &ScalingPolicy, memory: &Memory, now: Timestamp) -> Option<f64> {
    let until = ahead(now, policy.quiet_ahead_seconds);
    let seasonal = seasonal(policy, memory, now, until).map(|(records, _)| records);
    let scheduled = scheduled(pipeline, now, until).map(|(records, _)| records);
    seasonal.into_iter().chain(scheduled).reduce(f64::max)
}

/// The greatest load since then, records/s, to a slot of the season.
pub(super) fn peak(memory: &Memory, since: Timestamp) -> f64 {
    let first = since.as_second().div_euclid(SLOT);
    let of_day = |(day, slots): (&i64, &Vec<Option<u32>>)| {
        let skipped = (first - day * SLOTS as i64).max(0) as usize;
        slots.iter().skip(skipped).copied().flatten().max()
    };
    f64::from(memory.season.days.range(first.div_euclid(SLOTS as i64)..).filter_map(of_day).max().unwrap_or(0))
}

fn ahead(now: Timestamp, seconds: u32) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(now)
}

/// Minutes of a load that its newest must exceed to be growth.
const PAST: usize = 10;
/// By this factor: minutes differ by chance.
const NEW_HIGH: f64 = 1.1;

/// A load that is higher than in all of the last minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Growth {
    /// Records/s once a reshard decided now is done, as far as the policy carries growth on. Shards are cheap and calls
    /// are scarce: only they are raised for a growth that may end.
    pub(super) records: f64,
    /// The same wherever it leads.
    pub(super) unbounded: f64,
    /// Records/s that each minute brings more; 0 for a step up, which is growth of one minute.
    pub(super) per_minute: f64,
}

impl Growth {
    /// Whether more would come than the shards take before a reshard decided now is done, if they were offered alike.
    pub(super) fn overflows(&self, load: &StreamLoad) -> bool {
        self.per_minute > 0.0 && load.utilization * self.unbounded / load.offered.max(1.0) > 1.0
    }
}

/// How the load grows, if it does.
pub(super) fn growing(policy: &ScalingPolicy, load: &StreamLoad, shards: ShardCount) -> Option<Growth> {
    let last: Vec<f64> = load.history.iter().rev().take(PAST + 1).map(|(_, value)| *value).collect();
    let [newest, before, ..] = last[..] else { return None };
    let past = last.get(2..)?.iter().copied().reduce(f64::max)?;
    if last.len() <= PAST || load.offered <= NEW_HIGH * past {
        return None;
    }
    let per_minute = (load.offered - newest).min(newest - before).max(0.0);
    let reshard = policy.reshard_base_seconds + policy.reshard_per_shard_seconds * f64::from(shards.get());
    let unbounded = load.offered + per_minute * horizon(policy, reshard) / 60.0;
    Some(Growth { records: unbounded.min(load.offered * policy.trend_clamp), unbounded, per_minute })
}

/// Seconds from the end of the newest measured minute until a change of the next pass is there, when it takes so many.
pub(super) fn horizon(policy: &ScalingPolicy, takes: f64) -> f64 {
    f64::from(policy.metric_delay_seconds) + 60.0 + takes
}

/// The largest load that the spec's schedule has between two moments, with its name.
fn scheduled(pipeline: &Pipeline, from: Timestamp, until: Timestamp) -> Option<(f64, &str)> {
    let met = pipeline.scaling.schedule.iter().filter(|load| load.window.meets(from, until).is_some());
    met.map(|load| (load.records_per_second, load.name.as_str())).max_by(|one, other| one.0.total_cmp(&other.0))
}

/// The highest usual load between two moments, and how many days say so; `None` before enough days are known. Days of
/// the same kind (weekday or weekend) are asked when there are enough of them, otherwise all.
fn seasonal(policy: &ScalingPolicy, memory: &Memory, from: Timestamp, until: Timestamp) -> Option<(f64, usize)> {
    let mut most: Option<(f64, usize)> = None;
    let mut slot = from.as_second().div_euclid(SLOT);
    while slot * SLOT <= until.as_second() {
        let (day, index) = (slot * SLOT / DAY, (slot * SLOT).rem_euclid(DAY) / SLOT);
        if let Some(usual) = usual(policy, &memory.season, day, index as usize)
            && most.is_none_or(|(records, _)| usual.0 > records)
        {
            most = Some(usual);
        }
        slot += 1;
    }
    most
}

fn usual(policy: &ScalingPolicy, season: &Season, day: i64, slot: usize) -> Option<(f64, usize)> {
    let enough = policy.seasonal_days as usize;
    let of = |same_kind: bool| -> Vec<u32> {
        let past = season.days.range(..day).rev().filter(|(past, _)| !same_kind || weekend(**past) == weekend(day));
        past.filter_map(|(_, slots)| slots.get(slot).copied().flatten()).take(LOOK_BACK).collect()
    };
    let mut peaks = of(true);
    if peaks.len() < enough {
        peaks = of(false);
    }
    if peaks.len() < enough.max(1) {
        return None;
    }
    peaks.sort_unstable();
    let rank = (policy.seasonal_quantile * peaks.len() as f64).floor() as usize;
    let peak = peaks.get(rank.clamp(1, peaks.len()) - 1)?;
    Some((f64::from(*peak), peaks.len()))
}

fn weekend(day: i64) -> bool {
    let weekday = Timestamp::from_second(day * DAY).map(|at| at.to_zoned(TimeZone::UTC).weekday());
    matches!(weekday, Ok(Weekday::Saturday | Weekday::Sunday))
}

/// Takes in the offered load of the minutes in the signals.
pub(super) fn learn(memory: &mut Memory, policy: &ScalingPolicy, facts: &Facts, signals: &Signals) {
    let Some(load) = facts.stream.as_ref().and_then(|stream| diagnose::stream_load(policy, stream, signals)) else {
        return;
    };
    for (at, records) in load.history {
        let (day, second) = (at.as_second().div_euclid(DAY), at.as_second().rem_euclid(DAY));
        let slots = memory.season.days.entry(day).or_insert_with(|| vec![None; SLOTS]);
        if let Some(peak) = slots.get_mut((second / SLOT) as usize) {
            *peak = Some(peak.unwrap_or(0).max(records.clamp(0.0, 4e9).ceil() as u32));
        }
    }
    if let Some(newest) = memory.season.days.keys().next_back().copied() {
        memory.season.days.retain(|day, _| *day > newest - REMEMBERED_DAYS);
    }
}
