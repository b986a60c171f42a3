//! Whatever CloudWatch says, or does not: no panic, no number that is none, no alarm about what is only missing.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::{
    Diagnosis, Severity, economy, estimates, review,
    scene::{MINUTES, Scene, minute},
};
use crate::{
    cost::PriceSheet,
    model::{Point, Signal},
};

/// What may be wrong with a value.
fn odd() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(f64::NAN)),
        1 => Just(Some(f64::INFINITY)),
        1 => Just(Some(-1.0)),
        1 => Just(Some(0.0)),
        2 => (0.0..1e12_f64).prop_map(Some),
        4 => (0.0..100_000.0_f64).prop_map(Some),
    ]
}

fn series() -> impl Strategy<Value = Signal> {
    prop::collection::vec(odd(), MINUTES as usize).prop_map(|values| {
        let points = values
            .into_iter()
            .enumerate()
            .filter_map(|(at, value)| Some(Point { at: minute(MINUTES - 1 - at as i64), value: value? }));
        Signal::of(points.collect(), minute(0))
    })
}

/// At least as many as the scene has.
const SIGNALS: usize = 64;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_that_is_published_breaks_a_rule(
        signals in prop::collection::vec(series(), SIGNALS),
        skew in -7_200_i64..7_200,
        changed in prop::option::of(-7_200_i64..7_200),
    ) {
        let mut scene = Scene::healthy();
        let mut signals = signals.into_iter();
        scene.signals.each(&mut |slot| *slot = signals.next().expect("enough of them"));
        scene.signals.observed_at += SignedDuration::from_secs(skew);
        let observed = scene.facts.observed_at;
        scene.mapping().last_modified = changed.map(|seconds| observed + SignedDuration::from_secs(seconds));
        let since = minute(MINUTES);
        let found = review(&scene.pipeline, &scene.policy, &scene.facts, &scene.signals, since);
        let prices = PriceSheet::us_east_1();
        let money = economy(&scene.pipeline, &scene.policy, &scene.facts, &scene.signals, &prices);
        for finding in found.findings.iter().chain(&money) {
            prop_assert!(finding.evidence.iter().all(|it| it.value.is_finite()), "{finding:?}");
            let said = format!("{} {} {:?}", finding.summary, finding.remedy, finding.person);
            prop_assert!(!said.contains("NaN") && !said.contains(" inf"), "{said}");
        }
        let estimates = estimates(&scene.pipeline, &scene.policy, &scene.facts, &scene.signals);
        prop_assert!(!format!("{estimates:?}").contains("NaN"), "{estimates:?}");
    }

    /// What is missing from a healthy pipeline is missing, and nothing else is found.
    #[test]
    fn gaps_in_a_healthy_pipeline_are_gaps(
        gaps in prop::collection::vec((0..SIGNALS, 0..MINUTES, 1..MINUTES, prop::option::of(odd())), 0..12),
    ) {
        let mut scene = Scene::healthy();
        for (which, from, length, instead) in gaps {
            let hit = |at| (from..from + length).any(|ago| minute(ago) == at);
            // A value is replaced by one that is none, or it is left out.
            let bad = instead.flatten().filter(|value| !value.is_finite() || *value < 0.0);
            let mut index = 0;
            scene.signals.each(&mut |signal| {
                if index == which {
                    let points = std::mem::take(&mut signal.points);
                    let points = points.into_iter().filter_map(|it| match (hit(it.at), bad) {
                        (false, _) => Some(it),
                        (true, Some(value)) => Some(Point { value, ..it }),
                        (true, None) => None,
                    });
                    *signal = Signal::of(points.collect(), minute(0));
                }
                index += 1;
            });
        }
        let blind = !scene.signals.stream.incoming_records.is_fresh();
        let findings = scene.findings();
        prop_assert!(
            findings.iter().all(|finding| finding.diagnosis == Diagnosis::Blind && finding.severity < Severity::Critical),
            "{findings:#?}"
        );
        prop_assert!(!blind || !findings.is_empty());
    }
}
