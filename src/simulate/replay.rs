//! A pipeline's own past as a trace: what was offered, and what its functions and tables did with it. Pure.
//!
//! What always holds: what was measured and what is assumed is told apart, each by its name; a period in which nothing
//! was published is played without load, and how many there were is said.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::trace::{Costs, ITEM_BYTES, PER_RECORD_US, Trace, Writes};
use crate::{model::Point, observe::Past, spec::Pipeline};

/// Below this many units a record, a table is written batch by batch.
const BY_BATCH: f64 = 0.5;
/// Largest record of a stream, bytes (Kinesis quotas, "Data payload size").
const LARGEST_RECORD: f64 = 1_048_576.0;
const MICROS: f64 = 1_000.0;

/// The past, ready to be played.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The load.
    pub trace: Trace,
    /// What functions and tables do, as far as it was measured.
    pub costs: Costs,
    /// Periods without a point, of all.
    pub silent: usize,
    /// Records that were rejected and are offered again here.
    pub rejected: f64,
}

/// One period, all that is known of it.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    records: Option<f64>,
    bytes: Option<f64>,
    rejected: f64,
}

impl Replayed {
    /// The past of a pipeline. Rejections count as load, up to `offered_clamp` times what was accepted: producers send
    /// again what is rejected. `None` when nothing came in.
    pub fn of(past: &Past, pipeline: &Pipeline, offered_clamp: f64) -> Option<Self> {
        let period = f64::from(past.period_seconds);
        let count = past.end.duration_since(past.start).as_secs() / i64::from(past.period_seconds);
        let mut rows = vec![Row::default(); usize::try_from(count).ok()?];
        let mut put = |points: &[Point], set: fn(&mut Row, f64)| {
            for point in points {
                let at = point.at.duration_since(past.start).as_secs() / i64::from(past.period_seconds);
                if let Some(row) = usize::try_from(at).ok().and_then(|at| rows.get_mut(at)) {
                    set(row, point.value.max(0.0));
                }
            }
        };
        put(&past.records, |row, value| row.records = Some(value));
        put(&past.bytes, |row, value| row.bytes = Some(value));
        put(&past.rejected, |row, value| row.rejected = value);
        let offered = |row: &Row| match row.records {
            Some(accepted) if accepted > 0.0 => (accepted + row.rejected).min(accepted * offered_clamp),
            _ => row.rejected,
        };
        let first = rows.iter().position(|row| offered(row) > 0.0)?;
        let rows = rows.split_off(first);
        let loads: Vec<f64> = rows.iter().map(offered).collect();
        let accepted: f64 = rows.iter().filter_map(|row| row.records).sum();
        let sized = rows.iter().filter_map(|row| Some((row.records?, row.bytes?)));
        let (records, bytes) = sized.fold((0.0, 0.0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
        let costs = Costs {
            record_bytes: (bytes > 0.0).then(|| (bytes / records).round().clamp(1.0, LARGEST_RECORD) as u32),
            per_record_us: per_record_us(past),
            writes: writes(past, pipeline),
        };
        let start = past.start + jiff::SignedDuration::from_secs(first as i64 * i64::from(past.period_seconds));
        let trace = Trace {
            name: pipeline.stream.name.clone(),
            start,
            peak: loads.iter().copied().fold(0.0, f64::max) / period,
            seconds_per_row: past.period_seconds,
            record_bytes: costs.record_bytes.unwrap_or(ITEM_BYTES),
            rows: loads,
        };
        let silent = rows.iter().filter(|row| row.records.is_none()).count();
        let rejected = trace.rows.iter().sum::<f64>() - accepted;
        Some(Self { trace, costs, silent, rejected })
    }

    /// What was measured, and what is assumed for want of it, in words.
    pub fn words(&self, pipeline: &Pipeline) -> (Vec<String>, Vec<String>) {
        let (mut measured, mut assumed) = (Vec::new(), Vec::new());
        let mut say = |known: bool, text: String| if known { measured.push(text) } else { assumed.push(text) };
        say(self.costs.record_bytes.is_some(), format!("{} B a record", self.trace.record_bytes));
        for consumer in &pipeline.consumers {
            let known = self.costs.per_record_us.get(&consumer.name);
            let rate = 1e6 / f64::from(*known.unwrap_or(&PER_RECORD_US));
            say(known.is_some(), format!("{}: {rate:.0} records/s in a slot", consumer.name));
        }
        for table in &pipeline.tables {
            let known = self.costs.writes.get(&table.name);
            let cost = match known.unwrap_or(&Writes::PerRecord(1)) {
                Writes::PerRecord(units) => format!("{units} write units a record"),
                Writes::PerBatch(units) => format!("{units} write units a batch"),
            };
            say(known.is_some(), format!("{}: {cost}", table.name));
        }
        (measured, assumed)
    }
}

fn by_time(points: &[Point]) -> BTreeMap<Timestamp, f64> {
    points.iter().filter(|point| point.value > 0.0).map(|point| (point.at, point.value)).collect()
}

/// Time of a record in a slot, µs, by consumer: the median of the busier periods. In quiet ones what an invocation
/// takes whatever its size would count as the records'.
fn per_record_us(past: &Past) -> BTreeMap<String, u32> {
    let records = by_time(&past.records);
    let consumers = past.consumers.iter().filter_map(|(name, consumer)| {
        let worked = consumer.duration_ms.iter().filter(|point| point.value > 0.0);
        let seen: Vec<(f64, f64)> = worked.filter_map(|point| Some((*records.get(&point.at)?, point.value))).collect();
        let mean = seen.iter().map(|(records, _)| records).sum::<f64>() / seen.len().max(1) as f64;
        let busy = seen.iter().filter(|(records, _)| *records >= mean);
        let mut each: Vec<f64> = busy.map(|(records, ms)| ms * MICROS / records).collect();
        each.sort_by(f64::total_cmp);
        let middle = each.get(each.len() / 2)?;
        Some((name.clone(), middle.round().clamp(1.0, f64::from(u32::MAX)) as u32))
    });
    consumers.collect()
}

/// What a table is written: whole units a record, or a batch of its first writer when a record costs a fraction of one.
fn writes(past: &Past, pipeline: &Pipeline) -> BTreeMap<String, Writes> {
    let records = by_time(&past.records);
    let tables = pipeline.tables.iter().filter_map(|table| {
        let points = past.writes.get(&table.name)?;
        let writer = pipeline.consumers.iter().find(|consumer| consumer.writes_to.contains(&table.name))?;
        let invocations = by_time(&past.consumers.get(&writer.name)?.invocations);
        let sum = |of: &BTreeMap<Timestamp, f64>| points.iter().filter_map(|point| of.get(&point.at)).sum::<f64>();
        let (units, records, batches) =
            (points.iter().map(|point| point.value).sum::<f64>(), sum(&records), sum(&invocations));
        if records <= 0.0 || batches <= 0.0 {
            return None;
        }
        let by_record = units / records;
        let cost = if by_record >= BY_BATCH || units <= 0.0 {
            Writes::PerRecord(by_record.round() as u64)
        } else {
            Writes::PerBatch((units / batches).round().max(1.0) as u64)
        };
        Some((table.name.clone(), cost))
    });
    tables.collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::{observe::PastConsumer, spec};

    const START: i64 = 1_800_000_000;

    fn points(values: &[Option<f64>]) -> Vec<Point> {
        let at = |minute: i64| Timestamp::from_second(START + minute * 60).unwrap();
        (0..).zip(values).filter_map(|(minute, value)| Some(Point { at: at(minute), value: (*value)? })).collect()
    }

    fn past(pipeline: &Pipeline, records: &[Option<f64>]) -> Past {
        let times = |factor: f64| points(&records.iter().map(|it| it.map(|it| it * factor)).collect::<Vec<_>>());
        let start = Timestamp::from_second(START).unwrap();
        let busy = || PastConsumer { invocations: times(0.01), duration_ms: times(2.0) };
        Past {
            start,
            end: start + SignedDuration::from_mins(records.len() as i64),
            period_seconds: 60,
            records: times(1.0),
            bytes: times(190.0),
            rejected: Vec::new(),
            consumers: pipeline.consumers.iter().map(|it| (it.name.clone(), busy())).collect(),
            writes: pipeline.tables.iter().map(|it| (it.name.clone(), times(0.2))).collect(),
        }
    }

    fn pipeline() -> Pipeline {
        spec::parse(include_str!("../../examples/alleycat.yaml")).unwrap()
    }

    #[test]
    fn load_sizes_and_costs_come_from_the_past_and_silence_is_counted() {
        let pipeline = pipeline();
        let found = past(&pipeline, &[None, None, Some(600.0), None, Some(1_200.0)]);
        let replayed = Replayed::of(&found, &pipeline, 2.2).unwrap();
        assert_eq!(replayed.trace.rows, [600.0, 0.0, 1_200.0], "what lies before the first record is left out");
        assert_eq!((replayed.trace.peak, replayed.trace.record_bytes, replayed.silent), (20.0, 190, 1));
        assert_eq!(replayed.trace.start.as_second(), START + 120);
        assert!(replayed.costs.per_record_us.values().all(|us| *us == 2_000), "{:?}", replayed.costs);
        // A fifth of a unit a record, a hundred records a batch.
        assert!(replayed.costs.writes.values().all(|cost| *cost == Writes::PerBatch(20)), "{:?}", replayed.costs);
        let (measured, assumed) = replayed.words(&pipeline);
        assert!(measured.iter().any(|it| it.contains("500 records/s in a slot")), "{measured:?}");
        assert_eq!(assumed, [""; 0]);
    }

    #[test]
    fn rejections_are_load_within_reason() {
        let pipeline = pipeline();
        let mut found = past(&pipeline, &[Some(1_000.0), Some(1_000.0)]);
        found.rejected = points(&[Some(500.0), Some(9_000.0)]);
        let replayed = Replayed::of(&found, &pipeline, 2.0).unwrap();
        assert_eq!(replayed.trace.rows, [1_500.0, 2_000.0]);
        assert!((replayed.rejected - 1_500.0).abs() < 1e-9);
    }

    #[test]
    fn what_was_not_measured_is_assumed_by_name_and_no_record_is_no_past() {
        let pipeline = pipeline();
        let mut found = past(&pipeline, &[Some(1_000.0)]);
        (found.bytes, found.consumers, found.writes) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let replayed = Replayed::of(&found, &pipeline, 2.0).unwrap();
        let (measured, assumed) = replayed.words(&pipeline);
        assert_eq!(measured, [""; 0]);
        assert_eq!(assumed.len(), 1 + pipeline.consumers.len() + pipeline.tables.len(), "{assumed:?}");
        assert_eq!(Replayed::of(&past(&pipeline, &[None, Some(0.0)]), &pipeline, 2.0), None);
    }
}
