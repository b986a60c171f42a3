//! The functions of metric math that dashboards of a stream, its functions and its tables use.

use std::collections::BTreeMap;

use super::{Expr, Line, Scope, Value, map};

/// The functions there are.
pub(in crate::twin::cloudwatch) const NAMES: &[&str] = &[
    "ABS",
    "AVG",
    "CEIL",
    "DATAPOINT_COUNT",
    "DIFF",
    "DIFF_TIME",
    "EPOCH",
    "FILL",
    "FIRST",
    "FLOOR",
    "HOUR",
    "IF",
    "LAST",
    "LOG",
    "LOG10",
    "MAX",
    "METRICS",
    "METRIC_COUNT",
    "MIN",
    "MINUTE",
    "PERIOD",
    "RATE",
    "REMOVE_EMPTY",
    "RUNNING_SUM",
    "SEARCH",
    "STDDEV",
    "SUM",
    "TIME_SERIES",
];

type Result<T> = std::result::Result<T, String>;

pub(super) fn call(scope: &Scope, name: &str, arguments: &[Expr]) -> Result<Value> {
    match (name, arguments) {
        ("METRICS", []) => metrics(scope, ""),
        ("METRICS", [Expr::Text(part)]) => metrics(scope, part),
        ("SEARCH", [Expr::Text(text), Expr::Text(statistic), rest @ ..]) => {
            let period = match rest {
                [] => scope.period_ms / 1_000,
                [Expr::Number(seconds)] => *seconds as i64,
                _ => return Err("SEARCH takes a text, a statistic and a period".to_owned()),
            };
            (scope.search)(text, statistic, period).map(Value::Lines)
        }
        ("FILL", [line, filler]) => fill(scope, scope.eval(line)?, filler),
        ("IF", [condition, yes]) => choose(scope.eval(condition)?, &scope.eval(yes)?, None),
        ("IF", [condition, yes, no]) => {
            let no = scope.eval(no)?;
            choose(scope.eval(condition)?, &scope.eval(yes)?, Some(&no))
        }
        ("TIME_SERIES", [scalar]) => {
            let Value::Scalar(value) = scope.eval(scalar)? else {
                return Err("TIME_SERIES takes a scalar".to_owned());
            };
            let points = scope.grid(scope.period_ms)?.map(|at| (at, value)).collect();
            Ok(Value::Line(Line { label: name.to_owned(), period_ms: scope.period_ms, points }))
        }
        (_, [argument]) if NAMES.contains(&name) => of_one(name, scope.eval(argument)?),
        _ if NAMES.contains(&name) => Err(format!("{name} does not take {} arguments like these", arguments.len())),
        _ => Err(format!("unknown function {name}")),
    }
}

fn metrics(scope: &Scope, part: &str) -> Result<Value> {
    let mut lines = Vec::new();
    for id in scope.metrics.iter().filter(|id| id.contains(part)) {
        if let Value::Line(line) = scope.look_up(id)? {
            lines.push(line);
        }
    }
    Ok(Value::Lines(lines))
}

/// Functions of one time series or one array.
fn of_one(name: &str, value: Value) -> Result<Value> {
    Ok(match name {
        "ABS" => map(value, |_, value| value.abs()),
        "CEIL" => map(value, |_, value| value.ceil()),
        "FLOOR" => map(value, |_, value| value.floor()),
        "LOG" => map(value, |_, value| value.ln()),
        "LOG10" => map(value, |_, value| value.log10()),
        "EPOCH" => map(value, |at, _| (at / 1_000) as f64),
        "MINUTE" => map(value, |at, _| (at / 60_000).rem_euclid(60) as f64),
        "HOUR" => map(value, |at, _| (at / 3_600_000).rem_euclid(24) as f64),
        "DIFF" => each(value, |_, before, now| now.1 - before.1)?,
        "DIFF_TIME" => each(value, |_, before, now| (now.0 - before.0) as f64 / 1_000.0)?,
        "RATE" => each(value, |_, before, now| (now.1 - before.1) / ((now.0 - before.0) as f64 / 1_000.0))?,
        "RUNNING_SUM" => running_sum(value)?,
        "PERIOD" => match value {
            Value::Line(line) => Value::Scalar(line.period_ms as f64 / 1_000.0),
            _ => return Err("PERIOD takes a time series".to_owned()),
        },
        "METRIC_COUNT" | "FIRST" | "LAST" | "REMOVE_EMPTY" => of_array(name, value)?,
        _ => summary(name, value)?,
    })
}

fn of_array(name: &str, value: Value) -> Result<Value> {
    let mut lines = match value {
        Value::Lines(lines) => lines,
        Value::Line(line) => vec![line],
        Value::Scalar(_) => return Err(format!("{name} takes time series")),
    };
    let line = match name {
        "METRIC_COUNT" => return Ok(Value::Scalar(lines.len() as f64)),
        "REMOVE_EMPTY" => {
            lines.retain(|line| !line.points.is_empty());
            return Ok(Value::Lines(lines));
        }
        "FIRST" => lines.into_iter().next(),
        _ => lines.pop(),
    };
    line.map(Value::Line).ok_or_else(|| format!("{name} of an empty array"))
}

fn lines_of(value: Value, f: impl Fn(Line) -> Line) -> Result<Value> {
    match value {
        Value::Line(line) => Ok(Value::Line(f(line))),
        Value::Lines(lines) => Ok(Value::Lines(lines.into_iter().map(f).collect())),
        Value::Scalar(_) => Err("the function takes time series".to_owned()),
    }
}

type At = (i64, f64);

/// Each point after the first, made of the one before and itself.
fn each(value: Value, f: impl Fn(&Line, At, At) -> f64) -> Result<Value> {
    lines_of(value, |line| {
        let points = line.points.iter().zip(line.points.iter().skip(1));
        let points = points.map(|((t0, v0), (t1, v1))| (*t1, f(&line, (*t0, *v0), (*t1, *v1)))).collect();
        Line { points, ..line }
    })
}

fn running_sum(value: Value) -> Result<Value> {
    lines_of(value, |line| {
        let mut sum = 0.0;
        let points = line.points.iter().map(|(at, value)| {
            sum += value;
            (*at, sum)
        });
        let points = points.collect();
        Line { points, ..line }
    })
}

/// Of one series a scalar, of an array a series: at each time over the series that have a point.
fn summary(name: &str, value: Value) -> Result<Value> {
    let of = |values: &[f64]| {
        let (count, sum) = (values.len() as f64, values.iter().sum::<f64>());
        match name {
            "SUM" => sum,
            "AVG" => sum / count,
            "MIN" => values.iter().copied().fold(f64::INFINITY, f64::min),
            "MAX" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            "DATAPOINT_COUNT" => count,
            _ => (values.iter().map(|value| (value - sum / count).powi(2)).sum::<f64>() / count).sqrt(),
        }
    };
    match value {
        Value::Scalar(_) => Err(format!("{name} takes time series")),
        Value::Line(line) => {
            let values: Vec<f64> = line.points.into_values().collect();
            Ok(Value::Scalar(if values.is_empty() { 0.0 } else { of(&values) }))
        }
        Value::Lines(lines) => {
            let period_ms = lines.iter().map(|line| line.period_ms).max().unwrap_or(60_000);
            let mut at: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
            for (time, value) in lines.into_iter().flat_map(|line| line.points) {
                at.entry(time).or_default().push(value);
            }
            let points = at.into_iter().map(|(time, values)| (time, of(&values))).collect();
            Ok(Value::Line(Line { label: name.to_owned(), period_ms, points }))
        }
    }
}

fn fill(scope: &Scope, value: Value, filler: &Expr) -> Result<Value> {
    let constant = match filler {
        Expr::Word(word) if word == "REPEAT" || word == "LINEAR" => None,
        expr => Some(scope.eval(expr)?),
    };
    let lines = match &value {
        Value::Line(line) => vec![line],
        Value::Lines(lines) => lines.iter().collect(),
        Value::Scalar(_) => return Err("FILL takes time series".to_owned()),
    };
    let mut filled = Vec::new();
    for line in lines {
        let mut points = line.points.clone();
        for at in scope.grid(line.period_ms)? {
            let missing = match (&constant, filler) {
                _ if points.contains_key(&at) => None,
                (Some(Value::Scalar(value)), _) => Some(*value),
                (Some(Value::Line(other)), _) => other.points.get(&at).copied(),
                (Some(Value::Lines(_)), _) => return Err("FILL does not take an array as its filler".to_owned()),
                (None, Expr::Word(word)) if word == "REPEAT" => before(line, at).map(|(_, value)| value),
                (None, _) => linear(line, at),
            };
            points.extend(missing.map(|value| (at, value)));
        }
        filled.push(Line { points, ..line.clone() });
    }
    Ok(match (value, filled.pop()) {
        (Value::Line(_), Some(line)) => Value::Line(line),
        (_, last) => Value::Lines(filled.into_iter().chain(last).collect()),
    })
}

fn before(line: &Line, at: i64) -> Option<At> {
    line.points.range(..at).next_back().map(|(at, value)| (*at, *value))
}

fn linear(line: &Line, at: i64) -> Option<f64> {
    let (t0, v0) = before(line, at)?;
    let (t1, v1) = line.points.range(at..).next()?;
    Some(v0 + (v1 - v0) * (at - t0) as f64 / (t1 - t0).max(1) as f64)
}

/// At each time of the condition the value of one side, if that has one there.
fn choose(condition: Value, yes: &Value, no: Option<&Value>) -> Result<Value> {
    let at = |side: &Value, time: i64| match side {
        Value::Scalar(value) => Ok(Some(*value)),
        Value::Line(line) => Ok(line.points.get(&time).copied()),
        Value::Lines(_) => Err("IF does not take arrays".to_owned()),
    };
    match condition {
        Value::Scalar(truth) => match (truth != 0.0, no) {
            (true, _) => Ok(yes.clone()),
            (false, Some(no)) => Ok(no.clone()),
            (false, None) => Err("IF has no value for a false condition".to_owned()),
        },
        Value::Line(line) => {
            let mut points = BTreeMap::new();
            for (time, truth) in &line.points {
                let side = if *truth == 0.0 { no } else { Some(yes) };
                let value = side.map(|side| at(side, *time)).transpose()?.flatten();
                points.extend(value.map(|value| (*time, value)));
            }
            Ok(Value::Line(Line { points, ..line }))
        }
        Value::Lines(_) => Err("IF does not take arrays".to_owned()),
    }
}
