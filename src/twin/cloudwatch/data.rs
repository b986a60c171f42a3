//! GetMetricData: many metrics and expressions in one call, in pages.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use serde_json::json;

use super::{
    MetricFault, View,
    math::{Expr, Line, Scope, Value},
    number, range,
    read::{Selector, Window, period},
    search::search,
    statistic::Statistic,
    validation,
};
use crate::twin::{
    Ctx, epoch,
    wire::{Answer, Args, Refusal},
};

/// Queries a call, datapoints a page, characters of an expression (API reference, GetMetricData).
const QUERY_LIMIT: usize = 500;
const DATAPOINT_LIMIT: i64 = 100_800;
const EXPRESSION_LENGTH: usize = 2_048;
const ID_LENGTH: usize = 255;
/// Datapoints that one call may make the twin hold. AWS limits them by rate (CloudWatch quotas: 180,000 a
/// second), with the same refusal.
const HELD_LIMIT: usize = 1_000_000;

struct Query {
    id: String,
    label: Option<String>,
    what: What,
    period_ms: Option<i64>,
    returned: bool,
}

enum What {
    Metric {
        selector: Selector,
        statistic: Statistic,
    },
    /// With the ids it refers to.
    Expression(Expr, BTreeSet<String>),
}

pub(super) fn get_metric_data(ctx: &mut Ctx, faults: &[MetricFault], args: Args) -> Answer {
    let (start, end) = range(args).map_err(as_validation)?;
    let queries = queries(args)?;
    let ascending = match args.text("ScanBy") {
        None | Some("TimestampDescending") => false,
        Some("TimestampAscending") => true,
        Some(other) => return Err(validation(format!("The value {other} for parameter ScanBy is invalid."))),
    };
    let limit = args.int("MaxDatapoints").unwrap_or(DATAPOINT_LIMIT);
    if !(1..=DATAPOINT_LIMIT).contains(&limit) {
        let message = format!("The parameter MaxDatapoints must be from 1 to {DATAPOINT_LIMIT}.");
        return Err(validation(message));
    }
    timezone(args)?;
    let token = args.text("NextToken").map(str::parse).transpose();
    let skip = token.map_err(|_| Refusal::new(400, "InvalidNextToken", "The next token specified is invalid."))?;

    let view = View::of(ctx, faults);
    let mut reading =
        Reading { view: &view, window: Window { start, end }, billed: BTreeSet::new(), held: 0, work: Cell::new(0) };
    let values = reading.values(&queries)?;
    let billed = reading.billed.len() as u64;
    let mut lines = Vec::new();
    for query in queries.iter().filter(|query| query.returned) {
        let label = |line: &Line| query.label.clone().unwrap_or_else(|| line.label.clone());
        match values.get(&query.id) {
            Some(Value::Line(line)) => lines.push((&query.id, label(line), line)),
            Some(Value::Lines(all)) => lines.extend(all.iter().map(|line| (&query.id, label(line), line))),
            _ => {}
        }
    }
    let output = page(&lines, ascending, skip.unwrap_or(0), limit as usize);
    ctx.audit.meters.cloudwatch_metrics += billed;
    Ok(output)
}

/// The datapoints from number `skip` on, at most `left` of them.
fn page(lines: &[(&String, String, &Line)], ascending: bool, mut skip: usize, mut left: usize) -> serde_json::Value {
    let (mut given, mut more, mut results) = (skip, false, Vec::new());
    for (id, label, line) in lines {
        let length = line.points.len();
        let passed = skip.min(length);
        skip -= passed;
        let count = (length - passed).min(left);
        let cut = passed + count < length;
        (left, given, more) = (left - count, given.saturating_add(count), more || cut);
        let forward = || line.points.iter().skip(passed).take(count);
        let backward = || line.points.iter().rev().skip(passed).take(count);
        let points: Vec<_> = if ascending { forward().collect() } else { backward().collect() };
        results.push(json!({
            "Id": id,
            "Label": label,
            "Timestamps": points.iter().map(|(at, _)| epoch(**at)).collect::<Vec<_>>(),
            "Values": points.iter().map(|(_, value)| number(**value)).collect::<Vec<_>>(),
            "StatusCode": if cut { "PartialData" } else { "Complete" },
        }));
    }
    let mut output = json!({ "MetricDataResults": results, "Messages": [] });
    if more {
        output["NextToken"] = json!(given.to_string());
    }
    output
}

/// `+hhmm` or `-hhmm`; it concerns dynamic labels only.
fn timezone(args: Args) -> Result<(), Refusal> {
    let Some(zone) = args.at("LabelOptions").and_then(|options| options.text("Timezone")) else { return Ok(()) };
    let digits = zone.strip_prefix(['+', '-']).unwrap_or_default();
    if digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(validation(format!("The value {zone} for parameter LabelOptions.Timezone is invalid.")))
}

/// GetMetricData's own class for what is wrong with a parameter.
fn as_validation(refusal: Refusal) -> Refusal {
    validation(refusal.message)
}

fn queries(args: Args) -> Result<Vec<Query>, Refusal> {
    let given: Vec<Args> = args.list("MetricDataQueries").collect();
    if given.is_empty() || given.len() > QUERY_LIMIT {
        return Err(validation(format!(
            "The collection MetricDataQueries must have between 1 and {QUERY_LIMIT} members."
        )));
    }
    let queries = (1..).zip(given).map(|(index, query)| parse(index, query).map_err(as_validation));
    let queries: Vec<Query> = queries.collect::<Result<_, _>>()?;
    let ids: BTreeSet<&str> = queries.iter().map(|query| query.id.as_str()).collect();
    if ids.len() < queries.len() {
        return Err(validation("The values for parameter Id in MetricDataQueries must be unique."));
    }
    for query in &queries {
        let What::Expression(_, references) = &query.what else { continue };
        if let Some(id) = references.iter().find(|id| !ids.contains(id.as_str())) {
            return Err(wrong(query, &format!("unknown identifier {id}")));
        }
    }
    Ok(queries)
}

fn parse(index: usize, args: Args) -> Result<Query, Refusal> {
    let place = format!("MetricDataQueries.member.{index}.");
    let id = super::text(args, "Id", &format!("{place}Id"), ID_LENGTH)?;
    let lower = id.chars().next().is_some_and(|first| first.is_ascii_lowercase());
    if !lower || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(validation(format!(
            "The value {id} for parameter Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$."
        )));
    }
    let own_period = args.int("Period").map(|seconds| period(seconds, &format!("{place}Period"))).transpose()?;
    let (what, period_ms) = match (args.at("MetricStat"), args.text("Expression")) {
        (Some(_), Some(_)) => {
            return Err(validation(format!(
                "The parameters {place}Expression and {place}MetricStat are mutually exclusive and you have specified both."
            )));
        }
        (None, None) => {
            return Err(validation(format!("The parameter {place}MetricStat or {place}Expression is required.")));
        }
        (None, Some(text)) => {
            if text.is_empty() || text.chars().count() > EXPRESSION_LENGTH {
                return Err(validation(format!(
                    "The parameter {place}Expression must have between 1 and {EXPRESSION_LENGTH} characters."
                )));
            }
            let expr = Expr::parse(text).map_err(|why| validation(format!("Error in expression '{id}': {why}")))?;
            let references = references(&expr);
            (What::Expression(expr, references), own_period)
        }
        (Some(stat), None) => {
            let place = format!("{place}MetricStat.");
            let metric = stat.at("Metric").ok_or_else(|| super::missing(&format!("{place}Metric")))?;
            let seconds = stat.int("Period").ok_or_else(|| super::missing(&format!("{place}Period")))?;
            let name = stat.text("Stat").ok_or_else(|| super::missing(&format!("{place}Stat")))?;
            let statistic = Statistic::parse(name)
                .ok_or_else(|| validation(format!("The value {name} for parameter {place}Stat is not supported.")))?;
            let unit = super::unit(stat, &format!("{place}Unit"))?.map(str::to_owned);
            let selector = Selector { unit, ..Selector::parse(metric, &format!("{place}Metric."))? };
            (What::Metric { selector, statistic }, Some(period(seconds, &format!("{place}Period"))?))
        }
    };
    let (id, label) = (id.to_owned(), args.text("Label").map(str::to_owned));
    Ok(Query { id, label, what, period_ms, returned: args.flag("ReturnData").unwrap_or(true) })
}

/// The ids that an expression names.
fn references(expr: &Expr) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    expr.walk(&mut |part| match part {
        Expr::Word(word) if !["REPEAT", "LINEAR"].contains(&word.as_str()) => {
            ids.insert(word.clone());
        }
        _ => {}
    });
    ids
}

fn wrong(query: &Query, why: &str) -> Refusal {
    validation(format!("Error in expression '{}': {why}", query.id))
}

struct Reading<'a> {
    view: &'a View<'a>,
    window: Window,
    billed: BTreeSet<(String, String, BTreeMap<String, String>)>,
    held: usize,
    work: Cell<usize>,
}

impl Reading<'_> {
    /// Every query's value: first the metrics, then the expressions whose references are known, again and again.
    fn values(&mut self, queries: &[Query]) -> Result<BTreeMap<String, Value>, Refusal> {
        let mut values = BTreeMap::new();
        let mut metrics = Vec::new();
        for query in queries {
            if let What::Metric { selector, statistic } = &query.what {
                let line = self.line(selector, *statistic, query.period_ms.unwrap_or(60_000))?;
                values.insert(query.id.clone(), Value::Line(line));
                metrics.push(query.id.clone());
            }
        }
        let mut open: Vec<&Query> = queries.iter().filter(|query| matches!(query.what, What::Expression(..))).collect();
        while let Some(first) = open.first().copied() {
            let before = open.len();
            let mut waiting = Vec::new();
            for query in open {
                match &query.what {
                    What::Expression(expr, ids) if ids.iter().all(|id| values.contains_key(id)) => {
                        let value = self.evaluate(query, (expr, ids), &values, &metrics)?;
                        values.insert(query.id.clone(), value);
                    }
                    _ => waiting.push(query),
                }
            }
            if waiting.len() == before {
                return Err(wrong(first, "the expression refers to itself"));
            }
            open = waiting;
        }
        Ok(values)
    }

    fn evaluate(
        &mut self,
        query: &Query,
        (expr, references): (&Expr, &BTreeSet<String>),
        known: &BTreeMap<String, Value>,
        metrics: &[String],
    ) -> Result<Value, Refusal> {
        let referred = references.iter().filter_map(|id| match known.get(id) {
            Some(Value::Line(line)) => Some(line.period_ms),
            Some(Value::Lines(lines)) => lines.iter().map(|line| line.period_ms).max(),
            _ => None,
        });
        let period_ms = query.period_ms.or_else(|| referred.max()).unwrap_or(60_000);
        let window = self.window.rounded(self.view.now, period_ms);
        let work = self.work.clone();
        let found = RefCell::new(&mut *self);
        let search = |text: &str, statistic: &str, seconds: i64| {
            let mut reading = found.borrow_mut();
            let statistic = Statistic::parse(statistic).ok_or_else(|| format!("unknown statistic {statistic}"))?;
            let period_ms = period(seconds, "period of SEARCH").map_err(|refusal| refusal.message)?;
            let selectors = search(reading.view, text)?;
            let lines = selectors.iter().map(|selector| reading.line(selector, statistic, period_ms));
            lines.collect::<Result<Vec<Line>, _>>().map_err(|refusal| refusal.message)
        };
        let scope =
            Scope { start: window.start, end: window.end, period_ms, known, metrics, work: &work, search: &search };
        let value = scope.eval(expr).map_err(|why| wrong(query, &why))?;
        let named = |line: Line| Line { label: query.id.clone(), ..line };
        let value = match value {
            Value::Scalar(_) if query.returned => return Err(wrong(query, "the result is not a time series")),
            Value::Line(line) => Value::Line(named(line)),
            other => other,
        };
        self.work = work;
        self.hold(value.len())?;
        Ok(value)
    }

    fn line(&mut self, selector: &Selector, statistic: Statistic, period_ms: i64) -> Result<Line, Refusal> {
        let Selector { namespace, metric, dimensions, .. } = selector.clone();
        self.billed.insert((namespace, metric, dimensions));
        let (periods, _) = selector.periods(self.view, self.window, period_ms);
        self.hold(periods.len())?;
        let points = periods.iter().filter_map(|(at, period)| Some((*at, period.value(statistic)?)));
        Ok(Line { label: selector.metric.clone(), period_ms, points: points.collect() })
    }

    fn hold(&mut self, points: usize) -> Result<(), Refusal> {
        self.held = self.held.saturating_add(points);
        if self.held <= HELD_LIMIT {
            return Ok(());
        }
        Err(Refusal::new(400, "ThrottlingException", "Rate exceeded"))
    }
}
