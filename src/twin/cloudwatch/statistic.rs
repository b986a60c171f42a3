//! The statistics of a period, by their names in the API ("CloudWatch statistics definitions").

#![allow(clippy::float_cmp, reason = "one value seen is the same double twice")]

use crate::twin::plane::{Point, Stat};

/// One statistic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Statistic {
    SampleCount,
    Sum,
    Average,
    Minimum,
    Maximum,
    /// `p99.9`: percent.
    Percentile(f64),
    /// A statistic of the samples between two bounds.
    Between(Kind, Bounds),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    TrimmedMean,
    TrimmedCount,
    TrimmedSum,
    /// Share of the samples, in percent.
    Rank,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bounds {
    /// Percent of the samples, in their order.
    Percent(f64, f64),
    /// Values; above the first, up to the second.
    Value(f64, f64),
}

impl Statistic {
    /// The statistic of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "SampleCount" => Self::SampleCount,
            "Sum" => Self::Sum,
            "Average" => Self::Average,
            "Minimum" => Self::Minimum,
            "Maximum" => Self::Maximum,
            "IQM" => Self::Between(Kind::TrimmedMean, Bounds::Percent(25.0, 75.0)),
            _ => return Self::extended(name),
        })
    }

    fn extended(name: &str) -> Option<Self> {
        if let Some(percent) = name.strip_prefix('p').and_then(percent) {
            return Some(Self::Percentile(percent));
        }
        if let Some(bounds) = name.strip_prefix("PR(") {
            let bounds = bounds.strip_suffix(')').and_then(bounds_of)?;
            return matches!(bounds, Bounds::Value(..)).then_some(Self::Between(Kind::Rank, bounds));
        }
        let kinds = [("tm", Kind::TrimmedMean), ("tc", Kind::TrimmedCount), ("ts", Kind::TrimmedSum)];
        kinds.into_iter().find_map(|(prefix, kind)| {
            if let Some(high) = name.strip_prefix(prefix) {
                return Some(Self::Between(kind, Bounds::Percent(0.0, percent(high)?)));
            }
            let bounds = name.strip_prefix(&prefix.to_uppercase())?.strip_prefix('(')?.strip_suffix(')')?;
            Some(Self::Between(kind, bounds_of(bounds)?))
        })
    }

    /// Its value in a period; `None` when the samples it needs are not known.
    pub fn of(self, point: &Point) -> Option<f64> {
        let Stat { sum, min, max, count } = point.stat;
        Some(match self {
            Self::SampleCount => count as f64,
            Self::Sum => sum,
            Self::Average => sum / count.max(1) as f64,
            Self::Minimum => min,
            Self::Maximum => max,
            Self::Percentile(percent) => {
                let rank = (percent / 100.0 * count as f64).ceil().max(1.0);
                let mut below = 0.0;
                let reaches = |(value, samples): &(f64, f64)| {
                    below += samples;
                    (below >= rank).then_some(*value)
                };
                samples(point)?.iter().find_map(reaches)?
            }
            Self::Between(kind, bounds) => between(kind, bounds, &samples(point)?)?,
        })
    }
}

/// `99.9` or `99.9%`: up to ten decimals, 0 to 100.
fn percent(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && text.len() <= 14;
    text.parse().ok().filter(|percent| plain && (0.0..=100.0).contains(percent))
}

/// `10%:90%`, `:90%`, `100:2000`, `:2000`, `100:`.
fn bounds_of(text: &str) -> Option<Bounds> {
    let (low, high) = text.split_once(':')?;
    let (low, high) = (low.trim(), high.trim());
    if low.is_empty() && high.is_empty() {
        return None;
    }
    if low.ends_with('%') || high.ends_with('%') {
        let side = |text: &str, open: f64| match text {
            "" => Some(open),
            text => text.strip_suffix('%').and_then(percent),
        };
        return Some(Bounds::Percent(side(low, 0.0)?, side(high, 100.0)?));
    }
    let side = |text: &str, open: f64| match text {
        "" => Some(open),
        text => text.parse::<f64>().ok().filter(|value| value.is_finite()),
    };
    Some(Bounds::Value(side(low, f64::NEG_INFINITY)?, side(high, f64::INFINITY)?))
}

/// (value, number), in order of the values; `None` when only their statistics are known.
fn samples(point: &Point) -> Option<Vec<(f64, f64)>> {
    let Stat { min, max, count, .. } = point.stat;
    if min == max {
        return Some(vec![(min, count as f64)]);
    }
    let sketch = point.sketch.as_ref()?;
    Some(sketch.buckets().map(|(value, samples)| (value.clamp(min, max), samples as f64)).collect())
}

fn between(kind: Kind, bounds: Bounds, samples: &[(f64, f64)]) -> Option<f64> {
    let all: f64 = samples.iter().map(|(_, count)| count).sum();
    let (mut below, mut count, mut sum) = (0.0, 0.0, 0.0);
    for (value, here) in samples {
        let inside = match bounds {
            Bounds::Percent(low, high) => {
                let (low, high) = (low / 100.0 * all, high / 100.0 * all);
                (high.min(below + here) - low.max(below)).max(0.0)
            }
            Bounds::Value(low, high) if *value > low && *value <= high => *here,
            Bounds::Value(..) => 0.0,
        };
        below += here;
        count += inside;
        sum += inside * value;
    }
    match kind {
        Kind::TrimmedCount => Some(count),
        Kind::TrimmedSum => Some(sum),
        Kind::Rank => Some(100.0 * count / all.max(1.0)),
        Kind::TrimmedMean => (count > 0.0).then(|| sum / count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_as_documented() {
        for good in
            ["p0", "p99", "p99.9", "p100", "tm90", "TM(10%:90%)", "TM(:50)", "TC(2:)", "ts50", "IQM", "PR(:300)"]
        {
            assert!(Statistic::parse(good).is_some(), "{good}");
        }
        for bad in ["Median", "p", "p101", "p-1", "p1e1", "PR(:30%)", "TM()", "TM(:)", "tm", "sum", "P99", "wm", "PR(:"]
        {
            assert!(Statistic::parse(bad).is_none(), "{bad}");
        }
    }
}
