//! From where a new mapping must read so that it skips nothing. Pure.
//!
//! No API tells a mapping's position. What is known: when the mapping was switched off, and, for each minute in which it
//! invoked its function, the greatest age of the last record of a batch (Lambda metric IteratorAge, Maximum).
//!
//! Why the position cannot skip. Take a record that was not delivered when the mapping was switched off, and its slot
//! (a shard has `parallelizationFactor` of them, each in order).
//! - An invocation of that slot was under way: it began at most a timeout before. If the one before it ended just then,
//!   that one began at most two timeouts before, and its last record is older than every record of the batch under way:
//!   the age of that minute tells how old it was. So the ages of the last two timeouts count ("the batch span"), with
//!   two minutes more for a retry. Without errors and throttles no batch was tried twice.
//! - The slot was idle: then the record waited for its batching window, or to be fetched. A poller fetches each second
//!   or so; only one that is throttled may wait longer, so the minutes count back to one in which none was.
//!
//! What always holds: a minute that is absent, or has errors or throttles, proves nothing: then there is no position.

use jiff::{SignedDuration, Timestamp};

use crate::model::{ConsumerSignals, Signal};

/// Taken off for what is between the clocks: fetching, and the minute's own start. From the rule.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// The shortest time to look back, from the same rule.
const LEAST: SignedDuration = SignedDuration::from_mins(3);
/// How much longer than a timeout to look back, from the same rule.
const BEYOND_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// What is known of the mapping that is, or would be, switched off.
#[derive(Debug, Clone, Copy)]
pub struct Stand<'a> {
    /// The function's metrics.
    pub consumer: &'a ConsumerSignals,
    /// GetRecords calls throttled on the stream; `None` for a mapping on fan-out, which calls none.
    pub read_throttles: Option<&'a Signal>,
    /// The newest minute that CloudWatch should have published.
    pub newest_expected: Timestamp,
    /// When it was switched off; that minute and later ones need no data, because it invoked nothing any more.
    pub off_at: Timestamp,
    /// The function's timeout, 1–900 s.
    pub timeout: SignedDuration,
    /// The mapping's batching window, 0–300 s.
    pub batching_window: SignedDuration,
    /// The mapping's tumbling window, 0–900 s; 0: none. An open window begins anew with the new mapping, so the
    /// position is the beginning of one.
    pub tumbling_window: SignedDuration,
}

/// Why there is no position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproven {
    /// In words, with the minute.
    pub reason: String,
    /// What to do.
    pub hint: String,
    /// The minute may still be published, or is too young: waiting may help.
    pub passing: bool,
}

/// The position, floored to the second, or to the tumbling window.
///
/// # Errors
/// A minute proves nothing: its metric is absent, or it has errors or throttles.
pub fn position(stand: &Stand<'_>) -> Result<Timestamp, Unproven> {
    let off = minute_of(stand.off_at);
    let mut first = minute_of(stand.off_at - reach(stand.timeout));
    if let Some(throttles) = stand.read_throttles {
        first = before_throttles(throttles, first, stand.newest_expected.max(off - MINUTE))?;
    }
    let mut oldest = stand.off_at;
    let mut minute = first;
    while minute <= stand.newest_expected || minute < off {
        let required = minute < off;
        clean(stand.consumer, minute, required)?;
        if let Some(age) = stand.consumer.iterator_age_ms.at(minute) {
            let age = SignedDuration::from_millis(age.ceil() as i64);
            oldest = oldest.min(minute.checked_sub(age).unwrap_or(Timestamp::MIN));
        }
        minute += MINUTE;
    }
    let floor = oldest.checked_sub(stand.batching_window + MARGIN).unwrap_or(Timestamp::MIN);
    let step = stand.tumbling_window.as_secs().max(1);
    Ok(Timestamp::from_second(floor.as_second().div_euclid(step) * step).unwrap_or(Timestamp::MIN))
}

/// How far before the switch the minutes count: the rule's max(3 min, timeout + 2 min), and the batch span.
pub fn reach(timeout: SignedDuration) -> SignedDuration {
    LEAST.max(timeout + BEYOND_TIMEOUT) + timeout
}

/// A minute without an error or a throttle; one that is `required` has data, too.
fn clean(consumer: &ConsumerSignals, minute: Timestamp, required: bool) -> Result<(), Unproven> {
    let time = minute.strftime("%H:%M");
    let signals = [
        (&consumer.iterator_age_ms, "iterator age", None),
        (&consumer.errors, "error count", Some("errors")),
        (&consumer.throttles, "throttle count", Some("throttled invocations")),
    ];
    for (signal, name, trouble) in signals {
        match (signal.at(minute), trouble) {
            (None, _) if required => {
                return Err(Unproven {
                    reason: format!("the {name} of {time} is missing, so nothing proves where the reader stood"),
                    hint: "wait for the metric; a function that is not invoked publishes none, so it needs traffic"
                        .to_owned(),
                    passing: true,
                });
            }
            (Some(count), Some(trouble)) if count > 0.0 => {
                return Err(Unproven {
                    reason: format!("{count:.0} {trouble} at {time}: what they held back has no known age"),
                    hint: "stop them first (`diagnose` says why they are); then the move begins by itself".to_owned(),
                    passing: false,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// `first`, or when pollers were throttled after it (or nobody knows) the newest minute before in which none was.
fn before_throttles(throttles: &Signal, first: Timestamp, newest: Timestamp) -> Result<Timestamp, Unproven> {
    let free = |minute: Timestamp| throttles.at(minute).is_some_and(|count| count <= 0.0);
    let mut minute = first;
    while minute <= newest {
        if !free(minute) {
            let before = throttles.points.iter().rev().find(|point| point.at <= first && point.value <= 0.0);
            return before.map(|point| point.at).ok_or_else(|| Unproven {
                reason:
                    "GetRecords was throttled in every minute that is known, so a shard may not have been read for long"
                        .to_owned(),
                hint: "add shards or stop a reader until a minute passes without a throttled GetRecords".to_owned(),
                passing: false,
            });
        }
        minute += MINUTE;
    }
    Ok(first)
}

/// The start of the minute.
pub fn minute_of(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second().div_euclid(60) * 60).unwrap_or(Timestamp::MIN)
}
