//! The results as tables: violation minutes and cost ratio by policy, the marks, who dominates.

use std::{collections::BTreeMap, fmt::Write as _};

use alleycat_operator::simulate::{
    Figures, Policy,
    marks::{Judged, Mark},
};

use super::{Named, cells::Key, rows::Row};

/// A baseline that costs this share of ours at no more violation minutes dominates.
const CHEAPER: f64 = 0.98;
/// A baseline with so many violation minutes fewer at no higher cost dominates.
const FEWER: f64 = 2.0;
/// Below this mean over peak, static-at-peak has to cost so many times ours.
const UNEVEN: (f64, f64) = (0.35, 1.5);

/// What was played.
pub struct Results {
    pub rows: Vec<Row>,
    pub policies: Vec<Named>,
    pub played: BTreeMap<Key, Figures>,
}

/// What a row comes to for ours.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The marks to pass, and whatever else every row holds.
    pub pass: Vec<Judged>,
    /// The ambitious ones.
    pub goal: Vec<Judged>,
}

impl Verdict {
    /// `pass`, `FAIL`, or nothing to reach.
    pub fn word(marks: &[Judged]) -> &'static str {
        match marks {
            [] => "-",
            marks if marks.iter().all(|mark| mark.reached) => "yes",
            _ => "NO",
        }
    }
}

impl Results {
    /// A policy's runs of a row, seed by seed.
    pub fn runs<'a>(&'a self, row: &'a Row, policy: &'a str) -> impl Iterator<Item = (u64, &'a Figures)> {
        let key = move |seed| (row.name.clone(), policy.to_owned(), seed);
        (1..=row.seeds).filter_map(move |seed| Some((seed, self.played.get(&key(seed))?)))
    }

    /// The mean of a figure over the seeds.
    pub fn mean(&self, row: &Row, policy: &str, of: impl Fn(&Figures) -> f64) -> Option<f64> {
        let found: Vec<f64> = self.runs(row, policy).map(|(_, figures)| of(figures)).collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    }

    /// Violation minutes and dollars of what scaling changes.
    pub fn point(&self, row: &Row, policy: &str) -> Option<(f64, f64)> {
        let minutes = self.mean(row, policy, |it| it.measures.violation_minutes.total as f64)?;
        Some((minutes, self.mean(row, policy, |it| it.measures.cost.scaled_usd)?))
    }

    /// `VM / CR`.
    pub fn cell(&self, row: &Row, policy: &str) -> String {
        let minutes = self.mean(row, policy, |it| it.measures.violation_minutes.total as f64);
        let ratio = self.mean(row, policy, |it| it.measures.cost.ratio_to_clairvoyant.unwrap_or(f64::NAN));
        match (minutes, ratio) {
            (Some(minutes), Some(ratio)) => format!("{} / {ratio:.2}", short(minutes)),
            _ => "-".to_owned(),
        }
    }

    /// What a row comes to for ours. A mark holds when it holds with every seed.
    pub fn verdict(&self, row: &Row) -> Verdict {
        let mut verdict = Verdict::default();
        let marks = |marks: &[Mark]| marks.iter().map(|mark| self.judged(row, *mark)).collect::<Vec<_>>();
        if let Some(scenario) = row.scenario {
            (verdict.pass, verdict.goal) = (marks(scenario.pass), marks(scenario.goal));
        } else {
            verdict.pass = self.against_baselines(row);
        }
        let breaches: Vec<String> =
            self.runs(row, Policy::OPERATOR).flat_map(|(_, figures)| figures.breaches(row.scenario)).collect();
        verdict.pass.extend(breaches.into_iter().map(|text| Judged { text, reached: false }));
        verdict
    }

    /// The worst seed's judgement.
    fn judged(&self, row: &Row, mark: Mark) -> Judged {
        let judge = |(seed, figures): (u64, &Figures)| {
            let base = |name: &str| {
                let found = self.played.get(&(name.to_owned(), Policy::OPERATOR.to_owned(), seed));
                found.map(|figures| figures.measures.violation_minutes.total)
            };
            mark.judge(figures, &base)
        };
        let all: Vec<Judged> = self.runs(row, Policy::OPERATOR).map(judge).collect();
        let worst = all.iter().find(|it| !it.reached).or(all.last()).cloned();
        worst.unwrap_or_else(|| Judged { text: format!("not played: {mark:?}"), reached: false })
    }

    /// That no provisioned baseline dominates ours, and that an uneven load costs less than its peak.
    fn against_baselines(&self, row: &Row) -> Vec<Judged> {
        let Some(ours) = self.point(row, Policy::OPERATOR) else { return Vec::new() };
        let mut judged = Vec::new();
        for named in self.policies.iter().filter(|it| it.name != Policy::OPERATOR && it.policy.is_provisioned()) {
            if matches!(named.policy, Policy::Operator(_)) {
                continue;
            }
            let Some(theirs) = self.point(row, &named.name) else { continue };
            let reached = !dominates(theirs, ours);
            let text = format!("{} {}", named.name, if reached { "does not dominate" } else { "dominates" });
            judged.push(Judged { text, reached });
            let uneven = self.mean(row, Policy::OPERATOR, |it| it.mean_over_peak).is_some_and(|it| it < UNEVEN.0);
            if named.policy == Policy::StaticPeak && uneven {
                let ratio = theirs.1 / ours.1;
                let text = format!("static at peak costs {ratio:.2} times ours, at least {}", UNEVEN.1);
                judged.push(Judged { text, reached: ratio >= UNEVEN.1 });
            }
        }
        judged
    }

    /// All of it, for a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (title, held_out) in [("used for tuning", false), ("held out of all tuning", true)] {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.held_out == held_out).collect();
            if rows.is_empty() {
                continue;
            }
            let _ = write!(out, "\nviolation minutes / cost over the clairvoyant's; {title}\n\n{:<38}", "");
            for named in &self.policies {
                let _ = write!(out, "{:>17}", named.name);
            }
            out.push_str("  pass goal\n");
            for row in rows {
                let _ = write!(out, "{:<38}", row.name);
                for named in &self.policies {
                    let _ = write!(out, "{:>17}", self.cell(row, &named.name));
                }
                let verdict = self.verdict(row);
                let _ = writeln!(out, "  {:<4} {}", Verdict::word(&verdict.pass), Verdict::word(&verdict.goal));
                for (name, marks) in [("pass", &verdict.pass), ("goal", &verdict.goal)] {
                    for missed in marks.iter().filter(|mark| !mark.reached) {
                        let _ = writeln!(out, "    {name} missed: {}", missed.text);
                    }
                }
            }
        }
        out
    }
}

/// Whether one (violation minutes, dollars) is plainly better than another.
fn dominates(theirs: (f64, f64), ours: (f64, f64)) -> bool {
    (theirs.0 <= ours.0 && theirs.1 <= CHEAPER * ours.1) || (theirs.0 <= ours.0 - FEWER && theirs.1 <= ours.1)
}

/// `12`, `12.4`.
pub fn short(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
