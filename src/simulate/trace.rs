//! A world made in memory around a table of numbers: the spec's own consumers and tables under a load of that shape.

use serde_json::{Value, json};

use crate::{spec::Pipeline, twin::World};

/// Time of one record in a function, µs: 250 records a second in a slot, the rate of the published benchmark.
const PER_RECORD_US: u32 = 4_000;
/// Item written for each record, bytes: one write unit.
const ITEM_BYTES: u32 = 512;
/// Records that share one simulated request.
const RECORDS_PER_REQUEST: u32 = 100;

/// A load's shape, and its scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// What the world is called.
    pub name: String,
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
        Ok(Self { name: name.to_owned(), rows, seconds_per_row: step as u32, peak, record_bytes })
    }

    /// Length in seconds.
    pub fn seconds(&self) -> u64 {
        self.rows.len() as u64 * u64::from(self.seconds_per_row)
    }
}

/// The world of a trace. Each function takes 4 ms a record (250 a second in a slot); each record writes one item of one
/// unit into every table its consumer writes to. Answers the world, and these assumptions in words.
///
/// # Errors
/// Why it is no world: a name, or too many rows.
pub fn trace_world(trace: &Trace, pipeline: &Pipeline) -> Result<(World, String), String> {
    let functions: serde_json::Map<String, Value> = pipeline
        .consumers
        .iter()
        .map(|consumer| {
            let tables: Vec<Value> = consumer
                .writes_to
                .iter()
                .map(|table| {
                    json!({"table": table, "per": "record", "latencyMs": 0, "recordsPerRequest": RECORDS_PER_REQUEST,
                           "operations": [{"kind": "put", "key": "item", "keyPerRecord": true, "itemBytes": ITEM_BYTES}]})
                })
                .collect();
            let aliases: Vec<&String> = consumer.alias.iter().collect();
            let model = json!({"timeoutSeconds": 300, "memoryMb": 512, "perRecordUs": PER_RECORD_US, "tables": tables,
                               "aliases": aliases});
            (consumer.function.clone(), model)
        })
        .collect();
    let mut world = json!({
        "apiVersion": "alleycat.dev/v1alpha1", "kind": "World", "name": trace.name, "start": "2026-03-02T00:00:00Z",
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
        let (world, said) = trace_world(&trace, &pipeline).unwrap();
        for consumer in &pipeline.consumers {
            let tables: Vec<&str> =
                world.functions[&consumer.function].tables.iter().map(|access| access.table.as_str()).collect();
            assert_eq!(tables, consumer.writes_to);
        }
        assert!(said.contains("250 records/s") && said.contains("2 rows of 60 s"), "{said}");
    }
}
