//! One item of `spec.consumers`. Ranges: Lambda developer guide, "Kinesis parameters for event source mappings".

use super::{Names, Pin, stream, unique};
use crate::model::{BatchSize, Bounds, ParallelizationFactor};
use crate::spec::pipeline::{ConsumerSpec, Delivery, StartingPosition};
use crate::spec::problem::{self, nearest, quoted};
use crate::spec::reader::{Field, Object, Reader};
use crate::spec::text::{self, FunctionReference};
use crate::spec::yaml::Value;

const FIELDS: [&str; 18] = [
    "name",
    "function",
    "delivery",
    "parallelizationFactor",
    "batchSize",
    "maximumBatchingWindow",
    "startingPosition",
    "startingPositionTimestamp",
    "tumblingWindow",
    "maximumRetryAttempts",
    "maximumRecordAge",
    "bisectBatchOnFunctionError",
    "functionResponseTypes",
    "onFailure",
    "filterCriteria",
    "idempotent",
    "concurrencySafe",
    "writesTo",
];

/// Filters a mapping may have: 5, on request 10 (Lambda developer guide, "Lambda event filtering").
const MOST_FILTERS: usize = 10;
/// Longest filter pattern (Lambda API reference, Filter).
const LONGEST_FILTER: usize = 4_096;

pub(super) fn read(
    reader: &mut Reader,
    field: &Field<'_>,
    stream: Option<&Field<'_>>,
    names: &mut Names<'_>,
) -> Option<ConsumerSpec> {
    let object = reader.object(field, &FIELDS)?;
    let name = name(reader, &object, names);
    let function = function(reader, &object, names);
    let delivery = delivery(reader, &object);
    let factors =
        Bounds { min: ParallelizationFactor(1), max: ParallelizationFactor(10), initial: ParallelizationFactor(1) };
    let factors = reader.or(&object, "parallelizationFactor", factors, |reader, field| {
        reader.bounds(field, |reader, field| reader.integer(field, 1..=10).map(ParallelizationFactor))
    });
    let batch_size = reader.or(&object, "batchSize", Bounds::pinned(BatchSize(100)), |reader, field| {
        reader.bounds(field, |reader, field| reader.integer(field, 1..=10_000).map(BatchSize))
    });
    let batching_window = reader.or(&object, "maximumBatchingWindow", 0, |r, f| seconds(r, f, 300));
    let starting_position = starting_position(reader, &object);
    let tumbling_window = reader.or(&object, "tumblingWindow", 0, |r, f| seconds(r, f, 900));
    let retries = reader.or(&object, "maximumRetryAttempts", -1, |r, f| r.integer(f, -1..=10_000));
    let record_age = reader.or(&object, "maximumRecordAge", -1, maximum_record_age);
    let bisect = reader.or(&object, "bisectBatchOnFunctionError", false, Reader::boolean);
    let response_types = reader.or(&object, "functionResponseTypes", false, response_types);
    let on_failure = reader.optional(&object, "onFailure", |r, f| r.checked(f, text::on_failure));
    let filters = reader.or(&object, "filterCriteria", Vec::new(), filters);
    let idempotent = reader.or(&object, "idempotent", false, Reader::boolean);
    readable_twice(reader, &object, delivery, idempotent);
    let concurrency_safe = reader.or(&object, "concurrencySafe", true, Reader::boolean);
    if concurrency_safe == Some(false) {
        one_at_a_time(reader, &object, stream, factors.as_ref());
    }
    let writes_to = reader.or(&object, "writesTo", Vec::new(), |r, f| writes_to(r, f, names));
    let function = function?;
    Some(ConsumerSpec {
        name: name?,
        function: function.name,
        alias: function.alias,
        delivery: delivery?,
        parallelization_factor: factors?,
        batch_size: batch_size?,
        maximum_batching_window_seconds: batching_window?,
        starting_position: starting_position?,
        tumbling_window_seconds: tumbling_window?,
        maximum_retry_attempts: retries?,
        maximum_record_age_seconds: record_age?,
        bisect_batch_on_function_error: bisect?,
        report_batch_item_failures: response_types?,
        on_failure: on_failure?,
        filter_criteria: filters?,
        idempotent: idempotent?,
        concurrency_safe: concurrency_safe?,
        writes_to: writes_to?,
    })
}

fn name(reader: &mut Reader, object: &Object<'_>, names: &mut Names<'_>) -> Option<String> {
    let field = reader.require(object, "name", "any name; plans and findings use it")?;
    let name = reader.checked(&field, |text| text::name(text, "-_.", 1, 128))?;
    unique(reader, &mut names.consumers, &field, &name, "every consumer has its own name");
    Some(name)
}

fn function(reader: &mut Reader, object: &Object<'_>, names: &mut Names<'_>) -> Option<FunctionReference> {
    let field = reader.require(object, "function", "the Lambda function that reads the stream, by name or ARN")?;
    let mut parsed = None;
    reader.checked(&field, |text| text::function(text).map(|function| parsed = Some(function)))?;
    let function = parsed?;
    let help = "one mapping a function: metrics are kept by function, so two mappings could not be told apart";
    unique(reader, &mut names.functions, &field, &function.name, help);
    names.pins.push(Pin {
        account: function.account.clone(),
        region: function.region.clone(),
        place: field.place(),
        path: field.path.clone(),
    });
    Some(function)
}

fn delivery(reader: &mut Reader, object: &Object<'_>) -> Option<Delivery> {
    let words = [("auto", Delivery::Auto), ("shared", Delivery::Shared), ("enhancedFanOut", Delivery::EnhancedFanOut)];
    reader.or(object, "delivery", Delivery::Auto, |reader, field| reader.word(field, &words))
}

/// A move to fan-out, and the move back one day, read some records again.
fn readable_twice(reader: &mut Reader, object: &Object<'_>, delivery: Option<Delivery>, idempotent: Option<bool>) {
    if delivery == Some(Delivery::EnhancedFanOut)
        && idempotent == Some(false)
        && let Some(field) = object.get("delivery")
    {
        let what = "the mapping's position cannot be carried over to fan-out, so some records are read a second time";
        let help = "set `idempotent: true` if that does no harm to the function, or write `delivery: shared`";
        reader.report(&field, problem::CONTRADICTION, what, help);
    }
}

fn seconds(reader: &mut Reader, field: &Field<'_>, most: i64) -> Option<u32> {
    u32::try_from(reader.duration(field, 0..=most)?.as_secs()).ok()
}

/// −1 (never), or 60 s to 7 d: AWS refuses what lies between.
fn maximum_record_age(reader: &mut Reader, field: &Field<'_>) -> Option<i32> {
    if matches!(field.node.value, Value::Integer(-1)) {
        return Some(-1);
    }
    let seconds = i32::try_from(reader.duration(field, 0..=604_800)?.as_secs()).ok()?;
    if seconds < 60 {
        let what = "Lambda does not accept a record age below one minute";
        reader.report(field, problem::OUT_OF_RANGE, what, "`60s` to `7d`, or -1: as long as the stream keeps it");
        return None;
    }
    Some(seconds)
}

fn starting_position(reader: &mut Reader, object: &Object<'_>) -> Option<StartingPosition> {
    const AT_TIMESTAMP: &str = "AT_TIMESTAMP";
    let moment = reader.optional(object, "startingPositionTimestamp", |reader, field| {
        let mut moment = None;
        reader.checked(field, |text| match text.parse::<jiff::Timestamp>() {
            Ok(parsed) => {
                moment = Some(parsed);
                Ok(())
            }
            Err(_) => Err("a moment in UTC such as \"2026-01-31T12:00:00Z\"".to_owned()),
        })?;
        moment
    });
    let words = [("TRIM_HORIZON", 0), ("LATEST", 1), (AT_TIMESTAMP, 2)];
    let word = reader.or(object, "startingPosition", 0, |reader, field| reader.word(field, &words))?;
    let given = object.get("startingPositionTimestamp");
    match (word, given) {
        (2, None) => {
            if let Some(field) = object.get("startingPosition") {
                let help = "add `startingPositionTimestamp: \"2026-01-31T12:00:00Z\"`";
                reader.report(&field, problem::CONTRADICTION, "AT_TIMESTAMP needs a timestamp", help);
            }
            None
        }
        (2, Some(_)) => moment?.map(StartingPosition::AtTimestamp),
        (_, Some(field)) => {
            let help = format!("write `startingPosition: {AT_TIMESTAMP}`, or leave the timestamp out");
            reader.report(&field, problem::CONTRADICTION, "the timestamp would have no effect", help);
            None
        }
        (1, None) => Some(StartingPosition::Latest),
        _ => Some(StartingPosition::TrimHorizon),
    }
}

fn response_types(reader: &mut Reader, field: &Field<'_>) -> Option<bool> {
    let words = [("ReportBatchItemFailures", ())];
    Some(!reader.each(field, |reader, item| reader.word(item, &words))?.is_empty())
}

fn filters(reader: &mut Reader, field: &Field<'_>) -> Option<Vec<String>> {
    let filters = reader.each(field, |reader, item| {
        reader.checked(item, |text| {
            let object = serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.is_object());
            if object && text.len() <= LONGEST_FILTER {
                return Ok(());
            }
            Err(format!(
                "a JSON object of at most {LONGEST_FILTER} bytes, e.g. '{{\"data\": {{\"event\": [\"final\"]}}}}'"
            ))
        })
    })?;
    if filters.len() > MOST_FILTERS {
        let what = format!("{} filters are too many", filters.len());
        reader.report(field, problem::OUT_OF_RANGE, what, format!("at most {MOST_FILTERS}"));
    }
    Some(filters)
}

/// `concurrencySafe: false` allows one invocation at a time: one shard, one batch a shard.
fn one_at_a_time(
    reader: &mut Reader,
    object: &Object<'_>,
    stream: Option<&Field<'_>>,
    factors: Option<&Bounds<ParallelizationFactor>>,
) {
    // A second, silent reading: its problems were noted when the stream was read.
    let mut silent = Reader::default();
    let shards = stream
        .and_then(|field| silent.entries(field))
        .and_then(|stream| stream.get("shards"))
        .and_then(|field| stream::shards(&mut silent, &field));
    let Some(field) = object.get("concurrencySafe") else { return };
    if let Some(shards) = shards.filter(|shards| shards.min.get() > 1) {
        let what = format!("false allows one invocation at a time, but the stream has at least {} shards", shards.min);
        reader.report(&field, problem::CONTRADICTION, what, "set stream.shards.min to 1, or make the function safe");
    }
    if let Some(factors) = factors.filter(|factors| factors.min.get() > 1) {
        let what =
            format!("false allows one invocation at a time, but parallelizationFactor is at least {}", factors.min);
        reader.report(
            &field,
            problem::CONTRADICTION,
            what,
            "set parallelizationFactor.min to 1, or make the function safe",
        );
    }
}

fn writes_to(reader: &mut Reader, field: &Field<'_>, names: &Names<'_>) -> Option<Vec<String>> {
    let mut seen = std::collections::BTreeMap::new();
    reader.each(field, |reader, item| {
        let text = reader.text(item)?;
        if !names.tables.contains(text) {
            let help = match nearest(text, names.tables.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if names.tables.is_empty() => "the spec has no tables: add it to spec.tables".to_owned(),
                None => format!("tables of this spec: {}", names.tables.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            reader.report(item, problem::UNKNOWN_REFERENCE, format!("no table {} in spec.tables", quoted(text)), help);
            return None;
        }
        unique(reader, &mut seen, item, text, "name each table once");
        Some(text.to_owned())
    })
}
