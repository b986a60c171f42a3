//! Marks: what a row of the benchmark has to reach, and whether a run reached it. Pure.
//!
//! What always holds: a mark that cannot be judged is not reached, and says so.

use serde::{Deserialize, Serialize};

use super::verdict::Figures;

/// One condition on one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mark {
    /// At most so many violation minutes.
    Violations(u64),
    /// At most so many on one day, counted from 1.
    ViolationsOnDay(usize, u64),
    /// At most so many on this day and all later ones.
    ViolationsFromDay(usize, u64),
    /// At most this multiple of the clairvoyant's cost.
    CostAtMost(f64),
    /// At most this multiple of the violation minutes of another scenario with the same policy and seed.
    TimesBase(&'static str, f64),
    /// At most so many calls of an operation.
    CallsAtMost(&'static str, u64),
    /// One of the scenario's causes is named so many minutes after the trouble's begin at the latest.
    DiagnosedWithin(i64),
    /// At most so many raises of a parallelization factor while a sink throttles.
    ConsumerRaisesWhileThrottled(u64),
    /// At most so many reductions while CloudWatch publishes nothing.
    ScaleInsWhileBlind(u64),
    /// No call beyond a budget, no value outside its bounds.
    QuotaKept,
    /// Each index throttles in less than this share of the minutes.
    IndexThrottleShare(f64),
    /// When a backlog is drained is told with a smaller median error, as a share of the time it took.
    DrainErrorUnder(f64),
}

/// A mark judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// The condition and the figure, in words.
    pub text: String,
    /// Whether it is reached.
    pub reached: bool,
}

impl Mark {
    /// Judges a run; `base` gives the violation minutes of another scenario, when it was played.
    pub fn judge(&self, run: &Figures, base: &dyn Fn(&str) -> Option<u64>) -> Judged {
        let total = run.measures.violation_minutes.total;
        let most = |name: &str, found: u64, most: u64| Judged {
            text: format!("{name} {found}, at most {most}"),
            reached: found <= most,
        };
        match self {
            Self::Violations(limit) => most("violation minutes", total, *limit),
            Self::ViolationsOnDay(day, limit) => {
                let found = day.checked_sub(1).and_then(|at| run.violations_by_day.get(at));
                found.map_or_else(
                    || unjudged(&format!("violation minutes on day {day}")),
                    |found| most(&format!("violation minutes on day {day}"), *found, *limit),
                )
            }
            Self::ViolationsFromDay(day, limit) => {
                let later = run.violations_by_day.get(day.saturating_sub(1)..).filter(|days| !days.is_empty());
                let name = format!("violation minutes from day {day}");
                later.map_or_else(|| unjudged(&name), |days| most(&name, days.iter().sum(), *limit))
            }
            Self::CostAtMost(limit) => match run.measures.cost.ratio_to_clairvoyant {
                None => unjudged("cost against the clairvoyant's"),
                Some(ratio) => Judged {
                    text: format!("{ratio:.2} of the clairvoyant's cost, at most {limit:.2}"),
                    reached: ratio <= *limit,
                },
            },
            Self::TimesBase(name, times) => match base(name) {
                None => unjudged(&format!("violation minutes against {name}, which was not played")),
                Some(clean) => Judged {
                    text: format!("violation minutes {total}, at most {times} times the {clean} of {name}"),
                    reached: total as f64 <= clean as f64 * times,
                },
            },
            Self::CallsAtMost(operation, limit) => {
                most(operation, run.measures.operations.get(*operation).copied().unwrap_or(0), *limit)
            }
            Self::DiagnosedWithin(minutes) => match run.diagnosed_after_minutes {
                None => Judged { text: "the cause was never named".to_owned(), reached: false },
                Some(after) => Judged {
                    text: format!("cause named after {after} min, at most {minutes}"),
                    reached: after <= *minutes,
                },
            },
            Self::ConsumerRaisesWhileThrottled(limit) => {
                most("consumer raises into a throttled sink", run.consumer_raises_while_throttled, *limit)
            }
            Self::ScaleInsWhileBlind(limit) => most("reductions while blind", run.scale_ins_while_blind, *limit),
            Self::QuotaKept => {
                let found = run.measures.quota_refusals + run.measures.out_of_bounds;
                most("calls beyond a budget and values out of bounds", found, 0)
            }
            Self::IndexThrottleShare(limit) => index_share(run, *limit),
            Self::DrainErrorUnder(limit) => match run.drain_error {
                None => unjudged("when a backlog is drained, which was never told"),
                Some(error) => Judged {
                    text: format!("drain time {:.0} % off, under {:.0} %", error * 100.0, limit * 100.0),
                    reached: error < *limit,
                },
            },
        }
    }
}

fn index_share(run: &Figures, limit: f64) -> Judged {
    let worst = run.index_throttle_shares.values().copied().fold(0.0, f64::max);
    Judged {
        text: format!("{:.2} % of minutes throttled at the worst index, under {} %", worst * 100.0, limit * 100.0),
        reached: !run.index_throttle_shares.is_empty() && worst < limit,
    }
}

fn unjudged(what: &str) -> Judged {
    Judged { text: format!("not measured: {what}"), reached: false }
}
