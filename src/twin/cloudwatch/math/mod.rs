//! Metric math: expressions over time series, by the rules of "Metric math syntax and functions".
//!
//! A point that is missing in one series counts as 0 next to a point of the other; where both are missing there
//! is none. A result that is no number (a division by zero) is left out.

#![allow(
    clippy::type_complexity,
    clippy::float_cmp,
    reason = "the search is one closure; metric math compares doubles exactly"
)]

mod functions;
mod parse;

use std::{cell::Cell, collections::BTreeMap};

pub(super) use parse::{Expr, Op};

/// A time series: period start in epoch milliseconds → value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub label: String,
    pub period_ms: i64,
    pub points: BTreeMap<i64, f64>,
}

/// What an expression gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Scalar(f64),
    Line(Line),
    Lines(Vec<Line>),
}

impl Value {
    /// Points in it.
    pub fn len(&self) -> usize {
        match self {
            Self::Scalar(_) => 1,
            Self::Line(line) => line.points.len(),
            Self::Lines(lines) => lines.iter().map(|line| line.points.len()).sum(),
        }
    }
}

/// What expressions may refer to.
pub(super) struct Scope<'a> {
    /// The query's times, in milliseconds; the start already rounded.
    pub start: i64,
    pub end: i64,
    /// Period of lines made of scalars.
    pub period_ms: i64,
    /// Values of the queries computed so far.
    pub known: &'a BTreeMap<String, Value>,
    /// Ids of the queries that are metrics, in their order.
    pub metrics: &'a [String],
    /// Points that the call's expressions have looked at so far.
    pub work: &'a Cell<usize>,
    /// SEARCH: text, statistic, period in seconds → lines.
    pub search: &'a dyn Fn(&str, &str, i64) -> Result<Vec<Line>, String>,
}

/// Points that the expressions of one call may look at: a bound of this program.
const WORK_LIMIT: usize = 20_000_000;
/// Most points of one line that a function may make.
const GRID_LIMIT: i64 = 100_800;

impl Scope<'_> {
    pub fn eval(&self, expr: &Expr) -> Result<Value, String> {
        Ok(match expr {
            Expr::Number(number) => Value::Scalar(*number),
            Expr::Text(text) => return Err(format!("the text '{text}' has no value")),
            Expr::Word(id) => self.look_up(id)?,
            Expr::Negative(inner) => map(self.eval(inner)?, |_, value| -value),
            Expr::Binary(op, left, right) => binary(*op, self.eval(left)?, self.eval(right)?)?,
            Expr::List(items) => {
                let mut lines = Vec::new();
                for item in items {
                    match self.eval(item)? {
                        Value::Line(line) => lines.push(line),
                        Value::Lines(more) => lines.extend(more),
                        Value::Scalar(_) => return Err("an array holds time series only".to_owned()),
                    }
                }
                Value::Lines(lines)
            }
            Expr::Call(name, arguments) => functions::call(self, name, arguments)?,
        })
    }

    fn look_up(&self, id: &str) -> Result<Value, String> {
        let value = self.known.get(id).ok_or_else(|| format!("unknown identifier {id}"))?;
        self.spend(value.len())?;
        Ok(value.clone())
    }

    fn spend(&self, points: usize) -> Result<(), String> {
        self.work.set(self.work.get().saturating_add(points));
        if self.work.get() > WORK_LIMIT { Err("the expressions are too costly".to_owned()) } else { Ok(()) }
    }

    /// The starts of all periods of the query.
    fn grid(&self, period_ms: i64) -> Result<impl Iterator<Item = i64> + use<>, String> {
        let first = self.start - self.start.rem_euclid(period_ms);
        let (count, end) = ((self.end - first + period_ms - 1) / period_ms, self.end);
        if count > GRID_LIMIT {
            return Err(format!("the time range has more than {GRID_LIMIT} periods"));
        }
        self.spend(count.max(0) as usize)?;
        Ok((0..count).map(move |index| first + index * period_ms).filter(move |at| *at < end))
    }
}

/// Applies a function of (time, value) to every point; what is no number is left out.
fn map(value: Value, f: impl Fn(i64, f64) -> f64 + Copy) -> Value {
    let line = |line: Line| {
        let points = line.points.iter().map(|(at, value)| (*at, f(*at, *value)));
        Line { points: points.filter(|(_, value)| value.is_finite()).collect(), ..line }
    };
    match value {
        Value::Scalar(number) => Value::Scalar(f(0, number)),
        Value::Line(one) => Value::Line(line(one)),
        Value::Lines(lines) => Value::Lines(lines.into_iter().map(line).collect()),
    }
}

fn binary(op: Op, left: Value, right: Value) -> Result<Value, String> {
    Ok(match (left, right) {
        (Value::Scalar(left), right) => map(right, |_, right| apply(op, left, right)),
        (left, Value::Scalar(right)) => map(left, |_, left| apply(op, left, right)),
        (Value::Line(left), Value::Line(right)) => Value::Line(join(op, left, &right)),
        (Value::Line(left), Value::Lines(lines)) => {
            let of = |line: Line| Line { label: line.label.clone(), ..join(op, left.clone(), &line) };
            Value::Lines(lines.into_iter().map(of).collect())
        }
        (Value::Lines(lines), Value::Line(right)) => {
            Value::Lines(lines.into_iter().map(|line| join(op, line, &right)).collect())
        }
        (Value::Lines(_), Value::Lines(_)) => return Err("two arrays cannot be combined".to_owned()),
    })
}

fn join(op: Op, mut left: Line, right: &Line) -> Line {
    for at in right.points.keys() {
        left.points.entry(*at).or_insert(0.0);
    }
    left.period_ms = left.period_ms.max(right.period_ms);
    for (at, value) in &mut left.points {
        *value = apply(op, *value, right.points.get(at).copied().unwrap_or(0.0));
    }
    left.points.retain(|_, value| value.is_finite());
    left
}

fn apply(op: Op, left: f64, right: f64) -> f64 {
    let truth = |yes: bool| f64::from(u8::from(yes));
    match op {
        Op::Add => left + right,
        Op::Subtract => left - right,
        Op::Multiply => left * right,
        Op::Divide => left / right,
        Op::Power => left.powf(right),
        Op::Equal => truth(left == right),
        Op::Unequal => truth(left != right),
        Op::Less => truth(left < right),
        Op::LessEqual => truth(left <= right),
        Op::Greater => truth(left > right),
        Op::GreaterEqual => truth(left >= right),
        Op::And => truth(left != 0.0 && right != 0.0),
        Op::Or => truth(left != 0.0 || right != 0.0),
    }
}
