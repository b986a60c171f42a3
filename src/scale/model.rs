//! What a table costs: write (or read) units per invocation of each consumer and per record, fitted to the
//! minutes remembered, and how often the consumers would be invoked in another configuration.
//!
//! `w = Σ aᵢ·invocationsᵢ + b·records`, all coefficients ≥ 0. A function may write once a batch whatever its
//! size, so demand can follow concurrency and not the load; several explanations may fit the same minutes.
//! Then the dearest one for the configuration in question counts: capacity that turns out too much can be
//! taken back, a throttled table stops the pipeline.

use std::collections::BTreeMap;

use crate::memory::SinkSample;

/// Explanations whose error is within this factor of the best one cannot be told from it.
const INDISTINCT: f64 = 1.10;
/// An explanation is wrong about a minute by this share of it or by more alike: that a few minutes are miscounted, as
/// the records of a consumer that catches up are, says nothing against what explains the others.
const WRONG: f64 = 0.75;
/// A minute's error is held against its own units, and against no less than this share of the mean minute's.
const LITTLE: f64 = 0.1;
/// Rounds of reweighting towards the least absolute error.
const ROUNDS: u32 = 8;
/// Keeps near-collinear columns solvable; relative to the column's own square.
const RIDGE: f64 = 1e-6;

/// Read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Write units.
    Write,
    /// Read units.
    Read,
}

/// One explanation of the minutes.
#[derive(Debug, Clone, PartialEq)]
struct Explanation {
    /// Units per invocation by consumer; the entry `""` is units per record.
    coefficients: BTreeMap<String, f64>,
}

/// All explanations that the minutes allow.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct DemandModel {
    explanations: Vec<Explanation>,
    /// Mean units/s of the last ten minutes above what the model says: bursts that burst credit has to carry.
    pub(super) burst_mean: f64,
}

/// A configuration's load on a sink.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SinkInputs {
    /// Invocations/s by consumer.
    pub(super) invocations: BTreeMap<String, f64>,
    /// Records/s.
    pub(super) records: f64,
}

impl DemandModel {
    /// Fits the samples; empty when there are none with traffic.
    pub(super) fn fit(samples: &[SinkSample], side: Side) -> Self {
        let value = |sample: &SinkSample| if side == Side::Write { sample.write } else { sample.read };
        let active: Vec<&SinkSample> =
            samples.iter().filter(|sample| sample.invocations.values().any(|rate| *rate > 0.0)).collect();
        let clean: Vec<&SinkSample> = active.iter().copied().filter(|sample| !sample.throttled).collect();
        // Throttled minutes understate demand; they are used only when there is nothing better.
        let rows = if clean.is_empty() { active } else { clean };
        if rows.is_empty() {
            return Self::default();
        }
        let names: Vec<String> = rows
            .iter()
            .flat_map(|sample| sample.invocations.keys().cloned())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .chain(std::iter::once(String::new()))
            .collect();
        let fitted = explain(&rows, &names, value);
        let mut model =
            Self { explanations: fitted.into_iter().map(|(explanation, _)| explanation).collect(), burst_mean: 0.0 };
        let recent: Vec<f64> = samples
            .iter()
            .rev()
            .take(10)
            .map(|sample| {
                let inputs = SinkInputs { invocations: sample.invocations.clone(), records: sample.records };
                value(sample) - model.explanations.first().map_or(0.0, |best| best.units(&inputs))
            })
            .collect();
        model.burst_mean = (recent.iter().sum::<f64>() / recent.len().max(1) as f64).max(0.0);
        model
    }

    /// Whether anything is known.
    pub(super) fn is_empty(&self) -> bool {
        self.explanations.is_empty()
    }

    /// Units/s in a configuration, by the dearest explanation that the minutes allow.
    pub(super) fn units(&self, inputs: &SinkInputs) -> f64 {
        self.explanations.iter().map(|explanation| explanation.units(inputs)).fold(0.0, f64::max)
    }

    /// The explanation that decides for a configuration, in words: `48.0/invocation of leaderboard`. Of several
    /// that say the same the shortest.
    pub(super) fn describe(&self, inputs: &[SinkInputs]) -> String {
        let units = |explanation: &Explanation| inputs.iter().map(|it| explanation.units(it)).fold(0.0, f64::max);
        let most = self.explanations.iter().map(units).fold(0.0, f64::max);
        let deciding = self
            .explanations
            .iter()
            .filter(|explanation| units(explanation) >= 0.99 * most)
            .min_by_key(|explanation| explanation.coefficients.len());
        let Some(deciding) = deciding else { return "as consumed now".to_owned() };
        let parts: Vec<_> = deciding
            .coefficients
            .iter()
            .filter(|(_, value)| **value > 0.0)
            .map(|(name, value)| {
                if name.is_empty() { format!("{value:.3}/record") } else { format!("{value:.1}/invocation of {name}") }
            })
            .collect();
        if parts.is_empty() { "0".to_owned() } else { parts.join(" + ") }
    }
}

impl Explanation {
    fn units(&self, inputs: &SinkInputs) -> f64 {
        self.coefficients
            .iter()
            .map(|(name, value)| {
                value
                    * if name.is_empty() {
                        inputs.records
                    } else {
                        inputs.invocations.get(name).copied().unwrap_or(0.0)
                    }
            })
            .sum()
    }
}

/// Every non-negative explanation about as good as the best, best first.
fn explain(rows: &[&SinkSample], names: &[String], value: impl Fn(&SinkSample) -> f64) -> Vec<(Explanation, f64)> {
    // Few columns (consumers of one table, and records), so every subset can be tried; more than this many
    // would only be slow, and the first ones are left to the record term.
    let names = &names[names.len().saturating_sub(6)..];
    let table: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| {
            let rate = |name: &String| {
                if name.is_empty() { row.records } else { row.invocations.get(name).copied().unwrap_or(0.0) }
            };
            names.iter().map(rate).chain(std::iter::once(value(row))).collect()
        })
        .collect();
    let last = names.len();
    let mean = table.iter().map(|row| row[last]).sum::<f64>() / rows.len() as f64;
    let scales: Vec<f64> = table.iter().map(|row| row[last].max(LITTLE * mean).max(f64::MIN_POSITIVE)).collect();
    let mut found: Vec<(Explanation, f64)> = Vec::new();
    for subset in 1_u32..(1 << names.len()) {
        let chosen: Vec<usize> = (0..names.len()).filter(|index| subset & (1 << index) != 0).collect();
        let Some(solution) = least_absolute(&table, &chosen, &scales) else { continue };
        if solution.iter().any(|coefficient| *coefficient < 0.0) {
            continue;
        }
        let error = table
            .iter()
            .zip(&scales)
            .map(|(row, scale)| wrong_by(row, *scale, &chosen, &solution).min(WRONG))
            .sum::<f64>();
        let coefficients = chosen.iter().zip(&solution).map(|(index, c)| (names[*index].clone(), *c)).collect();
        found.push((Explanation { coefficients }, error));
    }
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    // Two per cent a minute is measuring noise: errors below it are all the same.
    let noise = 0.02 * rows.len() as f64;
    let limit = found.first().map_or(0.0, |(_, error)| error * INDISTINCT + noise);
    found.retain(|(_, error)| *error <= limit);
    found
}

/// How far coefficients are from a row's value, the last column, in shares of its scale.
fn wrong_by(row: &[f64], scale: f64, chosen: &[usize], solution: &[f64]) -> f64 {
    let said: f64 = chosen.iter().zip(solution).map(|(index, c)| c * row[*index]).sum();
    ((row[row.len() - 1] - said) / scale).abs()
}

/// The coefficients of least absolute error, each in shares of its row's scale: a burst in a few minutes does not move
/// them, as it would move least squares. Iteratively reweighted least squares; errors below a hundredth weigh alike, and
/// minutes that the round before was wrong about weigh still less.
fn least_absolute(table: &[Vec<f64>], chosen: &[usize], scales: &[f64]) -> Option<Vec<f64>> {
    let mut weights: Vec<f64> = scales.iter().map(|scale| 1.0 / (scale * scale).max(1e-9)).collect();
    let mut solution = least_squares(table, chosen, &weights)?;
    for _ in 0..ROUNDS {
        for ((row, scale), weight) in table.iter().zip(scales).zip(&mut weights) {
            let share = wrong_by(row, *scale, chosen, &solution).max(0.01);
            *weight = (WRONG / share).min(1.0) / (scale * scale * share).max(1e-9);
        }
        let next = least_squares(table, chosen, &weights)?;
        // The same solution has the same weights: no further round changes it.
        if next == solution {
            break;
        }
        solution = next;
    }
    Some(solution)
}

/// Solves the weighted normal equations by elimination; `None` when they have no solution. The last column of
/// a row is its value.
#[expect(clippy::needless_range_loop, reason = "elimination reads best with indices")]
fn least_squares(table: &[Vec<f64>], chosen: &[usize], weights: &[f64]) -> Option<Vec<f64>> {
    let n = chosen.len();
    let mut matrix = vec![vec![0.0; n + 1]; n];
    for (row, weight) in table.iter().zip(weights) {
        for i in 0..n {
            for j in 0..n {
                matrix[i][j] += weight * row[chosen[i]] * row[chosen[j]];
            }
            matrix[i][n] += weight * row[chosen[i]] * row[row.len() - 1];
        }
    }
    for i in 0..n {
        if matrix[i][i] <= 0.0 {
            return None;
        }
        matrix[i][i] *= 1.0 + RIDGE;
    }
    for pivot in 0..n {
        let head = matrix[pivot].clone();
        if head[pivot].abs() < f64::MIN_POSITIVE {
            return None;
        }
        for row in 0..n {
            if row != pivot {
                let factor = matrix[row][pivot] / head[pivot];
                for k in pivot..=n {
                    matrix[row][k] -= factor * head[k];
                }
            }
        }
    }
    let solution: Vec<f64> = (0..n).map(|i| matrix[i][n] / matrix[i][i]).collect();
    solution.iter().all(|c| c.is_finite()).then_some(solution)
}

/// Invocations/s of a consumer with `slots` (shards × factor): while it keeps up, each slot gets one batch a
/// poll (Lambda polls a shard once a second, or once a batching window) and as many more as the records need;
/// while it is behind, batches are full.
pub(super) fn invocations_per_second(slots: f64, batch: f64, window_seconds: f64, records: f64, behind: bool) -> f64 {
    let full = records / batch;
    if behind {
        return full;
    }
    let per_slot = records / slots.max(1.0) * window_seconds.max(1.0);
    let batches = (per_slot / batch).ceil().max(if per_slot >= 1.0 { 1.0 } else { per_slot });
    slots * batches / window_seconds.max(1.0)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn sample(minute: i64, leaderboard: f64, finals: f64, records: f64, write: f64) -> SinkSample {
        SinkSample {
            at: Timestamp::from_second(minute * 60).unwrap(),
            invocations: BTreeMap::from([("leaderboard".to_owned(), leaderboard), ("finals".to_owned(), finals)]),
            records,
            write,
            read: 0.0,
            throttled: false,
        }
    }

    fn inputs(leaderboard: f64, finals: f64, records: f64) -> SinkInputs {
        SinkInputs {
            invocations: BTreeMap::from([("leaderboard".to_owned(), leaderboard), ("finals".to_owned(), finals)]),
            records,
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_taken_at_its_dearest() {
        // One configuration only: 48 units may belong to one invocation, ten, or a thousand records.
        let samples: Vec<_> = (0..5).map(|m| sample(m, 1.0, 10.0, 1000.0, 48.0)).collect();
        let model = DemandModel::fit(&samples, Side::Write);
        assert!((model.units(&inputs(2.0, 10.0, 1000.0)) - 96.0).abs() < 1.0);
        assert!((model.units(&inputs(1.0, 10.0, 3000.0)) - 144.0).abs() < 1.0);
    }

    #[test]
    fn another_configuration_tells_invocations_from_records() {
        let mut samples: Vec<_> = (0..5).map(|m| sample(m, 1.0, 10.0, 1000.0, 48.0)).collect();
        samples.extend((5..15).map(|m| sample(m, 2.0, 10.0, 1000.0, 96.0)));
        let model = DemandModel::fit(&samples, Side::Write);
        assert!((model.units(&inputs(2.0, 10.0, 3000.0)) - 96.0).abs() < 6.0, "{model:?}");
        assert!((model.units(&inputs(4.0, 10.0, 1000.0)) - 192.0).abs() < 6.0, "{model:?}");
    }

    #[test]
    fn a_few_miscounted_minutes_do_not_bend_the_rule() {
        // A unit a record; five minutes in which a consumer that caught up was taken to fill its batches.
        let mut samples: Vec<_> = (0..40)
            .map(|m| (m, 1_000.0 + 250.0 * (m % 8) as f64))
            .map(|(m, records)| sample(m, 32.0, 0.0, records, records))
            .collect();
        samples.extend((40..45).map(|m| sample(m, 46.0, 0.0, 42_000.0, 8_000.0)));
        let model = DemandModel::fit(&samples, Side::Write);
        assert!((model.units(&inputs(32.0, 0.0, 10_000.0)) - 10_000.0).abs() < 100.0, "{model:?}");
        assert!((model.units(&inputs(320.0, 0.0, 1_000.0)) - 1_000.0).abs() < 10.0, "{model:?}");
    }

    #[test]
    fn bursts_are_kept_apart_from_the_rule() {
        let samples: Vec<_> =
            (0..20).map(|m| sample(m, 1.0, 10.0, 1000.0, if m % 5 == 4 { 115.0 } else { 48.0 })).collect();
        let model = DemandModel::fit(&samples, Side::Write);
        assert!((model.units(&inputs(1.0, 10.0, 1000.0)) - 48.0).abs() < 1.0, "{model:?}");
        assert!((model.burst_mean - 13.4).abs() < 1.0, "{}", model.burst_mean);
    }

    #[test]
    fn a_caught_up_consumer_is_invoked_once_a_poll_and_slot() {
        assert!((invocations_per_second(1.0, 1000.0, 0.0, 1000.0, false) - 1.0).abs() < 1e-9);
        assert!((invocations_per_second(20.0, 1000.0, 0.0, 1000.0, false) - 20.0).abs() < 1e-9);
        assert!((invocations_per_second(1.0, 100.0, 0.0, 1000.0, false) - 10.0).abs() < 1e-9);
        assert!((invocations_per_second(20.0, 1000.0, 0.0, 1000.0, true) - 1.0).abs() < 1e-9);
    }
}
