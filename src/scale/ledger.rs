//! The reshard ledger: how many of the ten UpdateShardCount calls of a rolling 24 h are used.
//!
//! No AWS API tells (aws docs, UpdateShardCount), so we count: our own calls before we make them, and every
//! change of the open shard count that is not ours. The memory's copy is the authority; a copy travels in a
//! stream tag and is read only when the memory is new. With both missing the worst is assumed.

use jiff::{SignedDuration, Timestamp};

use super::break_glass;
use crate::{
    memory::{LedgerEntry, LedgerEntryKind, Memory, ReshardLedger, StreamSeen},
    model::{ErrorClass, Facts, Failure, LifecycleStatus, ShardCount, StreamFacts, TAG_RESHARDS},
    spec::ScalingPolicy,
};

/// UpdateShardCount calls per stream in a rolling 24 h (Kinesis API reference, UpdateShardCount).
pub const MAX_RESHARDS_PER_DAY: u32 = 10;
/// The tag's value when no call was made: set on creation, so that a lost store is not taken for a lost ledger.
pub const COLD_LEDGER_TAG: &str = "none";

/// What AWS accepted shows at once, in an answer that may be half a minute old (assumption): before, no other call is made
/// on the resource; after, a pending reshard that AWS never started is given up.
pub const SHOWN_AFTER: SignedDuration = SignedDuration::from_secs(45);
pub(super) const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Slack against clocks that differ from AWS's: an entry counts a minute longer than AWS counts it.
pub(super) const SLACK: SignedDuration = SignedDuration::from_mins(1);
const BASE: u32 = 36;
/// 2020-01-01 in minutes since the epoch: an older stamp was not written by us.
const EARLIEST_STAMP: i64 = 26_297_280;

/// Calls that count at `now`: ours, others', and assumed ones; ten when AWS said so.
pub fn reshards_used(ledger: &ReshardLedger, now: Timestamp) -> u32 {
    if ledger.exhausted_until.is_some_and(|until| now < until) {
        return MAX_RESHARDS_PER_DAY;
    }
    let count = ledger.entries.iter().filter(|entry| counts(entry, now)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// When the oldest counted call is forgotten, if any counts.
pub(super) fn frees_at(ledger: &ReshardLedger, now: Timestamp) -> Option<Timestamp> {
    ledger
        .exhausted_until
        .filter(|until| now < *until)
        .or_else(|| ledger.entries.iter().filter(|entry| counts(entry, now)).map(|entry| entry.at + DAY + SLACK).min())
}

fn counts(entry: &LedgerEntry, now: Timestamp) -> bool {
    now < entry.at + DAY + SLACK
}

/// The tag's value: the minutes of the last ten counted calls since the epoch, base 36, oldest first.
pub fn ledger_tag(ledger: &ReshardLedger, now: Timestamp) -> String {
    let stamps: Vec<_> = ledger
        .entries
        .iter()
        .rev()
        .filter(|entry| counts(entry, now))
        .take(MAX_RESHARDS_PER_DAY as usize)
        .map(|entry| to_base36(entry.at.as_second().max(0) as u64 / 60))
        .collect();
    if stamps.is_empty() { COLD_LEDGER_TAG.to_owned() } else { stamps.into_iter().rev().collect::<Vec<_>>().join(" ") }
}

/// Reads a tag value; `None` when it is not one of ours.
fn from_tag(value: &str) -> Option<Vec<LedgerEntry>> {
    if value == COLD_LEDGER_TAG {
        return Some(Vec::new());
    }
    value
        .split_whitespace()
        .map(|stamp| {
            let minutes = i64::from_str_radix(stamp, BASE).ok()?;
            let at = Timestamp::from_second(minutes.checked_mul(60)?).ok()?;
            if minutes < EARLIEST_STAMP {
                return None;
            }
            Some(LedgerEntry { at, kind: LedgerEntryKind::Ours })
        })
        .collect::<Option<Vec<_>>>()
        .filter(|entries| !entries.is_empty())
}

fn to_base36(mut value: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((value % u64::from(BASE)) as u32, BASE).unwrap_or('0'));
        value /= u64::from(BASE);
        if value == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// Takes in what the facts say of the stream: notices other people's resharding, sees our own settle, and
/// fills a new memory from the stream's tag. Call after every observation.
pub fn remember(memory: &mut Memory, policy: &ScalingPolicy, facts: &Facts, now: Timestamp) {
    memory.reshards.entries.retain(|entry| counts(entry, now));
    if memory.reshards.exhausted_until.is_some_and(|until| until <= now) {
        memory.reshards.exhausted_until = None;
    }
    // A stream that is being created has no shards yet: their appearance is nobody's reshard.
    let settled = |stream: &&StreamFacts| stream.status != LifecycleStatus::Creating;
    let Some(stream) = facts.stream.as_ref().filter(settled) else { return };
    break_glass::remember(&mut memory.stream_mode, stream, now);
    match memory.stream_seen.take() {
        None => {
            first_sight(memory, policy, stream, now);
            memory.stream_seen = Some(StreamSeen {
                open_shards: stream.open_shards,
                pending_target: None,
                pending_since: None,
                at: now,
            });
        }
        Some(seen) => memory.stream_seen = Some(again(memory, seen, stream, now)),
    }
}

fn first_sight(memory: &mut Memory, policy: &ScalingPolicy, stream: &StreamFacts, now: Timestamp) {
    if let Some(mut entries) = stream.tags.get(TAG_RESHARDS).and_then(|value| from_tag(value)) {
        entries.retain(|entry| counts(entry, now));
        memory.reshards.entries = entries;
        return;
    }
    memory.reshards.entries =
        (0..policy.cold_start_reshards).map(|_| LedgerEntry { at: now, kind: LedgerEntryKind::Assumed }).collect();
    memory.no_scale_in_before = Some(now + SignedDuration::from_hours(i64::from(policy.cold_start_hours)));
}

fn again(memory: &mut Memory, mut seen: StreamSeen, stream: &StreamFacts, now: Timestamp) -> StreamSeen {
    if stream.status != LifecycleStatus::Active {
        return seen;
    }
    seen.at = now;
    if stream.open_shards != seen.open_shards {
        // A reshard of ours may end short of its target; a count beyond it is somebody else's doing.
        // While our break-glass has the stream on demand, AWS splits and merges without a call.
        let by_aws = memory.stream_mode.break_glass_since.is_some();
        let (from, to) = (seen.open_shards, seen.pending_target.unwrap_or(seen.open_shards));
        let ours = stream.open_shards > from.min(to) && stream.open_shards < from.max(to) || stream.open_shards == to;
        if !ours && !by_aws {
            memory.reshards.entries.push(LedgerEntry { at: now, kind: LedgerEntryKind::Foreign });
        }
        memory.last_change.insert(super::guards::SHARDS.to_owned(), now);
        return StreamSeen { open_shards: stream.open_shards, pending_target: None, pending_since: None, at: now };
    }
    if seen.pending_since.is_some_and(|since| now >= since + SHOWN_AFTER) {
        (seen.pending_target, seen.pending_since) = (None, None);
    }
    seen
}

/// When the open shards changed last, as far as is known.
pub fn resharded(memory: &Memory) -> Option<Timestamp> {
    memory.last_change.get(super::guards::SHARDS).copied()
}

/// Counts a call of ours. To be called, and stored, before the call is made.
pub fn note_reshard(memory: &mut Memory, target: ShardCount, now: Timestamp) {
    memory.reshards.entries.push(LedgerEntry { at: now, kind: LedgerEntryKind::Ours });
    note_pending(memory, target, now);
}

/// Takes in that the open shards are about to become `target` by our doing.
pub fn note_pending(memory: &mut Memory, target: ShardCount, now: Timestamp) {
    if let Some(seen) = &mut memory.stream_seen {
        (seen.pending_target, seen.pending_since) = (Some(target), Some(now));
    }
}

/// Takes in that the call just noted failed. A call that certainly had no effect is not counted; a refusal for
/// quota means that somebody else spent it: no call is made before the oldest known one is 24 h old, or for an
/// hour when we know of none (the budget is rolling: it frees by single calls).
pub fn note_refused(memory: &mut Memory, failure: &Failure, now: Timestamp) {
    if failure.class.effect_unknown() {
        return;
    }
    memory.reshards.entries.pop();
    if let Some(seen) = &mut memory.stream_seen {
        (seen.pending_target, seen.pending_since) = (None, None);
    }
    if failure.class == ErrorClass::QuotaExhausted {
        let oldest = memory.reshards.entries.iter().map(|entry| entry.at + DAY + SLACK).min();
        let hour = now + SignedDuration::from_hours(1);
        memory.reshards.exhausted_until = Some(oldest.unwrap_or(hour).max(hour));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 / 60 * 60 + minute * 60).unwrap()
    }

    fn failure(class: ErrorClass) -> Failure {
        Failure {
            class,
            operation: "kinesis:UpdateShardCount".into(),
            resource: "stream/s".into(),
            code: "x".into(),
            message: String::new(),
            request_id: None,
        }
    }

    #[test]
    fn the_tag_carries_ten_calls_and_reads_back() {
        let mut memory = Memory::empty();
        for minute in 0..12 {
            note_reshard(&mut memory, ShardCount(2), at(minute * 7));
        }
        let tag = ledger_tag(&memory.reshards, at(100));
        assert!(tag.len() <= 256, "a tag value holds 256 characters: {}", tag.len());
        let entries = from_tag(&tag).unwrap();
        assert_eq!(entries.len(), 10);
        assert_eq!(entries.last().unwrap().at, at(77));
    }

    #[test]
    fn a_call_counts_for_a_day() {
        let mut memory = Memory::empty();
        note_reshard(&mut memory, ShardCount(2), at(0));
        assert_eq!(reshards_used(&memory.reshards, at(24 * 60)), 1);
        assert_eq!(reshards_used(&memory.reshards, at(24 * 60 + 1)), 0);
        assert_eq!(ledger_tag(&memory.reshards, at(24 * 60 + 1)), COLD_LEDGER_TAG);
    }

    #[test]
    fn only_a_call_without_effect_is_taken_back() {
        for (class, used) in [
            (ErrorClass::Throttled, 0),
            (ErrorClass::InUse, 0),
            (ErrorClass::Invalid, 0),
            (ErrorClass::Unreachable, 1),
            (ErrorClass::ServerError, 1),
        ] {
            let mut memory = Memory::empty();
            note_reshard(&mut memory, ShardCount(2), at(0));
            note_refused(&mut memory, &failure(class), at(0));
            assert_eq!(reshards_used(&memory.reshards, at(1)), used, "{class:?}");
        }
    }

    #[test]
    fn a_refusal_for_quota_stops_calls_until_it_can_have_freed() {
        let mut memory = Memory::empty();
        note_reshard(&mut memory, ShardCount(2), at(0));
        note_reshard(&mut memory, ShardCount(4), at(60));
        note_refused(&mut memory, &failure(ErrorClass::QuotaExhausted), at(60));
        assert_eq!(reshards_used(&memory.reshards, at(24 * 60)), MAX_RESHARDS_PER_DAY);
        assert_eq!(reshards_used(&memory.reshards, at(24 * 60 + 2)), 0);
    }

    /// What the ledger holds after a call from 4 to 8 shards, seen with so many after so many seconds; and whether a call is
    /// still waited for.
    fn seen_later(shards: u32, seconds: i64) -> (u32, bool) {
        let mut scene = crate::scale::tests::Scene::new();
        scene.stream().open_shards = ShardCount(4);
        let (mut memory, policy) = (Memory::empty(), scene.policy.clone());
        remember(&mut memory, &policy, &scene.facts, at(0));
        note_reshard(&mut memory, ShardCount(8), at(0));
        scene.stream().open_shards = ShardCount(shards);
        let later = at(0) + SignedDuration::from_secs(seconds);
        remember(&mut memory, &policy, &scene.facts, later);
        (reshards_used(&memory.reshards, later), memory.stream_seen.unwrap().pending_target.is_some())
    }

    #[test]
    fn a_reshard_of_ours_may_end_short_and_counts_once() {
        assert_eq!(seen_later(8, 120), (1, false));
        assert_eq!(seen_later(6, 120), (1, false), "it ended short");
        assert_eq!(seen_later(3, 120), (2, false), "somebody else's");
        assert_eq!(seen_later(9, 120), (2, false), "somebody else's");
    }

    #[test]
    fn a_call_that_shows_nothing_is_waited_for_three_quarters_of_a_minute() {
        assert_eq!(seen_later(4, 44), (1, true));
        assert_eq!(seen_later(4, 45), (1, false), "it counts all the same");
    }

    #[test]
    fn garbage_in_the_tag_is_a_lost_ledger() {
        for value in ["", "!!", "zzzzzzzzzzzzzzzzzzzz", "none none"] {
            assert!(from_tag(value).is_none(), "{value:?}");
        }
    }
}
