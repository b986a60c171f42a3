//! The world file (`kind: World`): what surrounds the pipeline. Producers, functions with what they do to
//! tables, readers that are not ours, and how long AWS takes.
//!
//! Pure data. A parsed world is consistent: the checks of [`World::parse`] have passed.

mod faults;
mod function;
mod incident;
mod schema;
mod shapes;
mod timings;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Assumptions;
use crate::document::{Problem, problem, yaml};

pub use faults::{
    Act, ExistingIndex, ExistingMapping, ExistingStream, ExistingTable, FaultEffect, FaultRule, KeyState, MetricOutage,
    StreamCall, StreamFailure,
};
pub use function::{FunctionModel, Operation, OperationKind, Per, Phase, TableAccess};
pub use incident::{Cause, Incident, IncidentCause};
pub use schema::schema;
pub use timings::Timings;

/// The embedded Alleycat world.
const ALLEYCAT: &str = include_str!("../../../examples/worlds/alleycat.yaml");

/// Everything around the pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct World {
    /// `alleycat.dev/v1alpha1`.
    pub api_version: String,
    /// `World`.
    pub kind: String,
    /// Name, for messages.
    pub name: String,
    /// The simulated account, twelve digits.
    #[serde(default = "default_account")]
    pub account_id: String,
    /// The simulated region.
    #[serde(default = "default_region")]
    pub region: String,
    /// The moment the simulation begins.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub start: Timestamp,
    /// Lambda functions that exist from the start, by name.
    #[serde(default)]
    pub functions: BTreeMap<String, FunctionModel>,
    /// Who puts records.
    #[serde(default)]
    pub producers: Vec<Producer>,
    /// Readers that share a stream and are not event source mappings.
    #[serde(default)]
    pub external_consumers: Vec<ExternalReader>,
    /// Control-plane timings.
    #[serde(default)]
    pub timings: Timings,
    /// What the control plane assumes, and the account's default quotas.
    #[serde(default)]
    pub assumptions: Assumptions,
    /// The account's concurrent executions. Lambda quota: 1,000 by default.
    #[serde(default = "default_concurrency")]
    pub account_concurrency: u32,
    /// The account's shard limit. Kinesis quota: 20,000 in the largest regions, 1,000 or 6,000 elsewhere.
    #[serde(default = "default_shard_limit")]
    pub shard_limit: u32,
    /// Partition keys fall on shards at random (as MD5 does) instead of exactly in proportion.
    #[serde(default)]
    pub random_keys: bool,
    /// Streams that exist from the start and are somebody else's.
    #[serde(default)]
    pub streams: Vec<ExistingStream>,
    /// Tables that exist from the start and are somebody else's.
    #[serde(default)]
    pub tables: Vec<ExistingTable>,
    /// Event source mappings that exist from the start and are somebody else's.
    #[serde(default)]
    pub mappings: Vec<ExistingMapping>,
    /// What goes wrong with requests.
    #[serde(default)]
    pub faults: Vec<FaultRule>,
    /// Calls that others make while the world runs.
    #[serde(default)]
    pub others: Vec<Act>,
    /// Times in which CloudWatch is late or silent.
    #[serde(default)]
    pub metric_outages: Vec<MetricOutage>,
    /// Calls on a stream that fail for reasons of their own, not for a limit.
    #[serde(default)]
    pub stream_failures: Vec<StreamFailure>,
    /// KMS keys by id, ARN or alias, with what they answer. `alias/aws/kinesis` is always there.
    #[serde(default)]
    pub kms_keys: BTreeMap<String, KeyState>,
    /// Milliseconds between two emissions of a producer, 100 or 1,000: records inside one step are not told
    /// apart. A step of a second is for long simulations.
    #[serde(default = "default_step")]
    pub step_ms: u32,
    /// The incident that this world shows, for those who check a diagnosis.
    #[serde(default)]
    pub incident: Option<Incident>,
}

/// A source of records. It never retries: a record the stream rejects is lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "kind", deny_unknown_fields)]
pub enum Producer {
    /// Racers who send one message a second, in races back to back.
    #[serde(rename_all = "camelCase")]
    Racers {
        /// Stream name.
        stream: String,
        /// Number of racers.
        #[schemars(range(min = 0, max = 100_000))]
        racers: u32,
        /// Seconds of one race.
        #[serde(default = "default_race")]
        #[schemars(range(min = 1, max = 86_400))]
        race_seconds: u32,
        /// Seconds from the world's start to the first race.
        #[serde(default)]
        start_seconds: u32,
        /// Number of races.
        races: u32,
        /// Seconds between races.
        #[serde(default)]
        gap_seconds: u32,
        /// Bytes of a record with its partition key.
        #[schemars(range(min = 1, max = 1_048_576))]
        record_bytes: u32,
        /// Each message is late by a random time below this; 0 keeps every second equally full.
        #[serde(default)]
        #[schemars(range(min = 0, max = 999))]
        jitter_ms: u32,
    },
    /// A given rate over time.
    #[serde(rename_all = "camelCase")]
    Rate {
        /// Stream name.
        stream: String,
        /// Bytes of a record with its partition key.
        #[schemars(range(min = 1, max = 1_048_576))]
        record_bytes: u32,
        /// Rates from given moments on, in order.
        points: Vec<RatePoint>,
        /// Between two points the rate moves in a straight line instead of a step.
        #[serde(default)]
        ramp: bool,
        /// Share of the records that carry one and the same partition key, 0–1.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 1.0))]
        hot_key_share: f64,
        /// Each step's rate is up to this share above or below at random, 0–1.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 1.0))]
        jitter: f64,
    },
    /// The shape of a table of numbers, scaled so that its greatest row is the peak.
    #[serde(rename_all = "camelCase")]
    Trace {
        /// Stream name.
        stream: String,
        /// Bytes of a record with its partition key.
        #[schemars(range(min = 1, max = 1_048_576))]
        record_bytes: u32,
        /// CSV file with a header line, relative to the world file; instead of `rows`.
        #[serde(default)]
        file: Option<String>,
        /// Column of the file; absent: its last.
        #[serde(default)]
        column: Option<String>,
        /// The numbers themselves, none negative; instead of `file`.
        #[serde(default)]
        rows: Vec<f64>,
        /// Seconds from one row to the next.
        #[schemars(range(min = 1, max = 86_400))]
        seconds_per_row: u32,
        /// Seconds from the world's start to the first row.
        #[serde(default)]
        start_seconds: u32,
        /// Rows of the file to leave out at its beginning.
        #[serde(default)]
        skip_rows: u32,
        /// Rows of the file to use after them; absent: all.
        #[serde(default)]
        take_rows: Option<u32>,
        /// Between two rows the rate moves in a straight line instead of a step.
        #[serde(default)]
        ramp: bool,
        /// Records a second at the greatest row that is used.
        #[schemars(range(min = 0.0, max = 1_000_000.0))]
        peak_records_per_second: f64,
    },
    /// A rate that swings like a day: lowest first, highest in the middle of each period.
    #[serde(rename_all = "camelCase")]
    Wave {
        /// Stream name.
        stream: String,
        /// Bytes of a record with its partition key.
        #[schemars(range(min = 1, max = 1_048_576))]
        record_bytes: u32,
        /// Lowest records a second.
        #[schemars(range(min = 0.0, max = 1_000_000.0))]
        low: f64,
        /// Highest records a second.
        #[schemars(range(min = 0.0, max = 1_000_000.0))]
        high: f64,
        /// Seconds of one period.
        #[schemars(range(min = 60, max = 604_800))]
        period_seconds: u32,
        /// Seconds from the world's start to the first period.
        #[serde(default)]
        start_seconds: u32,
        /// How many periods, 1 to 1,000.
        #[schemars(range(min = 1, max = 1_000))]
        periods: u32,
    },
}

/// A rate from a moment on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RatePoint {
    /// Seconds after the world's start.
    pub at_seconds: u32,
    /// Records a second.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub records_per_second: f64,
}

/// A reader that shares the stream's GetRecords limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalReader {
    /// Stream name.
    pub stream: String,
    /// Name, for messages.
    pub name: String,
    /// First second in which it reads, after the world's start. One that comes later begins at the newest record.
    #[serde(default)]
    pub from_seconds: u32,
    /// First second in which it reads no more; absent: it never stops.
    #[serde(default)]
    pub to_seconds: Option<u32>,
}

fn default_account() -> String {
    "123456789012".to_owned()
}

fn default_region() -> String {
    "us-east-2".to_owned()
}

fn default_concurrency() -> u32 {
    1_000
}

fn default_shard_limit() -> u32 {
    1_000
}

fn default_step() -> u32 {
    100
}

fn default_race() -> u32 {
    300
}

impl World {
    /// Reads and checks a world file that names no other file.
    ///
    /// # Errors
    /// Every problem of the document, in its order; never an empty list.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        Self::load(text, |file| Err(format!("`{file}` cannot be read here")))
    }

    /// Reads and checks a world file; `read` gives the text of a file that it names, relative to it.
    ///
    /// # Errors
    /// Every problem of the document, in its order; never an empty list.
    pub fn load(text: &str, read: impl Fn(&str) -> Result<String, String>) -> Result<Self, Vec<Problem>> {
        let node = yaml::read(text).map_err(|problem| vec![problem])?;
        let mut checker = schema::Checker::new();
        checker.document(&node);
        if checker.problems.is_empty() {
            match serde_json::from_value::<Self>(schema::json_of(&node)) {
                Ok(mut world) => {
                    world.resolve(&mut checker, read);
                    world.check(&mut checker);
                    if checker.problems.is_empty() {
                        return Ok(world);
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    checker.problems.push(Problem::whole(problem::MALFORMED, &text, "see docs/worlds.md"));
                }
            }
        }
        checker.problems.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        Err(checker.problems)
    }

    /// The embedded Alleycat world: 1,000 racers for two hours from minute 1, then quiet.
    ///
    /// # Panics
    /// Never: a test parses the embedded file.
    #[allow(clippy::expect_used, reason = "the file is compiled in, and a test parses it")]
    pub fn alleycat() -> Self {
        Self::parse(ALLEYCAT).expect("the embedded world is valid")
    }

    /// The number of racers of all producers; sizes items that hold a map over all racers.
    pub fn racers(&self) -> u32 {
        let racers = |producer: &Producer| if let Producer::Racers { racers, .. } = producer { *racers } else { 0 };
        self.producers.iter().map(racers).fold(0, u32::saturating_add)
    }

    /// The same world with another number of racers in every racing producer.
    #[must_use]
    pub fn with_racers(mut self, number: u32) -> Self {
        for producer in &mut self.producers {
            if let Producer::Racers { racers, .. } = producer {
                *racers = number;
            }
        }
        self
    }

    /// The same world with messages late by a random time below `milliseconds` (at most 999).
    #[must_use]
    pub fn with_jitter(mut self, milliseconds: u32) -> Self {
        for producer in &mut self.producers {
            if let Producer::Racers { jitter_ms, .. } = producer {
                *jitter_ms = milliseconds.min(999);
            }
        }
        self
    }

    /// The same world with this many races from each racing producer.
    #[must_use]
    pub fn with_races(mut self, number: u32) -> Self {
        for producer in &mut self.producers {
            if let Producer::Racers { races, .. } = producer {
                *races = number;
            }
        }
        self
    }

    /// The same world with races for this long (rounded down to whole races).
    #[must_use]
    pub fn with_race_time(mut self, time: SignedDuration) -> Self {
        for producer in &mut self.producers {
            if let Producer::Racers { races, race_seconds, gap_seconds, .. } = producer {
                let one = i64::from(*race_seconds) + i64::from(*gap_seconds);
                *races = u32::try_from(time.as_secs() / one.max(1)).unwrap_or(0);
            }
        }
        self
    }

    /// The same world with another timeout for every function.
    #[must_use]
    pub fn with_timeout(mut self, seconds: u32) -> Self {
        for function in self.functions.values_mut() {
            function.timeout_seconds = seconds;
        }
        self
    }

    /// Puts the rows of the files it names in their place.
    fn resolve(&mut self, checker: &mut schema::Checker, read: impl Fn(&str) -> Result<String, String>) {
        for (index, producer) in self.producers.iter_mut().enumerate() {
            let Producer::Trace { file, column, rows, skip_rows, take_rows, .. } = producer else { continue };
            let path = format!("producers[{index}]");
            let Some(name) = file.take() else { continue };
            if !rows.is_empty() {
                let help = "leave one of them out";
                checker.report_path(&path, problem::CONTRADICTION, "`file` and `rows` together", help);
            }
            match read(&name).and_then(|text| shapes::column(&text, column.as_deref())) {
                Ok(found) => {
                    let take = take_rows.take().unwrap_or(u32::MAX) as usize;
                    *rows = found.into_iter().skip(std::mem::take(skip_rows) as usize).take(take).collect();
                }
                Err(what) => {
                    let help = "a CSV file with a header line, beside the world file";
                    checker.report_path(&format!("{path}.file"), problem::MALFORMED, &what, help);
                }
            }
        }
    }

    /// What the schema cannot say.
    fn check(&self, checker: &mut schema::Checker) {
        let help = "write `apiVersion: alleycat.dev/v1alpha1` and `kind: World`";
        if self.api_version != "alleycat.dev/v1alpha1" {
            checker.report_path("apiVersion", problem::WRONG_KIND, "not the version of a world file", help);
        }
        if self.kind != "World" {
            checker.report_path("kind", problem::WRONG_KIND, "this is not a world file, which has kind World", help);
        }
        if self.account_id.len() != 12 || !self.account_id.bytes().all(|byte| byte.is_ascii_digit()) {
            let what = "an account id is twelve digits";
            checker.report_path("accountId", problem::MALFORMED, what, "for example \"123456789012\"");
        }
        if ![100, 1_000].contains(&self.step_ms) {
            checker.report_path(
                "stepMs",
                problem::OUT_OF_RANGE,
                "a step is 100 or 1000 milliseconds",
                "write 100 or 1000",
            );
        }
        if let Some(incident) = &self.incident
            && let Err(what) = incident.world_without(self)
        {
            let help = "a JSON merge patch of this world: `null` takes a field away";
            checker.report_path("incident.without", problem::MALFORMED, &what, help);
        }
        for (index, producer) in self.producers.iter().enumerate() {
            if let Some((field, what, help)) = producer.trouble() {
                checker.report_path(&format!("producers[{index}].{field}"), problem::MALFORMED, what, help);
            }
        }
        for (name, rules) in [
            ("faults", self.faults.iter().map(|rule| &rule.operation).collect::<Vec<_>>()),
            ("others", self.others.iter().map(|act| &act.operation).collect()),
        ] {
            for (index, operation) in rules.into_iter().enumerate() {
                if operation != "*" && !operation.contains(':') {
                    let help = "for example `kinesis:UpdateShardCount`";
                    let path = format!("{name}[{index}].operation");
                    checker.report_path(&path, problem::MALFORMED, "an operation is `service:Operation`", help);
                }
            }
        }
    }
}

impl Producer {
    /// (field, what is wrong, what would be right) beyond the schema.
    fn trouble(&self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Self::Racers { .. } => None,
            Self::Rate { points, .. } => (!points.is_sorted_by_key(|point| point.at_seconds)).then_some((
                "points",
                "the points are not in order",
                "each `atSeconds` is at least the one before",
            )),
            Self::Trace { rows, .. } if rows.is_empty() || rows.len() > shapes::MOST_ROWS => {
                Some(("rows", "too few or too many rows", "1 to 100,000 rows, in `rows` or in `file`"))
            }
            Self::Trace { rows, .. } => (!rows.iter().all(|row| row.is_finite() && *row >= 0.0)).then_some((
                "rows",
                "a row is negative or no number",
                "numbers from 0 up",
            )),
            Self::Wave { low, high, .. } => (low > high).then_some(("low", "`low` is above `high`", "swap them")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_world_is_the_one_of_the_walk_through() {
        let world = World::alleycat();
        assert_eq!(world.racers(), 1_000);
        let names: Vec<&str> = world.functions.keys().map(String::as_str).collect();
        assert_eq!(names, ["alleycat-FinalResultsFunction", "alleycat-TumblingWindowFunction"]);
        assert_eq!(world.clone().with_race_time(SignedDuration::from_hours(2)), world, "two hours of races");
        let again: World = serde_json::from_str(&serde_json::to_string(&world).unwrap()).unwrap();
        assert_eq!(again, world);
    }

    #[test]
    fn a_wrong_world_is_refused_with_what_is_wrong() {
        let wrong = |from: &str, to: &str| {
            let problems = World::parse(&ALLEYCAT.replacen(from, to, 1)).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].span.is_some() && problems[0].help.is_some(), "{problems:?}");
            problems[0].message.clone()
        };
        assert!(wrong("shardLimit", "shardLimits").contains("shardLimits"));
        assert!(wrong("kind: World", "kind: Pipeline").contains("kind World"));
        assert!(wrong("timeoutSeconds: 15", "timeoutSeconds: 901").contains("timeoutSeconds: 901 is out of range"));
        assert!(wrong("jitterMs: 0", "jitterMs: 1000").contains("producers[0].jitterMs"));
        assert!(wrong("\"123456789012\"", "\"12\"").contains("twelve digits"));
        assert!(wrong("createStream: 20", "createStream: -1").contains("timings.createStream"));
    }
}
