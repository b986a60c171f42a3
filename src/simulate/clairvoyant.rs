//! The clairvoyant optimum: what a policy would pay that knew the whole future. It is a yardstick, not a baseline.
//!
//! Shards: dynamic programming on a grid of 15 minutes over shard counts at full use, at most double and at least half
//! from one slot to the next, ten changes a day. Sinks: the greatest minute of each 5 minutes, decreases free.
//!
//! What always holds: no plan on this grid that serves the greatest minute of every slot pays less for shards. AWS counts
//! ten calls in any rolling 24 h; here each aligned day has a budget of ten. Whoever keeps to the rolling rule keeps to
//! the aligned one, so the optimum under it is never dearer: a lower bound stays one. The first count is free to choose.

use std::collections::VecDeque;

use super::demand::Demand;
use crate::cost::PriceSheet;

/// Minutes of a slot.
pub const SLOT_MINUTES: usize = 15;
/// Minutes over which a sink's capacity stands still.
const SINK_MINUTES: usize = 5;
/// UpdateShardCount calls in 24 h (Kinesis API reference, UpdateShardCount).
pub const CHANGES_A_DAY: usize = 10;
/// Slots of a day.
const DAY_SLOTS: usize = 24 * 60 / SLOT_MINUTES;

/// What the optimum costs, dollars.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Optimum {
    /// Shards.
    pub shards_usd: f64,
    /// Write and read capacity of all tables and indexes.
    pub sinks_usd: f64,
}

impl Optimum {
    /// All of it.
    pub fn total_usd(&self) -> f64 {
        self.shards_usd + self.sinks_usd
    }
}

/// The optimum of a demand. `extended_retention`: the pipeline keeps records beyond what the shard price includes.
pub fn optimum(demand: &Demand, extended_retention: bool, prices: &PriceSheet) -> Optimum {
    let extended = if extended_retention { prices.extended_retention_shard_hour } else { 0.0 };
    let minute = (prices.shard_hour + extended) / 60.0;
    let sinks = demand.sinks.values().map(|sink| {
        capacity_hours(&sink.writes) * prices.write_capacity_unit_hour
            + capacity_hours(&sink.reads) * prices.read_capacity_unit_hour
    });
    Optimum { shards_usd: shard_minutes(&demand.shards) as f64 * minute, sinks_usd: sinks.sum() }
}

/// Unit-hours of the greatest minute of each 5 minutes, in whole units, at least one (DynamoDB's least).
fn capacity_hours(per_minute: &[f64]) -> f64 {
    let held = |minutes: &[f64]| {
        let greatest = minutes.iter().copied().fold(1.0, f64::max);
        greatest.ceil() * minutes.len() as f64 / 60.0
    };
    per_minute.chunks(SINK_MINUTES).map(held).sum()
}

/// The fewest shard-minutes that serve the demand of every minute.
fn shard_minutes(per_minute: &[u32]) -> u64 {
    let slots: Vec<(usize, u64)> = per_minute
        .chunks(SLOT_MINUTES)
        .map(|slot| (slot.iter().copied().max().unwrap_or(1).max(1) as usize, slot.len() as u64))
        .collect();
    // More shards than any slot needs never pay.
    let most = slots.iter().map(|slot| slot.0).max().unwrap_or(1);
    // [changes made today][shards - 1] -> least shard-minutes so far.
    let mut best: Vec<Vec<u64>> = vec![vec![NEVER; most]; CHANGES_A_DAY + 1];
    for (at, (needed, minutes)) in slots.iter().enumerate() {
        let mut next = if at == 0 { first(most) } else { turn(&best, at % DAY_SLOTS == 0) };
        for row in &mut next {
            for (shards, cost) in (1..).zip(row.iter_mut()) {
                *cost = if shards < *needed { NEVER } else { cost.saturating_add(shards as u64 * minutes) };
            }
        }
        best = next;
    }
    let least = best.iter().flatten().copied().min().unwrap_or(0);
    if slots.is_empty() { 0 } else { least }
}

/// Cannot be reached.
const NEVER: u64 = u64::MAX;

/// Any count, no change made.
fn first(most: usize) -> Vec<Vec<u64>> {
    let mut rows = vec![vec![NEVER; most]; CHANGES_A_DAY + 1];
    if let Some(row) = rows.first_mut() {
        row.fill(0);
    }
    rows
}

/// The next slot before its own cost: the count stays, or changes once. With a new day the budget is whole again.
fn turn(best: &[Vec<u64>], new_day: bool) -> Vec<Vec<u64>> {
    let best: Vec<Vec<u64>> = if new_day { vec![cheapest(best)] } else { best.to_vec() };
    let most = best.first().map_or(0, Vec::len);
    let mut next = best.clone();
    next.resize(CHANGES_A_DAY + 1, vec![NEVER; most]);
    for (row, after) in best.iter().zip(next.iter_mut().skip(1)) {
        for (stay, changed) in after.iter_mut().zip(reach(row)) {
            *stay = changed.min(*stay);
        }
    }
    next
}

/// The least of all rows, count by count.
fn cheapest(rows: &[Vec<u64>]) -> Vec<u64> {
    let mut least = rows.first().cloned().unwrap_or_default();
    for row in rows.iter().skip(1) {
        least.iter_mut().zip(row).for_each(|(least, cost)| *least = (*least).min(*cost));
    }
    least
}

/// For each count `n`, the least of `row` over the counts from which one call leads to `n`: those of which `n` is at
/// most the double and at least the half, rounded up. That is from `ceil(n / 2)` to `2n`: both ends only move up, so a
/// queue of rising costs holds the least.
fn reach(row: &[u64]) -> Vec<u64> {
    let mut queue: VecDeque<(usize, u64)> = VecDeque::new();
    let mut entering = (1..).zip(row.iter().copied()).peekable();
    let mut least = Vec::with_capacity(row.len());
    for shards in 1..=row.len() {
        while let Some((from, cost)) = entering.next_if(|(from, _)| *from <= 2 * shards) {
            while queue.back().is_some_and(|last| last.1 >= cost) {
                queue.pop_back();
            }
            queue.push_back((from, cost));
        }
        while queue.front().is_some_and(|first| first.0 < shards.div_ceil(2)) {
            queue.pop_front();
        }
        least.push(queue.front().map_or(NEVER, |first| first.1));
    }
    least
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simulate::demand::SinkDemand;

    /// A demand that stands for whole slots.
    fn slots(needed: &[u32]) -> Vec<u32> {
        needed.iter().flat_map(|shards| [*shards; SLOT_MINUTES]).collect()
    }

    fn shard_slots(needed: &[u32]) -> u64 {
        shard_minutes(&slots(needed)) / SLOT_MINUTES as u64
    }

    #[test]
    fn a_steady_demand_costs_itself() {
        assert_eq!(shard_slots(&[3, 3, 3, 3]), 12);
        assert_eq!(shard_minutes(&[3; 7]), 21, "a slot that is cut off counts its minutes");
        assert_eq!(shard_minutes(&[]), 0);
    }

    #[test]
    fn a_step_of_more_than_double_begins_early() {
        // 1, 2, 4, 8 on the way up; half of 8, rounded up, on the way down.
        assert_eq!(shard_slots(&[1, 1, 1, 8, 8, 1, 1, 1]), 1 + 2 + 4 + 8 + 8 + 4 + 2 + 1);
        // With one slot before the step, the least start is its half.
        assert_eq!(shard_slots(&[1, 7]), 4 + 7);
    }

    #[test]
    fn ten_changes_a_day_are_not_exceeded() {
        // Twelve valleys of one slot between twelve peaks. The first valley costs one change, each other one two: with
        // ten changes the first and four others are used, and the rest stood through at the peak's count.
        let peaks: Vec<u32> = (0..24).map(|slot| if slot % 2 == 1 { 2 } else { 1 }).collect();
        assert_eq!(shard_slots(&peaks), 2 * 24 - 5);
    }

    #[test]
    fn the_budget_is_whole_again_on_the_next_day() {
        let day: Vec<u32> = (0..DAY_SLOTS).map(|slot| if slot % 2 == 1 { 2 } else { 1 }).collect();
        let one = shard_slots(&day);
        let two = shard_slots(&[day.clone(), day].concat());
        assert!(two <= 2 * one && two + 2 >= 2 * one, "{two} against twice {one}");
    }

    #[test]
    fn a_sink_pays_the_greatest_minute_of_each_five() {
        let hours = capacity_hours(&[10.0, 10.0, 99.5, 10.0, 10.0, 0.0, 0.2, 0.0, 0.0, 0.0]);
        assert!((hours - (100.0 * 5.0 + 1.0 * 5.0) / 60.0).abs() < 1e-12);
    }

    #[test]
    fn dollars_are_those_of_the_sheet() {
        let prices = PriceSheet::us_east_1();
        let sink = SinkDemand { writes: vec![1_000.0; 60], reads: vec![0.0; 60] };
        let demand = Demand {
            shards: vec![2; 60],
            slots: Vec::new(),
            sinks: [("table/t".to_owned(), sink)].into_iter().collect(),
        };
        let found = optimum(&demand, false, &prices);
        assert!((found.shards_usd - 0.03).abs() < 1e-12);
        assert!((found.sinks_usd - (0.65 + 0.000_13)).abs() < 1e-12);
        assert!((optimum(&demand, true, &prices).shards_usd - 0.07).abs() < 1e-12);
    }

    /// Every sequence of counts.
    fn brute(needed: &[u32], most: u32) -> u64 {
        fn go(needed: &[u32], most: u32, last: Option<u32>, changes: usize) -> u64 {
            let Some((first, rest)) = needed.split_first() else { return 0 };
            let may = |count: &u32| {
                let Some(last) = last else { return true };
                *count == last || (changes < CHANGES_A_DAY && *count <= 2 * last && 2 * *count >= last)
            };
            (*first..=most)
                .filter(may)
                .map(|count| {
                    let changed = usize::from(last.is_some_and(|last| last != count));
                    let after = go(rest, most, Some(count), changes + changed);
                    after.saturating_add(u64::from(count))
                })
                .min()
                .unwrap_or(u64::from(u32::MAX))
        }
        go(needed, most, None, 0)
    }

    proptest! {
        #[test]
        fn nothing_is_cheaper_than_the_optimum(needed in proptest::collection::vec(1_u32..=6, 1..7)) {
            prop_assert_eq!(shard_slots(&needed), brute(&needed, 6));
        }

        #[test]
        fn the_queue_finds_what_a_search_finds(row in proptest::collection::vec(0_u64..100, 1..40)) {
            let searched: Vec<u64> = (1..=row.len())
                .map(|to| (1..=row.len()).filter(|from| to <= 2 * from && *from <= 2 * to).map(|from| row[from - 1]).min().unwrap())
                .collect();
            prop_assert_eq!(reach(&row), searched);
        }

        #[test]
        fn more_demand_never_costs_less(needed in proptest::collection::vec(1_u32..=40, 1..200), at in 0_usize..200) {
            let mut more = needed.clone();
            let at = at % more.len();
            more[at] += 1;
            prop_assert!(shard_slots(&more) >= shard_slots(&needed));
        }
    }
}
