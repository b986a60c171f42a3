//! The position rule, on each side of every condition.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{Stand, position, reach};
use crate::{
    apply::fixtures::at,
    model::{ConsumerSignals, Point, Signal},
};

pub(super) const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The start of the newest published minute: `at(0)` is the start of a minute.
pub(super) fn newest() -> Timestamp {
    at(7200)
}

pub(super) fn seconds(value: i64) -> SignedDuration {
    SignedDuration::from_secs(value)
}

/// The value of each of the last minutes, newest first; `None`: not published.
pub(super) fn signal(values: &[Option<f64>]) -> Signal {
    let minutes = (0..).zip(values).filter_map(|(back, value)| Some((back, (*value)?)));
    let mut points: Vec<Point> = minutes.map(|(back, value)| Point { at: newest() - MINUTE * back, value }).collect();
    points.reverse();
    Signal::of(points, newest())
}

pub(super) fn same(value: f64) -> Signal {
    signal(&[Some(value); 120])
}

pub(super) fn healthy(age_ms: f64) -> ConsumerSignals {
    ConsumerSignals {
        iterator_age_ms: same(age_ms),
        errors: same(0.0),
        throttles: same(0.0),
        ..ConsumerSignals::default()
    }
}

fn on<'a>(consumer: &'a ConsumerSignals, throttles: Option<&'a Signal>) -> Stand<'a> {
    Stand {
        consumer,
        read_throttles: throttles,
        newest_expected: newest(),
        off_at: newest() + MINUTE,
        timeout: seconds(15),
        batching_window: SignedDuration::ZERO,
        tumbling_window: SignedDuration::ZERO,
    }
}

/// How long before the switch the position lies.
fn back(stand: &Stand<'_>) -> i64 {
    stand.off_at.duration_since(position(stand).unwrap()).as_secs()
}

#[test]
fn the_position_is_the_oldest_age_of_the_last_minutes_less_the_margin() {
    let (none, healthy) = (same(0.0), healthy(1_000.0));
    let stand = on(&healthy, Some(&none));
    // Three minutes and a timeout of 15 s reach into the fourth minute; one second of age, 60 s of margin.
    assert_eq!(back(&stand), 4 * 60 + 1 + 60);
    assert_eq!(back(&Stand { timeout: seconds(600), ..stand }), 22 * 60 + 1 + 60, "12 min and the batch span of 10");
    assert_eq!(back(&Stand { batching_window: seconds(300), ..stand }), 4 * 60 + 1 + 60 + 300);
    let window = Stand { tumbling_window: seconds(900), ..stand };
    assert_eq!(position(&window).unwrap().as_second() % 900, 0, "an open tumbling window is read whole");
    assert!(position(&window).unwrap() <= position(&stand).unwrap());
    let uneven = healthy.iterator_age_ms.points.iter().map(|point| Point { value: 1_500.5, ..*point }).collect();
    let uneven = ConsumerSignals { iterator_age_ms: Signal::of(uneven, newest()), ..healthy.clone() };
    assert_eq!(back(&on(&uneven, Some(&none))), 4 * 60 + 2 + 60, "floored to the second");
}

#[test]
fn one_old_batch_decides() {
    let none = same(0.0);
    let ages = |old: usize| {
        let mut values = vec![Some(0.0); 120];
        values[old] = Some(500_000.0);
        ConsumerSignals { iterator_age_ms: signal(&values), ..healthy(0.0) }
    };
    let (third, fifth) = (ages(2), ages(4));
    assert_eq!(back(&on(&third, Some(&none))), 3 * 60 + 500 + 60, "in the third minute before");
    assert_eq!(back(&on(&fifth, Some(&none))), 4 * 60 + 60, "before the window it counts no more");
}

#[test]
fn after_the_switch_a_minute_needs_no_data_and_counts_when_it_has_some() {
    let none = same(0.0);
    let mut values = vec![None, None];
    values.extend([Some(0.0); 100]);
    let silent = ConsumerSignals { iterator_age_ms: signal(&values), ..healthy(0.0) };
    let off_at = newest() - MINUTE + seconds(30);
    assert_eq!(back(&Stand { off_at, ..on(&silent, Some(&none)) }), 3 * 60 + 30 + 60);
    values[1] = Some(900_000.0);
    let late = ConsumerSignals { iterator_age_ms: signal(&values), ..healthy(0.0) };
    assert_eq!(back(&Stand { off_at, ..on(&late, Some(&none)) }), 900 + 30 + 60, "the minute of the switch");
}

#[test]
fn a_minute_without_data_with_errors_or_with_throttles_proves_nothing() {
    let none = same(0.0);
    for (minute, counts) in [(0, true), (3, true), (4, false)] {
        let with = |mut signal: Signal, value: Option<f64>| {
            let at = newest() - MINUTE * minute;
            signal.points.retain(|point| point.at != at);
            signal.points.extend(value.map(|value| Point { at, value }));
            signal.points.sort_by_key(|point| point.at);
            signal
        };
        let absent = ConsumerSignals { iterator_age_ms: with(same(0.0), None), ..healthy(0.0) };
        let errors = ConsumerSignals { errors: with(same(0.0), Some(2.0)), ..healthy(0.0) };
        let unknown = ConsumerSignals { errors: with(same(0.0), None), ..healthy(0.0) };
        let throttles = ConsumerSignals { throttles: with(same(0.0), Some(1.0)), ..healthy(0.0) };
        for (signals, said, passing) in [
            (absent, "the iterator age of", true),
            (errors, "2 errors at", false),
            (unknown, "the error count of", true),
            (throttles, "1 throttled invocations at", false),
        ] {
            match position(&on(&signals, Some(&none))) {
                Err(why) => {
                    assert!(counts && why.reason.contains(said) && !why.hint.is_empty(), "{minute}: {why:?}");
                    assert_eq!(why.passing, passing, "{why:?}");
                }
                Ok(_) => assert!(!counts, "{said} in minute {minute} was not seen"),
            }
        }
    }
}

#[test]
fn throttled_pollers_take_the_position_back_to_a_minute_without() {
    let healthy = healthy(0.0);
    let throttled = |minutes: usize| {
        let values: Vec<_> = (0..40).map(|back| Some(if back < minutes { 3.0 } else { 0.0 })).collect();
        signal(&values)
    };
    assert_eq!(back(&on(&healthy, Some(&throttled(0)))), 5 * 60);
    assert_eq!(back(&on(&healthy, Some(&throttled(4)))), 6 * 60, "four minutes throttled, the fifth is free");
    assert_eq!(back(&on(&healthy, Some(&throttled(20)))), 22 * 60);
    let always = position(&on(&healthy, Some(&throttled(40)))).unwrap_err();
    assert!(always.reason.contains("throttled in every minute") && !always.passing, "{always:?}");
    let unknown = position(&on(&healthy, Some(&Signal::absent()))).unwrap_err();
    assert!(unknown.reason.contains("throttled"), "what is not known may have been: {unknown:?}");
    assert_eq!(back(&on(&healthy, None)), 5 * 60, "a fan-out reader polls nothing");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// More age, a longer timeout or window never bring the position forward, and it is never after a known batch.
    #[test]
    fn the_position_never_comes_forward(
        ages in proptest::collection::vec(0.0..4_000_000.0_f64, 120),
        timeout in 1_i64..=900, more in 0_i64..=300, window in 0_i64..=300, minute in 0_usize..120, older in 0.0..4e6_f64,
    ) {
        let none = same(0.0);
        let with = |ages: &[f64]| ConsumerSignals {
            iterator_age_ms: signal(&ages.iter().copied().map(Some).collect::<Vec<_>>()), ..healthy(0.0)
        };
        let signals = with(&ages);
        let stand = Stand { timeout: seconds(timeout), batching_window: seconds(window), ..on(&signals, Some(&none)) };
        let here = position(&stand).unwrap();
        let slower = Stand { timeout: seconds((timeout + more).min(900)), ..stand };
        prop_assert!(position(&slower).unwrap() <= here);
        let wider = Stand { batching_window: seconds(window + more), ..stand };
        prop_assert!(position(&wider).unwrap() <= here);
        let mut aged = ages.clone();
        aged[minute] += older;
        let aged = with(&aged);
        let aged = Stand { consumer: &aged, ..stand };
        prop_assert!(position(&aged).unwrap() <= here);
        let reach = reach(seconds(timeout));
        for (back, age) in (0..).zip(&ages) {
            let start = newest() - MINUTE * back;
            if stand.off_at.duration_since(start) <= reach {
                prop_assert!(here <= start - SignedDuration::from_millis(*age as i64) - seconds(60 + window));
            }
        }
        prop_assert!(stand.off_at.duration_since(here) >= seconds(180 + 60));
    }
}
