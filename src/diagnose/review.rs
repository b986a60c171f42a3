//! The rules over a window of time: what is found now, since when, and what was found before. Pure.
//!
//! What always holds: each minute is judged from what the rules would have seen in it ([`Signals::as_of`]), with the
//! configuration of today, because AWS keeps no history of it.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    model::{Facts, ResourceId, Signals},
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
    let mut minute = since.min(signals.newest_expected);
    while minute <= signals.newest_expected {
        findings = diagnose(pipeline, policy, facts, &signals.as_of(minute));
        findings.iter().for_each(|finding| note(&mut episodes, finding, minute));
        minute += MINUTE;
    }
    for finding in &mut findings {
        let of = |episode: &&Episode| is_of(episode, finding);
        finding.since = episodes.iter().rev().find(of).map(|episode| episode.from);
    }
    Review { findings, episodes }
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
