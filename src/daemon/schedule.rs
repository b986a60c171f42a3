//! When the next pass is due. Pure.

use jiff::{SignedDuration, Timestamp};

/// Longest pause between failing passes, in intervals.
const LONGEST_BACKOFF: i64 = 5;

/// The next pass after `now`: on the grid of `interval`, shifted by a phase of the pipeline's own, so that many daemons
/// do not ask AWS in the same second. After `failed` passes in a row that could not observe, 1, 2, 4, 5 intervals later.
pub fn next_pass(pipeline: &str, interval: SignedDuration, failed: u32, now: Timestamp) -> Timestamp {
    let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
    let phase = (fnv1a(pipeline) % 1000) as i64 * (interval / 10) / 1000;
    let now_ms = now.as_millisecond();
    let skip = 1_i64.checked_shl(failed.saturating_sub(1)).unwrap_or(LONGEST_BACKOFF).clamp(1, LONGEST_BACKOFF);
    let slot = (now_ms - phase).div_euclid(interval).saturating_add(skip);
    Timestamp::from_millisecond(slot.saturating_mul(interval).saturating_add(phase)).unwrap_or(Timestamp::MAX)
}

/// What cannot wait for the next pass is looked at again after this time.
const AGAIN: SignedDuration = SignedDuration::from_secs(15);
/// So many passes in a row: three minutes, longer than most reshards.
const AGAIN_AT_MOST: u32 = 12;

/// When to look again after so many passes in a row that left something that cannot wait.
pub fn again(hurried: u32, now: Timestamp) -> Option<Timestamp> {
    (1..=AGAIN_AT_MOST).contains(&hurried).then(|| now + AGAIN)
}

/// FNV-1a, 64 bits: the same phase in every run and on every machine.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: SignedDuration = SignedDuration::from_mins(1);

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn passes_are_one_interval_apart_however_long_they_take() {
        let first = next_pass("alleycat", MINUTE, 0, at(1_000_000_000));
        for took in [0, 1, 30_000, 59_999] {
            let next = next_pass("alleycat", MINUTE, 0, at(first.as_millisecond() + took));
            assert_eq!(next.duration_since(first), MINUTE, "a pass that took {took} ms");
        }
    }

    #[test]
    fn what_cannot_wait_is_looked_at_four_times_a_minute_for_three_minutes() {
        let now = at(1_000_000_000);
        let pause = |hurried| again(hurried, now).map(|next| next.duration_since(now).as_secs());
        assert_eq!(pause(0), None);
        assert!((1..=12).all(|hurried| pause(hurried) == Some(15)));
        assert_eq!(pause(13), None, "then with the next pass on the grid");
    }

    #[test]
    fn pipelines_spread_over_a_tenth_of_the_interval() {
        let phases: std::collections::BTreeSet<i64> = (0..200)
            .map(|number| next_pass(&format!("pipeline-{number}"), MINUTE, 0, at(0)).as_millisecond() % 60_000)
            .collect();
        assert!(phases.len() > 150, "{} phases", phases.len());
        assert!(phases.iter().all(|phase| *phase < 6_000));
    }

    #[test]
    fn failing_passes_back_off_and_stay_bounded() {
        let now = at(1_000_000_000);
        let pauses: Vec<i64> = (0..=6)
            .map(|failed| next_pass("a", MINUTE, failed, now).duration_since(next_pass("a", MINUTE, 0, now)).as_secs())
            .collect();
        assert_eq!(pauses, [0, 0, 60, 180, 240, 240, 240]);
        assert!(next_pass("a", MINUTE, u32::MAX, now) > now);
    }
}
