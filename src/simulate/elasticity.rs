//! Elasticity measures: how closely supply follows demand, stage by stage (SPEC Research Group's definitions as in
//! Herbst et al., arXiv 1604.03470; the deviation as in Chameleon, Bauer et al.).
//!
//! What always holds: a measure says how far supply and demand differ, never what was lost by it. All shares are in
//! percent of the time or of the demand; a series of no minutes has none.

use serde::{Deserialize, Serialize};

/// Exponent of the deviation's norm (Chameleon).
const NORM: f64 = 3.0;
/// A record older than this waits in a backlog, ms (autoscaling study, "TTR").
const DRAINED_MS: f64 = 30_000.0;
/// Supply and demand that differ by less are equal: fractions of a unit are nobody's to provision.
const EQUAL: f64 = 1e-9;

/// How one stage's supply followed its demand.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Elasticity {
    /// Under-provisioning accuracy: missing supply over demand, mean, percent (theta U).
    pub under_accuracy: f64,
    /// Over-provisioning accuracy: superfluous supply over demand, mean, percent (theta O).
    pub over_accuracy: f64,
    /// Share of time with too little, percent (tau U).
    pub under_timeshare: f64,
    /// Share of time with too much, percent (tau O).
    pub over_timeshare: f64,
    /// Share of time in which supply and demand move in different directions, percent (upsilon).
    pub instability: f64,
    /// Changes of supply less changes of demand, an hour (jitter).
    pub jitter_per_hour: f64,
    /// The five shares as one distance from perfection; 0 is perfect (sigma).
    pub deviation: f64,
}

/// The measures of a stage: `demand` and `supply` minute by minute; the shorter one sets the length.
pub fn elasticity(demand: &[f64], supply: &[f64]) -> Elasticity {
    let minutes: Vec<(f64, f64)> = demand.iter().map(|it| it.max(1.0)).zip(supply.iter().copied()).collect();
    let all = minutes.len() as f64;
    if minutes.is_empty() {
        return Elasticity::default();
    }
    let mean = |of: &dyn Fn(f64, f64) -> f64| minutes.iter().map(|(d, s)| of(*d, *s)).sum::<f64>() / all;
    let share = |is: bool| if is { 1.0 } else { 0.0 };
    let moves: Vec<(f64, f64)> =
        minutes.windows(2).filter_map(|pair| Some((sign(pair, |it| it.0)?, sign(pair, |it| it.1)?))).collect();
    let changes = |of: fn(&(f64, f64)) -> f64| moves.iter().filter(|it| of(it) != 0.0).count() as f64;
    let apart = moves.iter().filter(|(d, s)| (d - s).abs() > EQUAL).count() as f64;
    let parts = [
        mean(&|d, s| (d - s).max(0.0) / d),
        mean(&|d, s| (s - d).max(0.0) / d),
        mean(&|d, s| share(s < d - EQUAL)),
        mean(&|d, s| share(s > d + EQUAL)),
        apart / all,
    ];
    let [under_accuracy, over_accuracy, under_timeshare, over_timeshare, instability] = parts.map(|it| it * 100.0);
    Elasticity {
        under_accuracy,
        over_accuracy,
        under_timeshare,
        over_timeshare,
        instability,
        jitter_per_hour: (changes(|it| it.1) - changes(|it| it.0)) / (all / 60.0),
        deviation: parts.iter().map(|it| it.powf(NORM)).sum::<f64>().powf(1.0 / NORM),
    }
}

/// The direction of a step: -1, 0 or 1.
fn sign(pair: &[(f64, f64)], of: fn(&(f64, f64)) -> f64) -> Option<f64> {
    let [before, after] = pair else { return None };
    let step = of(after) - of(before);
    Some(if step.abs() < EQUAL { 0.0 } else { step.signum() })
}

impl Elasticity {
    /// Elastic speedup over a baseline: the geometric mean of how many times better the two accuracies and the two
    /// timeshares are (epsilon, equal weights). Above 1 is better than the baseline; `None` where one of ours is
    /// perfect and the baseline's is not, which no number says.
    pub fn speedup_over(&self, baseline: &Self) -> Option<f64> {
        let parts = |it: &Self| [it.under_accuracy, it.over_accuracy, it.under_timeshare, it.over_timeshare];
        let mut product = 1.0;
        for (theirs, ours) in parts(baseline).into_iter().zip(parts(self)) {
            product *= match (theirs > 0.0, ours > 0.0) {
                (false, false) => 1.0,
                (_, true) => theirs / ours,
                (true, false) => return None,
            };
        }
        Some(product.powf(0.25))
    }
}

/// Times to recovery: minutes from the first with a record older than 30 s until the first without, each.
pub fn recoveries(max_age_ms: &[f64]) -> Vec<u32> {
    let runs = max_age_ms.chunk_by(|a, b| (*a > DRAINED_MS) == (*b > DRAINED_MS));
    runs.filter(|run| run.first().is_some_and(|age| *age > DRAINED_MS)).map(|run| run.len() as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value}, expected {expected}");
    }

    #[test]
    fn supply_that_is_the_demand_is_perfect() {
        let series = [2.0, 4.0, 4.0, 3.0];
        assert_eq!(elasticity(&series, &series), Elasticity::default());
        assert_eq!(elasticity(&[], &[]), Elasticity::default());
    }

    #[test]
    fn a_late_raise_is_too_little_for_a_while_and_then_too_much() {
        let found = elasticity(&[2.0, 4.0, 4.0, 4.0], &[2.0, 2.0, 5.0, 5.0]);
        near(found.under_accuracy, 100.0 * (2.0 / 4.0) / 4.0);
        near(found.over_accuracy, 100.0 * (0.25 + 0.25) / 4.0);
        near(found.under_timeshare, 25.0);
        near(found.over_timeshare, 50.0);
        // Demand moves in the second minute, supply in the third.
        near(found.instability, 50.0);
        near(found.jitter_per_hour, 0.0);
        let parts: [f64; 5] = [0.125, 0.125, 0.25, 0.5, 0.5];
        near(found.deviation, parts.iter().map(|it| it.powi(3)).sum::<f64>().cbrt());
    }

    #[test]
    fn nervous_supply_has_jitter_and_idle_supply_the_opposite() {
        let steady = [5.0; 60];
        let nervous: Vec<f64> = (0..60).map(|minute| if minute % 2 == 0 { 5.0 } else { 6.0 }).collect();
        near(elasticity(&steady, &nervous).jitter_per_hour, 59.0);
        near(elasticity(&nervous, &steady).jitter_per_hour, -59.0);
        near(elasticity(&steady, &nervous).instability, 100.0 * 59.0 / 60.0);
    }

    #[test]
    fn a_stage_without_demand_still_needs_one() {
        near(elasticity(&[0.0, 0.0], &[2.0, 2.0]).over_accuracy, 100.0);
    }

    #[test]
    fn the_speedup_is_the_geometric_mean() {
        let of = |parts: [f64; 4]| Elasticity {
            under_accuracy: parts[0],
            over_accuracy: parts[1],
            under_timeshare: parts[2],
            over_timeshare: parts[3],
            ..Elasticity::default()
        };
        let speedup = of([1.0, 10.0, 5.0, 50.0]).speedup_over(&of([2.0, 40.0, 5.0, 100.0])).unwrap();
        near(speedup, (2.0_f64 * 4.0 * 1.0 * 2.0).powf(0.25));
        assert_eq!(of([0.0, 1.0, 0.0, 1.0]).speedup_over(&of([0.0, 1.0, 0.0, 1.0])), Some(1.0));
        assert_eq!(of([0.0, 1.0, 0.0, 1.0]).speedup_over(&of([1.0, 1.0, 1.0, 1.0])), None);
    }

    #[test]
    fn each_backlog_has_its_time_to_recovery() {
        assert_eq!(recoveries(&[0.0, 31e3, 400e3, 10e3, 30e3, 31e3]), [2, 1]);
        assert_eq!(recoveries(&[]), [0_u32; 0]);
    }
}
