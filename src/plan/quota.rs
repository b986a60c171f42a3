//! Budgets that AWS keeps and this room respects.

use jiff::{SignedDuration, Timestamp};

use crate::model::{CapacityFacts, ShardCount};

/// UpdateShardCount calls per stream in a rolling 24 h (Kinesis API reference, UpdateShardCount).
pub const RESHARDS_PER_DAY: u32 = 10;
/// Capacity decreases of a table or index at the start of a UTC day (DynamoDB developer guide, service quotas).
pub const DECREASES_AT_ONCE: u32 = 4;
/// After those, one each time this much has passed since the last one (same source).
pub const DECREASE_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// Most decreases of one UTC day: the first four and one an hour (same source).
pub const DECREASES_PER_DAY: u32 = 27;

const DAY_SECONDS: i64 = 86_400;

/// Decreases of this table or index in the UTC day of `now`.
pub fn decreases_today(units: &CapacityFacts, now: Timestamp) -> u32 {
    let day = |at: Timestamp| at.as_second().div_euclid(DAY_SECONDS);
    match units.last_decrease {
        Some(last) if day(last) < day(now) => 0,
        _ => units.decreases_today,
    }
}

/// When the next decrease may be made: `None` for now. `reserve` of the day's first decreases are kept back; what
/// comes back by the hour is not.
pub fn decrease_free_at(units: &CapacityFacts, reserve: u32, now: Timestamp) -> Option<Timestamp> {
    let used = decreases_today(units, now);
    if used < DECREASES_AT_ONCE.saturating_sub(reserve) {
        return None;
    }
    let midnight = (now.as_second().div_euclid(DAY_SECONDS) + 1) * DAY_SECONDS;
    let midnight = Timestamp::from_second(midnight).unwrap_or(Timestamp::MAX);
    if used >= DECREASES_PER_DAY {
        return Some(midnight);
    }
    let hourly = units.last_decrease.and_then(|last| last.checked_add(DECREASE_EVERY).ok()).unwrap_or(midnight);
    (hourly > now).then_some(hourly.min(midnight))
}

/// UpdateShardCount calls left, as far as known; none while AWS said the quota is exhausted.
pub fn reshards_left(used: u32, exhausted_until: Option<Timestamp>, now: Timestamp) -> u32 {
    if exhausted_until.is_some_and(|until| until > now) {
        return 0;
    }
    RESHARDS_PER_DAY.saturating_sub(used)
}

/// The counts to pass through: at most twice and at least half (rounded up) of the one before
/// (Kinesis API reference, UpdateShardCount). Empty when `from` is 0 or equals `to`; `to` is at least 1.
pub fn reshard_chain(from: ShardCount, to: ShardCount) -> Vec<ShardCount> {
    let (mut at, goal) = (from.get(), to.get().max(1));
    let mut chain = Vec::new();
    while at != goal && at != 0 {
        at = if goal > at { goal.min(at.saturating_mul(2)) } else { goal.max(at.div_ceil(2)) };
        chain.push(ShardCount(at));
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CapacityUnits;

    fn units(decreases_today: u32, last: Option<&str>) -> CapacityFacts {
        CapacityFacts {
            read: CapacityUnits(5),
            write: CapacityUnits(5),
            decreases_today,
            last_decrease: last.map(|at| at.parse().unwrap()),
        }
    }

    #[test]
    fn decreases_four_then_one_an_hour_until_midnight() {
        let now: Timestamp = "2025-06-01T10:30:00Z".parse().unwrap();
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        assert_eq!(decrease_free_at(&units(0, None), 0, now), None);
        assert_eq!(decrease_free_at(&units(3, Some("2025-06-01T10:29:00Z")), 0, now), None);
        assert_eq!(
            decrease_free_at(&units(3, Some("2025-06-01T10:29:00Z")), 1, now),
            at("2025-06-01T11:29:00Z"),
            "one of the four is kept back"
        );
        assert_eq!(decrease_free_at(&units(4, Some("2025-06-01T09:30:00Z")), 0, now), None, "an hour has passed");
        assert_eq!(decrease_free_at(&units(4, Some("2025-06-01T10:00:00Z")), 0, now), at("2025-06-01T11:00:00Z"));
        assert_eq!(decrease_free_at(&units(27, Some("2025-06-01T09:00:00Z")), 0, now), at("2025-06-02T00:00:00Z"));
        assert_eq!(decrease_free_at(&units(4, Some("2025-05-31T23:59:00Z")), 0, now), None, "that was yesterday");
        assert_eq!(decrease_free_at(&units(4, None), 0, now), at("2025-06-02T00:00:00Z"), "nothing known: midnight");
        let late: Timestamp = "2025-06-01T23:30:00Z".parse().unwrap();
        assert_eq!(decrease_free_at(&units(4, Some("2025-06-01T23:20:00Z")), 0, late), at("2025-06-02T00:00:00Z"));
    }

    #[test]
    fn chains_double_and_halve() {
        let chain =
            |from, to| reshard_chain(ShardCount(from), ShardCount(to)).iter().map(|n| n.get()).collect::<Vec<_>>();
        assert_eq!(chain(2, 16), [4, 8, 16]);
        assert_eq!(chain(3, 16), [6, 12, 16]);
        assert_eq!(chain(5, 1), [3, 2, 1]);
        assert_eq!(chain(4, 4), [0; 0]);
        assert_eq!(chain(0, 4), [0; 0]);
        assert_eq!(chain(2, 0), [1]);
    }
}
