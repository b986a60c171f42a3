//! Retention: extended while a reader is so far behind that the stream will soon forget what it has not read.
//!
//! What always holds: it is only ever extended, inside the spec's bounds. Whoever wants it back lowers the bound, and
//! `plan` tells them what that loses.

use crate::{
    diagnose::{self, Diagnosis, Finding},
    model::{Hours, StreamFacts},
    spec::Pipeline,
};

use super::Target;

/// The retention to set now, if the findings say that records are at risk: the one that they name.
pub(super) fn target(pipeline: &Pipeline, live: &StreamFacts, findings: &[Finding]) -> Option<Target<Hours>> {
    let risk = findings.iter().find(|finding| finding.diagnosis == Diagnosis::RetentionAtRisk)?;
    Some(Target { value: diagnose::longer_retention(pipeline, live)?, reason: risk.summary.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::LifecycleStatus,
        scale::{
            Sizing,
            tests::{Load, Scene, held},
        },
    };

    /// A reader so many hours behind, with retention of 24 h and bounds up to `most`.
    fn behind(hours: f64, most: u32, change: impl Fn(&mut Scene)) -> Sizing {
        let mut scene = Scene::new();
        scene.pipeline.stream.retention.max = Hours(most);
        change(&mut scene);
        scene.cycle(&Load { age_seconds: hours * 3600.0, ..Load::race() }).1
    }

    fn wanted(sizing: &Sizing) -> Option<u32> {
        sizing.targets.retention.as_ref().map(|target| target.value.get())
    }

    #[test]
    fn retention_is_doubled_inside_its_bounds_when_a_reader_nears_half_of_it() {
        assert_eq!(wanted(&behind(5.0, 168, |_| ())), None);
        assert_eq!(wanted(&behind(13.0, 168, |_| ())), Some(48));
        assert_eq!(wanted(&behind(13.0, 30, |_| ())), Some(30));
        assert_eq!(wanted(&behind(13.0, 24, |_| ())), None, "the bound is the user's");
    }

    #[test]
    fn the_stream_takes_one_change_at_a_time_and_retention_goes_first() {
        let sizing = behind(13.0, 168, |_| ());
        assert_eq!((wanted(&sizing), sizing.targets.shards.is_some()), (Some(48), false));
        let updating = behind(13.0, 168, |scene| scene.stream().status = LifecycleStatus::Updating);
        assert_eq!(wanted(&updating), None);
        assert!(held(&updating, "in-transition"), "{:?}", updating.holds);
    }
}
