//! Guards: what keeps a wanted value from being set now. Each says in words why and until when.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::{
    memory::{Memory, Recommendation},
    model::{CapacityFacts, CapacityUnits, ResourceId, Signals},
    spec::{Freeze, ScalingPolicy},
};

use super::Hold;

/// Key of the shard count in the memory's windows.
pub(super) const SHARDS: &str = "shards";

/// Key of the metrics' lateness, minutes, in the memory's windows.
const LATENESS: &str = "metrics";
/// What has been so for this long is usual.
const USUAL: SignedDuration = SignedDuration::from_mins(60);

/// Free decreases of a table or index at the start of a UTC day (DynamoDB developer guide, "Service quotas").
const FREE_DECREASES: u32 = 4;
/// After them, one per this time since the last (same source; the error text says 3600 s).
const DECREASE_EVERY: SignedDuration = SignedDuration::from_secs(3600);
/// Share of the window's minutes that must have a recommendation before the window counts as covered.
const COVERED: f64 = 0.8;
/// Below this share of the window's highest recommendation the newest one says that it will fall further.
const STILL_FALLING: f64 = 0.9;
/// Below this share it falls so fast that the bottom is near: the hour's decrease is kept for it.
const FALLING_FAST: f64 = 0.6;
/// A decrease on the way down leaves at most this share: the bottom may have to wait an hour for it.
const WORTH_A_STOP: f64 = 0.75;

/// What is raised again within this time was lowered too soon.
const TOO_SOON: SignedDuration = SignedDuration::from_hours(1);
/// For so long it is then lowered only when its last raise is an hour old: it turns once a day at most.
const REGRETTED: SignedDuration = SignedDuration::from_hours(24);
/// What the memory's changes say of a field beside the last one.
const RAISED: &str = "raised";
const LOWERED: &str = "lowered";
const REGRET: &str = "regretted";

/// Why what turned is not lowered.
pub(super) const TURNED: &str = "it was lowered too soon within the day: now it stays up for an hour after each raise";

fn key(field: &str, what: &str) -> String {
    format!("{field} {what}")
}

/// Takes in that a field is changed.
pub(super) fn note_change(memory: &mut Memory, field: &str, raised: bool, now: Timestamp) {
    let changes = &mut memory.last_change;
    if raised && changes.get(&key(field, LOWERED)).is_some_and(|at| now < *at + TOO_SOON) {
        changes.insert(key(field, REGRET), now);
    }
    changes.insert(key(field, if raised { RAISED } else { LOWERED }), now);
    changes.insert(field.to_owned(), now);
}

/// When a field was raised last, unless it has been lowered since.
pub(super) fn raised(memory: &Memory, field: &str) -> Option<Timestamp> {
    let at = |what: &str| memory.last_change.get(&key(field, what)).copied();
    at(RAISED).filter(|raised| at(LOWERED).is_none_or(|lowered| lowered < *raised))
}

/// Takes back that a field is changed.
pub(super) fn forget_change(memory: &mut Memory, before: &BTreeMap<String, Timestamp>, field: &str) {
    for name in [field.to_owned(), key(field, RAISED), key(field, LOWERED), key(field, REGRET)] {
        match before.get(&name) {
            Some(at) => memory.last_change.insert(name, *at),
            None => memory.last_change.remove(&name),
        };
    }
}

/// Until when a field is not lowered because it was lowered too soon within the day.
pub(super) fn turned(memory: &Memory, field: &str, now: Timestamp) -> Option<Timestamp> {
    let at = |what: &str| memory.last_change.get(&key(field, what)).copied();
    at(REGRET).filter(|at| now < *at + REGRETTED)?;
    at(RAISED).map(|at| at + TOO_SOON).filter(|until| now < *until)
}

/// Writes a recommendation into a field's window and prunes what no window looks at any more.
pub(super) fn recommend(memory: &mut Memory, field: &str, value: f64, keep: SignedDuration, now: Timestamp) {
    let window = memory.recommendations.entry(field.to_owned()).or_default();
    let since = now - keep - SignedDuration::from_mins(5);
    window.retain(|entry| entry.at > since);
    window.push(Recommendation { at: now, value });
}

/// The lowest and the highest recommendation of the last `window`; `None` while the window is not covered (a new or
/// lost memory, or a long time without signals): then nothing may be lowered.
fn range(memory: &Memory, field: &str, window: SignedDuration, now: Timestamp) -> Option<(f64, f64)> {
    // The newest pass counts, however short the window.
    let window = window.max(SignedDuration::from_mins(1));
    let since = now - window;
    let entries: Vec<_> = memory.recommendations.get(field)?.iter().filter(|entry| entry.at > since).collect();
    let oldest = memory.recommendations.get(field)?.first()?.at;
    let minutes = window.as_secs_f64() / 60.0;
    let covered = oldest <= since + SignedDuration::from_mins(1) && entries.len() as f64 >= COVERED * minutes;
    let values = || entries.iter().map(|entry| entry.value);
    covered.then(|| (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max)))
}

/// Takes in how late the metrics are: whether there is a new minute since the last pass, and whether CloudWatch is no
/// later than it has been all the last hour. One that is always late is usual; one that falls behind hides something.
pub(super) fn notice_lateness(memory: &mut Memory, policy: &ScalingPolicy, signals: &Signals, now: Timestamp) {
    let newest = signals.newest_expected;
    let age = now.duration_since(newest + SignedDuration::from_mins(1)).as_secs();
    let late = (age - i64::from(policy.metric_delay_seconds)).div_euclid(60).max(0) as f64;
    recommend(memory, LATENESS, late, USUAL, now);
    let usual = range(memory, LATENESS, USUAL, now).map_or(0.0, |(least, _)| least);
    memory.no_news = late > usual || memory.newest_minute.is_some_and(|seen| newest <= seen);
    memory.newest_minute = Some(newest);
}

/// The highest recommendation of a covered window.
pub(super) fn highest(memory: &Memory, field: &str, window: SignedDuration, now: Timestamp) -> Option<f64> {
    range(memory, field, window, now).map(|(_, most)| most)
}

/// What a field may be lowered to: the highest recommendation of the window, but not while it is still falling.
/// Operations are scarce: one to the bottom is better than two on the way.
pub(super) fn lower_to(memory: &Memory, field: &str, window: SignedDuration, now: Timestamp) -> Option<f64> {
    falls_to(memory, field, window, STILL_FALLING, now)
}

/// The highest recommendation of the window, unless the newest is below that share of it.
fn falls_to(memory: &Memory, field: &str, window: SignedDuration, share: f64, now: Timestamp) -> Option<f64> {
    let (_, highest) = range(memory, field, window, now)?;
    let latest = memory.recommendations.get(field)?.last()?.value;
    (latest >= share * highest).then_some(highest)
}

/// What a capacity may be lowered to: as [`lower_to`], and on a long way down once an hour, when AWS allows it whatever
/// was used of the day's decreases, and when it saves enough.
pub(super) fn lower_capacity_to(
    memory: &Memory,
    field: &str,
    capacity: &CapacityFacts,
    live: CapacityUnits,
    window: SignedDuration,
    now: Timestamp,
) -> Option<f64> {
    let on_the_way = || {
        let value = falls_to(memory, field, window, FALLING_FAST, now)?;
        (hour_passed(capacity, now) && value <= WORTH_A_STOP * live.get() as f64).then_some(value)
    };
    lower_to(memory, field, window, now).or_else(on_the_way)
}

/// Whether AWS allows a decrease because the last is an hour ago.
fn hour_passed(capacity: &CapacityFacts, now: Timestamp) -> bool {
    capacity.last_decrease.is_none_or(|at| now >= at + DECREASE_EVERY + SignedDuration::from_mins(1))
}

/// What has been recommended within this time tells whether a field rises.
const RISING: SignedDuration = SignedDuration::from_mins(60);
/// By this factor.
const RISEN: f64 = 1.25;

/// Whether the newest recommendation is well above the lowest of the last hour: what rises is not lowered.
pub(super) fn rising(memory: &Memory, field: &str, now: Timestamp) -> bool {
    let Some((lowest, _)) = range(memory, field, RISING, now) else { return false };
    let latest = memory.recommendations.get(field).and_then(|window| window.last());
    latest.is_some_and(|latest| latest.value >= RISEN * lowest)
}

/// Whether a throughput decrease of this table or index is within AWS's budget less the policy's reserve.
pub(super) fn decrease_allowed(policy: &ScalingPolicy, capacity: &CapacityFacts, now: Timestamp) -> bool {
    // DescribeTable's count is of the UTC day in which it was asked; yesterday's last decrease says that it is stale.
    let today = now.to_zoned(TimeZone::UTC).date();
    let fresh_day = capacity.last_decrease.is_none_or(|at| at.to_zoned(TimeZone::UTC).date() != today);
    let used = if fresh_day { 0 } else { capacity.decreases_today };
    used < FREE_DECREASES.saturating_sub(policy.reserved_decreases) || hour_passed(capacity, now)
}

/// Until when the spec's freeze windows forbid to raise and to lower, where they do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Frozen {
    pub(super) up: Option<Timestamp>,
    pub(super) down: Option<Timestamp>,
}

impl Frozen {
    /// What the windows say of `now`.
    pub(super) fn at(windows: &[Freeze], now: Timestamp) -> Self {
        let until = |applies: fn(&Freeze) -> bool| {
            windows.iter().filter(|freeze| applies(freeze)).filter_map(|freeze| freeze.window.meets(now, now)).max()
        };
        Self { up: until(|freeze| freeze.up), down: until(|freeze| freeze.down) }
    }
}

/// A hold.
pub(super) fn hold(resource: &ResourceId, guard: &str, reason: String, until: Option<Timestamp>) -> Hold {
    Hold { resource: resource.clone(), guard: guard.to_owned(), reason, until }
}

/// Why nothing at all may be lowered now, if so: a freeze window, a backlog or missing signals within the drained time, a lost
/// ledger, or a raise whose effect is not visible yet.
pub(super) fn lowering_forbidden(
    memory: &Memory,
    policy: &ScalingPolicy,
    frozen: Frozen,
    now: Timestamp,
) -> Option<(String, Option<Timestamp>)> {
    if let Some(until) = frozen.down {
        return Some(("the spec freezes lowering".to_owned(), Some(until)));
    }
    if let Some(until) = memory.no_scale_in_before.filter(|until| now < *until) {
        return Some((
            "the history was lost: nothing is lowered until it has been watched again".to_owned(),
            Some(until),
        ));
    }
    if memory.no_news {
        return Some(("CloudWatch is later than usual with its newest minute".to_owned(), None));
    }
    let drained_for = SignedDuration::from_secs(i64::from(policy.drained_for_seconds));
    let Some(since) = memory.drained_since else {
        return Some(("records are waiting, or the age of the consumers is not known".to_owned(), None));
    };
    if now < since + drained_for {
        return Some(("the consumers have not been drained for long enough".to_owned(), Some(since + drained_for)));
    }
    let settle = SignedDuration::from_secs(2 * i64::from(policy.metric_delay_seconds));
    let last = memory.last_change.values().max().copied();
    if let Some(until) = last.map(|at| at + settle).filter(|until| now < *until) {
        return Some(("the effect of the last change is not visible yet".to_owned(), Some(until)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::policy;

    fn at(minute: i64) -> Timestamp {
        // 2027-01-15 08:00 UTC and `minute` minutes.
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    #[test]
    fn a_window_with_gaps_or_too_short_allows_no_lowering() {
        let mut memory = Memory::empty();
        let hour = SignedDuration::from_hours(1);
        for minute in 0..30 {
            recommend(&mut memory, "x", 3.0, hour, at(minute));
        }
        assert_eq!(range(&memory, "x", hour, at(29)).map(|(_, most)| most), None, "half an hour is not an hour");
        recommend(&mut memory, "x", 1.0, hour, at(60));
        assert_eq!(range(&memory, "x", hour, at(60)).map(|(_, most)| most), None, "half the minutes are missing");
        for minute in 61..=140 {
            recommend(&mut memory, "x", 1.0, hour, at(minute));
        }
        assert_eq!(range(&memory, "x", hour, at(140)).map(|(_, most)| most), Some(1.0));
    }

    #[test]
    fn what_was_raised_again_within_an_hour_turned_and_stays_so_for_a_day() {
        let changed = |changes: &[(bool, i64)]| {
            let mut memory = Memory::empty();
            changes.iter().for_each(|(raised, minute)| note_change(&mut memory, "x", *raised, at(*minute)));
            memory
        };
        assert_eq!(turned(&changed(&[(false, 0), (true, 60)]), "x", at(61)), None, "an hour later");
        let soon = changed(&[(false, 0), (true, 59)]);
        assert_eq!(turned(&soon, "x", at(60)), Some(at(119)));
        assert_eq!(turned(&soon, "x", at(119)), None, "an hour after its raise");
        let day = 24 * 60;
        let again = changed(&[(false, 0), (true, 59), (true, day)]);
        assert_eq!(turned(&again, "x", at(day + 58)), Some(at(day + 60)));
        assert_eq!(turned(&again, "x", at(day + 59)), None, "that was yesterday");
    }

    #[test]
    fn decreases_keep_the_reserve_and_then_wait_an_hour() {
        let policy = policy::builtin("balanced").unwrap();
        let capacity = |decreases_today, last| CapacityFacts {
            read: CapacityUnits(1),
            write: CapacityUnits(1),
            decreases_today,
            last_decrease: last,
        };
        assert!(decrease_allowed(&policy, &capacity(0, None), at(0)));
        assert!(decrease_allowed(&policy, &capacity(2, Some(at(-1))), at(0)));
        assert!(!decrease_allowed(&policy, &capacity(3, Some(at(-1))), at(0)), "the fourth is the reserve");
        assert!(!decrease_allowed(&policy, &capacity(4, Some(at(-59))), at(0)));
        assert!(decrease_allowed(&policy, &capacity(4, Some(at(-61))), at(0)));
        assert!(decrease_allowed(&policy, &capacity(4, Some(at(-9 * 60))), at(0)), "that was yesterday");
    }

    #[test]
    fn a_capacity_stops_on_a_long_way_down_once_an_hour_when_that_saves_enough() {
        let window = SignedDuration::from_mins(15);
        // Each minute has this share of the minute before.
        let lowered = |share: f64, live: u64, decreased: Option<i64>| {
            let mut memory = Memory::empty();
            let load = |minute: i64| 1000.0 * share.powf(minute as f64);
            (0..=30).for_each(|minute| recommend(&mut memory, "x", load(minute), window, at(minute)));
            let (read, write) = (CapacityUnits(1), CapacityUnits(live));
            let last_decrease = decreased.map(|minute| at(30 - minute));
            let capacity = CapacityFacts { read, write, decreases_today: 4, last_decrease };
            lower_capacity_to(&memory, "x", &capacity, write, window, at(30)).map(f64::round)
        };
        assert_eq!(lowered(0.98, 1000, Some(61)), Some(724.0), "the highest of the last quarter of an hour");
        assert_eq!(lowered(0.98, 1000, Some(59)), None, "the hour's decrease is used");
        assert_eq!(lowered(0.98, 900, None), None, "a stop that saves a fifth delays the bottom for little");
        assert_eq!(lowered(0.96, 1000, None), None, "at 56 % a window the bottom is near");
        assert_eq!(lowered(0.995, 1000, Some(1)), Some(923.0), "what hardly falls is at its bottom");
    }
}
