//! A world made in memory around a table of numbers: the spec's own consumers and tables under a load of that shape.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{spec::Pipeline, twin::World};

/// Time of one record in a function, µs: 250 records a second in a slot, the rate of the published benchmark.
pub(super) const PER_RECORD_US: u32 = 4_000;
/// Item written for each record, bytes: one write unit.
pub(super) const ITEM_BYTES: u32 = 512;
/// Bytes of one write unit (DynamoDB developer guide, "Read/write capacity").
const UNIT_BYTES: u64 = 1_024;
/// Units of the largest item, 400 KB (DynamoDB quotas).
const LARGEST_ITEM_UNITS: u64 = 400;
/// When the world of a CSV begins: 2026-03-02, a Monday, 00:00 UTC.
const START_SECOND: i64 = 1_772_409_600;
/// Records that share one simulated request.
const RECORDS_PER_REQUEST: u32 = 100;

/// A load's shape, and its scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// What the world is called.
    pub name: String,
    /// When its first row begins.
    pub start: Timestamp,
    /// One number a row, none negative.
    pub rows: Vec<f64>,
    /// Seconds from one row to the next.
    pub seconds_per_row: u32,
    /// Records a second at the greatest row.
    pub peak: f64,
    /// Bytes of a record with its partition key.
    pub record_bytes: u32,
}

impl Trace {
    /// Reads a CSV text with a header line. Its first column is the time in seconds, from which the step is taken;
    /// `column` (absent: the last) is the load.
    ///
    /// # Errors
    /// In words: which column or row is wrong, and how.
    pub fn read(name: &str, text: &str, column: Option<&str>, peak: f64, record_bytes: u32) -> Result<Self, String> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headers = reader.headers().map_err(|error| error.to_string())?.clone();
        let index = match column {
            None => headers.len().checked_sub(1).ok_or("the file has no header line")?,
            Some(name) => headers.iter().position(|header| header == name).ok_or_else(|| {
                format!("no column `{name}`; there are {}", headers.iter().collect::<Vec<_>>().join(", "))
            })?,
        };
        if headers.len() < 2 {
            return Err("a trace has at least two columns: the time in seconds and the load".to_owned());
        }
        let (mut times, mut rows) = (Vec::new(), Vec::new());
        for (line, record) in (2..).zip(reader.records()) {
            let record = record.map_err(|error| error.to_string())?;
            let cell = |index: usize| {
                let text = record.get(index).unwrap_or_default().trim();
                let number: Result<f64, _> = if text.is_empty() { Ok(0.0) } else { text.parse() };
                number
                    .ok()
                    .filter(|number| number.is_finite() && *number >= 0.0)
                    .ok_or_else(|| format!("line {line}: `{text}` is not a number from 0 up"))
            };
            times.push(cell(0)?);
            rows.push(cell(index)?);
        }
        let [first, second, ..] = times[..] else { return Err("a trace has at least two rows".to_owned()) };
        let step = (second - first).round();
        if !(1.0..=86_400.0).contains(&step) {
            return Err(format!("the first column steps by {step} s from line 2 to 3: 1 to 86400 s are needed"));
        }
        let start = Timestamp::from_second(START_SECOND).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), start, rows, seconds_per_row: step as u32, peak, record_bytes })
    }

    /// Length in seconds.
    pub fn seconds(&self) -> u64 {
        self.rows.len() as u64 * u64::from(self.seconds_per_row)
    }
}

/// What functions and tables do with a record, as far as it is known; the rest is assumed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Costs {
    /// Bytes of a record with its partition key.
    pub record_bytes: Option<u32>,
    /// Time of one record in a slot, µs, by consumer.
    pub per_record_us: BTreeMap<String, u32>,
    /// What is written into a table, by its first consumer, by the table's name.
    pub writes: BTreeMap<String, Writes>,
}

/// Write units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// For each record.
    PerRecord(u64),
    /// For each batch.
    PerBatch(u64),
}

/// The world of a trace. What `costs` does not say is assumed: each function takes 4 ms a record (250 a second in a
/// slot); each record writes one item of one unit into every table its consumer writes to. Answers the world, and the
/// assumptions of a trace without costs in words.
///
/// # Errors
/// Why it is no world: a name, or too many rows.
pub fn trace_world(trace: &Trace, pipeline: &Pipeline, costs: &Costs) -> Result<(World, String), String> {
    let functions: serde_json::Map<String, Value> = pipeline
        .consumers
        .iter()
        .map(|consumer| {
            let first = |table: &str| {
                let writer = pipeline.consumers.iter().find(|it| it.writes_to.iter().any(|name| name == table));
                writer.is_some_and(|writer| writer.name == consumer.name)
            };
            let written = consumer.writes_to.iter().filter_map(|table| match costs.writes.get(table) {
                None => Some(access(table, "record", &[u64::from(ITEM_BYTES)])),
                Some(Writes::PerRecord(0)) => None,
                Some(_) if !first(table) => None,
                Some(Writes::PerRecord(units)) => Some(access(table, "record", &items(*units))),
                Some(Writes::PerBatch(units)) => Some(access(table, "group", &items(*units))),
            });
            let tables: Vec<Value> = written.collect();
            let per_record_us = costs.per_record_us.get(&consumer.name).unwrap_or(&PER_RECORD_US);
            let aliases: Vec<&String> = consumer.alias.iter().collect();
            let model = json!({"timeoutSeconds": 300, "memoryMb": 512, "perRecordUs": per_record_us, "tables": tables,
                               "aliases": aliases});
            (consumer.function.clone(), model)
        })
        .collect();
    let mut world = json!({
        "apiVersion": "alleycat.dev/v1alpha1", "kind": "World", "name": trace.name, "start": trace.start.to_string(),
        "stepMs": 1000, "accountConcurrency": 10_000, "shardLimit": 10_000, "functions": functions,
        "producers": [{"kind": "trace", "stream": pipeline.stream.name, "recordBytes": trace.record_bytes,
                       "file": "rows", "secondsPerRow": trace.seconds_per_row,
                       "peakRecordsPerSecond": trace.peak}]
    });
    if let (Some(fields), Some(region)) = (world.as_object_mut(), &pipeline.region) {
        fields.insert("region".to_owned(), json!(region));
    }
    if let (Some(fields), Some(account)) = (world.as_object_mut(), pipeline.expected_account_ids.first()) {
        fields.insert("accountId".to_owned(), json!(account));
    }
    // As a file: a document of a hundred thousand rows is larger than a world may be.
    let rows = trace.rows.iter().fold("load\n".to_owned(), |text, row| text + &format!("{row}\n"));
    let world = World::load(&world.to_string(), |_| Ok(rows.clone()))
        .map_err(|problems| problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("; "))?;
    let assumptions = format!(
        "assumed: {} B a record, 250 records/s in a slot, 1 write unit a record for each table a consumer writes to, \
         many partition keys, peak {} records/s, {} rows of {} s",
        trace.record_bytes,
        trace.peak,
        trace.rows.len(),
        trace.seconds_per_row
    );
    Ok((world, assumptions))
}

/// Requests that write items of these sizes, each with a key of its own.
fn access(table: &str, per: &str, items: &[u64]) -> Value {
    let put = |bytes: &u64| json!({"kind": "put", "key": "item", "keyPerRecord": true, "itemBytes": bytes});
    let operations: Vec<Value> = items.iter().map(put).collect();
    json!({"table": table, "per": per, "latencyMs": 0, "recordsPerRequest": RECORDS_PER_REQUEST,
           "operations": operations})
}

/// The sizes of the fewest items that take so many units, bytes.
fn items(units: u64) -> Vec<u64> {
    let whole = (units / LARGEST_ITEM_UNITS) as usize;
    let rest = units % LARGEST_ITEM_UNITS;
    let rest = (rest > 0).then_some(rest);
    std::iter::repeat_n(LARGEST_ITEM_UNITS, whole).chain(rest).map(|units| units * UNIT_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    fn read(text: &str, column: Option<&str>) -> Result<Trace, String> {
        Trace::read("load", text, column, 100.0, 512)
    }

    #[test]
    fn the_step_comes_from_the_first_column_and_the_load_from_the_last_or_the_named_one() {
        let text = "t_s,a,b\n0,1,2\n300,3,\n600,5,6\n";
        let trace = read(text, None).unwrap();
        assert_eq!((trace.rows.clone(), trace.seconds_per_row, trace.seconds()), (vec![2.0, 0.0, 6.0], 300, 900));
        assert_eq!(read(text, Some("a")).unwrap().rows, [1.0, 3.0, 5.0]);
    }

    #[test]
    fn a_wrong_trace_is_refused_with_its_place() {
        assert!(read("t_s,a\n0,1\n60,x\n", None).unwrap_err().contains("line 3: `x`"));
        assert!(read("t_s,a\n0,1\n60,-1\n", None).unwrap_err().contains("line 3"));
        assert!(read("t_s,a\n0,1\n", None).unwrap_err().contains("two rows"));
        assert!(read("a\n0\n1\n", None).unwrap_err().contains("two columns"));
        assert!(read("t_s,a\n0,1\n0,1\n", None).unwrap_err().contains("steps by 0 s"));
        assert!(read("t_s,a\n0,1\n60,1\n", Some("b")).unwrap_err().contains("t_s, a"));
    }

    #[test]
    fn the_world_of_a_trace_has_the_specs_functions_and_writes_to_its_tables() {
        let pipeline = spec::parse(include_str!("../../examples/alleycat.yaml")).unwrap();
        let trace = read("t_s,a\n0,1\n60,2\n", None).unwrap();
        let (world, said) = trace_world(&trace, &pipeline, &Costs::default()).unwrap();
        for consumer in &pipeline.consumers {
            let tables: Vec<&str> =
                world.functions[&consumer.function].tables.iter().map(|access| access.table.as_str()).collect();
            assert_eq!(tables, consumer.writes_to);
        }
        assert!(said.contains("250 records/s") && said.contains("2 rows of 60 s"), "{said}");
    }
}
