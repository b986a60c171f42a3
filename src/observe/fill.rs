//! Zeros that CloudWatch leaves out. Pure.
//!
//! A missing minute is unknown, not zero, with these exceptions, where another metric of the same minute proves
//! that the service was publishing and nothing happened:
//!
//! - Counts of refusals and errors are published only when there are some ("no datapoint = no event", DynamoDB
//!   and Kinesis developer guides). They are 0 in a minute in which a sibling of the same resource has a point:
//!   the stream's incoming records, fetched records or iterator age; the function's invocations; the table's or
//!   index's consumed write capacity.
//! - The stream's incoming records and bytes are 0 in a minute in which it was polled, nothing came back, and
//!   the readers were not behind: fetched records and iterator age both have a point, and both are 0. While
//!   readers are behind, or nobody polls, silence proves nothing.
//! - A function's invocations are 0 in a minute in which the stream's incoming (after the above) and fetched
//!   records are both 0. An idle function publishes nothing at all.
//!
//! Durations, iterator ages, concurrency and consumed capacity are never filled.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::{IndexSignals, Point, Signal, Signals};

/// Fills the zeros that are proven, in the order in which the proofs build on each other.
pub(super) fn fill(signals: &mut Signals) {
    let newest = signals.newest_expected;
    let stream = &mut signals.stream;

    let publishing = minutes(&[&stream.incoming_records, &stream.get_records, &stream.iterator_age_ms]);
    add_zeros(&mut stream.rejected_records, &publishing, newest);
    add_zeros(&mut stream.read_throttles, &publishing, newest);

    let polled_in_vain = both_zero(&stream.get_records, &stream.iterator_age_ms);
    add_zeros(&mut stream.incoming_records, &polled_in_vain, newest);
    add_zeros(&mut stream.incoming_bytes, &polled_in_vain, newest);

    let idle = both_zero(&stream.incoming_records, &stream.get_records);
    for consumer in signals.consumers.values_mut() {
        add_zeros(&mut consumer.invocations, &idle, newest);
        let publishing = minutes(&[&consumer.invocations]);
        add_zeros(&mut consumer.errors, &publishing, newest);
        add_zeros(&mut consumer.throttles, &publishing, newest);
    }
    for table in signals.tables.values_mut() {
        fill_capacity(&mut table.table, newest);
        for index in table.indexes.values_mut() {
            fill_capacity(index, newest);
        }
    }
}

fn fill_capacity(signals: &mut IndexSignals, newest: Timestamp) {
    let publishing = minutes(&[&signals.consumed_write]);
    add_zeros(&mut signals.write_throttles, &publishing, newest);
    add_zeros(&mut signals.key_range_throttles, &publishing, newest);
    add_zeros(&mut signals.read_throttles, &publishing, newest);
}

/// Minutes in which any of the signals has a point.
fn minutes(signals: &[&Signal]) -> Vec<Timestamp> {
    signals.iter().flat_map(|signal| signal.points.iter().map(|point| point.at)).collect()
}

/// Minutes in which both signals have a point and both are zero.
fn both_zero(one: &Signal, other: &Signal) -> Vec<Timestamp> {
    let zero = |signal: &Signal| -> BTreeSet<Timestamp> {
        signal.points.iter().filter(|point| point.value == 0.0).map(|point| point.at).collect()
    };
    zero(one).intersection(&zero(other)).copied().collect()
}

/// A zero in each of these minutes that has no point yet.
fn add_zeros(signal: &mut Signal, minutes: &[Timestamp], newest: Timestamp) {
    let mut points: BTreeMap<Timestamp, f64> = minutes.iter().map(|at| (*at, 0.0)).collect();
    points.extend(signal.points.iter().chain(&signal.young).map(|point| (point.at, point.value)));
    *signal = Signal::of(points.into_iter().map(|(at, value)| Point { at, value }).collect(), newest);
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::model::{ConsumerSignals, Freshness, StreamSignals, TableSignals};

    fn minute(at: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(at)
    }

    /// Values of minutes 0, 1 and 2; minute 2 is the newest expected.
    fn signal(values: [Option<f64>; 3]) -> Signal {
        let points: Vec<Point> =
            (0..).zip(values).filter_map(|(at, value)| Some(Point { at: minute(at), value: value? })).collect();
        Signal::of(points, minute(2))
    }

    const NONE: [Option<f64>; 3] = [None; 3];
    const ZEROS: [Option<f64>; 3] = [Some(0.0); 3];

    fn signals(get_records: [Option<f64>; 3], age: [Option<f64>; 3], incoming: [Option<f64>; 3]) -> Signals {
        let none = || signal(NONE);
        Signals {
            account_concurrency: Signal::absent(),
            observed_at: minute(5),
            newest_expected: minute(2),
            metrics_requested: 0,
            stream: StreamSignals {
                incoming_records: signal(incoming),
                incoming_bytes: signal(incoming),
                rejected_records: none(),
                read_throttles: none(),
                iterator_age_ms: signal(age),
                get_records: signal(get_records),
                ..StreamSignals::default()
            },
            consumers: BTreeMap::from([("c".to_owned(), ConsumerSignals::default())]),
            tables: BTreeMap::from([(
                "t".to_owned(),
                TableSignals {
                    table: IndexSignals {
                        consumed_write: signal([Some(3.0), None, Some(0.0)]),
                        write_throttles: signal([Some(7.0), None, None]),
                        ..IndexSignals::default()
                    },
                    indexes: BTreeMap::new(),
                },
            )]),
        }
    }

    #[test]
    fn an_idle_stream_that_is_polled_is_zero_down_to_its_consumers() {
        let mut signals = signals(ZEROS, ZEROS, NONE);
        fill(&mut signals);
        assert_eq!(signals.stream.incoming_records, signal(ZEROS));
        assert_eq!(signals.stream.rejected_records, signal(ZEROS));
        let consumer = &signals.consumers["c"];
        assert_eq!(consumer.invocations, signal(ZEROS));
        assert_eq!(consumer.errors, signal(ZEROS));
        assert_eq!(consumer.iterator_age_ms.freshness, Freshness::Absent);
        assert_eq!(consumer.duration_avg_ms.freshness, Freshness::Absent);
    }

    #[test]
    fn silence_proves_nothing_while_readers_are_behind_or_nobody_polls() {
        let mut behind = signals(ZEROS, [Some(0.0), Some(0.0), Some(5_000.0)], NONE);
        fill(&mut behind);
        assert_eq!(behind.stream.incoming_records, signal([Some(0.0), Some(0.0), None]));
        assert_eq!(behind.stream.incoming_records.freshness, Freshness::Stale);

        let mut unpolled = signals(NONE, NONE, NONE);
        fill(&mut unpolled);
        assert_eq!(unpolled.stream.incoming_records.freshness, Freshness::Absent);
        assert_eq!(unpolled.stream.rejected_records.freshness, Freshness::Absent);
        assert_eq!(unpolled.consumers["c"].invocations.freshness, Freshness::Absent);
    }

    #[test]
    fn a_silent_function_under_traffic_is_not_idle() {
        let traffic = [Some(60_000.0); 3];
        let mut signals = signals(traffic, ZEROS, traffic);
        fill(&mut signals);
        assert_eq!(signals.consumers["c"].invocations.freshness, Freshness::Absent);
        assert_eq!(signals.consumers["c"].errors.freshness, Freshness::Absent);
        assert_eq!(signals.stream.incoming_records, signal(traffic));
    }

    #[test]
    fn throttles_are_zero_only_where_the_table_published() {
        let mut signals = signals(NONE, NONE, NONE);
        fill(&mut signals);
        let table = &signals.tables["t"].table;
        assert_eq!(table.write_throttles, signal([Some(7.0), None, Some(0.0)]));
        assert_eq!(table.read_throttles, signal([Some(0.0), None, Some(0.0)]));
        assert_eq!(table.consumed_read.freshness, Freshness::Absent);
    }
}
