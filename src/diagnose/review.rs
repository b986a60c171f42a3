//! The rules over a window of time: what is found now, since when, and what was found before. Pure.
//!
//! What always holds: each minute is judged from what the rules would have seen in it ([`Signals::as_of`]), with the
//! configuration of today, because AWS keeps no history of it. What is only a state of this moment is left out of it.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    model::{Facts, LifecycleStatus, MappingState, ResourceId, Signals},
    spec::{Pipeline, ScalingPolicy},
};

use super::{Diagnosis, Finding, Severity, diagnose};

/// A finding that goes away for no longer than this has not gone: minutes come late, and bursts have pauses.
const PAUSE: SignedDuration = SignedDuration::from_mins(3);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// One cause at one resource, for as long as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Episode {
    /// The cause.
    pub diagnosis: Diagnosis,
    /// Where.
    pub resource: ResourceId,
    /// The most urgent it was.
    pub severity: Severity,
    /// Start of the first minute it was found in.
    pub from: Timestamp,
    /// End of the last.
    pub to: Timestamp,
}

/// What the rules say of a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// What is found now, causes first, with [`Finding::since`].
    pub findings: Vec<Finding>,
    /// What was found in the window, now included, in the order of their beginning.
    pub episodes: Vec<Episode>,
}

/// Judges each minute from `since` until the newest expected one.
pub fn review(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: &Signals,
    since: Timestamp,
) -> Review {
    let mut episodes: Vec<Episode> = Vec::new();
    let mut findings = Vec::new();
    let past = lasting(facts);
    let mut minute = since.min(signals.newest_expected);
    while minute <= signals.newest_expected {
        // What is found now may use all that was measured; what was found earlier, what the daemon would have seen.
        findings = if minute + MINUTE <= signals.newest_expected {
            diagnose(pipeline, policy, &past, &signals.as_of(minute), None)
        } else {
            diagnose(pipeline, policy, facts, signals, None)
        };
        findings.iter().for_each(|finding| note(&mut episodes, finding, minute));
        minute += MINUTE;
    }
    for finding in &mut findings {
        let of = |episode: &&Episode| is_of(episode, finding);
        let from = episodes.iter().rev().find(of).map(|episode| episode.from);
        // What only a state of this moment says may be older.
        let momentary = [Diagnosis::PermissionDenied, Diagnosis::MappingFailing, Diagnosis::Actuating];
        let new = from.is_some_and(|from| from + MINUTE > signals.newest_expected);
        finding.since = from.filter(|_| !(new && momentary.contains(&finding.diagnosis)));
    }
    Review { findings, episodes }
}

/// The facts without what is true of this moment only, and says nothing of an earlier one: what is in transition, the
/// last result of a mapping, and a function that is gone.
fn lasting(facts: &Facts) -> Facts {
    let mut past = facts.clone();
    past.mappings.retain(|mapping| mapping.function_name().is_some_and(|name| facts.functions.contains_key(&name)));
    for mapping in &mut past.mappings {
        mapping.last_processing_result = None;
        if !mapping.state.is_settled() && mapping.state != MappingState::Disabling {
            mapping.state = MappingState::Enabled;
        }
    }
    past.stream.iter_mut().for_each(|stream| stream.status = LifecycleStatus::Active);
    for table in past.tables.values_mut() {
        table.status = LifecycleStatus::Active;
        table.global_secondary_indexes.values_mut().for_each(|index| index.status = LifecycleStatus::Active);
    }
    past
}

fn is_of(episode: &Episode, finding: &Finding) -> bool {
    episode.diagnosis == finding.diagnosis && episode.resource == finding.resource
}

fn note(episodes: &mut Vec<Episode>, finding: &Finding, minute: Timestamp) {
    let running = episodes.iter_mut().rev().find(|it| is_of(it, finding) && minute.duration_since(it.to) <= PAUSE);
    match running {
        Some(episode) => {
            episode.to = minute + MINUTE;
            episode.severity = episode.severity.max(finding.severity);
        }
        None => episodes.push(Episode {
            diagnosis: finding.diagnosis,
            resource: finding.resource.clone(),
            severity: finding.severity,
            from: minute,
            to: minute + MINUTE,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::scene::{Scene, lately, minute},
        *,
    };

    fn judged(scene: &Scene) -> Review {
        review(&scene.pipeline, &scene.policy, &scene.facts, &scene.signals, minute(15))
    }

    #[test]
    fn a_finding_knows_its_beginning_and_a_past_one_its_end() {
        let scene = Scene::with(|scene| {
            scene.sink().write_throttles = lately(0.0, 6, 9.0);
            for point in &mut scene.consumer().errors.points {
                let ago = minute(0).duration_since(point.at).as_mins();
                point.value = if (11..14).contains(&ago) { 200.0 } else { 0.0 };
            }
        });
        let found = judged(&scene);
        assert_eq!(found.findings[0].since, Some(minute(5)));
        let fault = found.episodes.iter().find(|it| it.diagnosis == Diagnosis::FunctionFault).unwrap();
        // It looks at three minutes, so it ends two after the last failure.
        assert_eq!((fault.from, fault.to), (minute(13), minute(8)));
    }

    #[test]
    fn a_state_of_this_moment_is_not_said_of_the_past() {
        let scene = Scene::with(|scene| {
            scene.mapping().last_processing_result = Some("PROBLEM: access denied".to_owned());
        });
        let found = judged(&scene);
        assert_eq!((found.findings[0].diagnosis, found.findings[0].since), (Diagnosis::PermissionDenied, None));
        assert_eq!(found.episodes[0].from, minute(0));
        let off = Scene::with(|scene| {
            scene.mapping().state = MappingState::Disabled;
            scene.mapping().last_modified = Some(minute(4));
        });
        let found = judged(&off);
        // As of a minute, what was changed until the metrics' delay after it is known.
        assert_eq!(found.findings[0].since, Some(minute(7)));
    }
}
