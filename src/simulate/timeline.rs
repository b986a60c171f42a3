//! The story of a run: what was found, done, refused and held back, one line each, from the reports of the passes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    apply,
    daemon::Report,
    diagnose::{Diagnosis, Severity},
    model::ResourceId,
};

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What kind of line.
    pub kind: EventKind,
    /// On what.
    pub resource: String,
    /// In words.
    pub text: String,
}

/// Kinds of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// A diagnosis begins.
    Finding,
    /// A diagnosis is over.
    Cleared,
    /// The operator changes something.
    Action,
    /// AWS refused a change.
    Refused,
    /// The operator wants a change and waits.
    Held,
}

/// Turns reports into lines: only what begins, ends or is done.
pub struct Teller<'a> {
    operator: bool,
    tell: &'a mut dyn FnMut(&Event),
    open: BTreeSet<(Diagnosis, ResourceId)>,
    /// Findings of the passes before, so that one quiet minute does not end a story.
    recent: Vec<BTreeSet<(Diagnosis, ResourceId)>>,
    held: BTreeSet<(ResourceId, String)>,
    blind_passes: u32,
    /// What was told so far.
    pub events: Vec<Event>,
}

/// A diagnosis is over when it was absent for so many passes: a race lasts five minutes, and a throttle at its
/// end comes back with the next.
const CLEAR_AFTER: usize = 7;
/// So many passes in a row without a needed metric are worth a line.
const BLIND_AFTER: u32 = 5;

impl<'a> Teller<'a> {
    /// Tells what is found, and with `operator` what is done about it.
    pub fn new(operator: bool, tell: &'a mut dyn FnMut(&Event)) -> Self {
        Self {
            operator,
            tell,
            open: BTreeSet::new(),
            recent: Vec::new(),
            held: BTreeSet::new(),
            blind_passes: 0,
            events: Vec::new(),
        }
    }

    fn say(&mut self, at: Timestamp, kind: EventKind, resource: String, text: String) {
        let event = Event { at, kind, resource, text };
        (self.tell)(&event);
        self.events.push(event);
    }

    /// Hears one pass.
    pub fn hear(&mut self, report: &Report) {
        let blind = report.findings.iter().any(|finding| finding.diagnosis == Diagnosis::Blind);
        self.blind_passes = if blind { self.blind_passes + 1 } else { 0 };
        // A metric that is a few minutes late, or not there yet, is no story.
        let blind = self.blind_passes >= BLIND_AFTER;
        let worth = |diagnosis: Diagnosis, severity: Severity| {
            severity > Severity::Info && diagnosis != Diagnosis::Actuating && (diagnosis != Diagnosis::Blind || blind)
        };
        let now: BTreeSet<_> = report
            .findings
            .iter()
            .filter(|finding| worth(finding.diagnosis, finding.severity))
            .map(|finding| (finding.diagnosis, finding.resource.clone()))
            .collect();
        for finding in &report.findings {
            let key = (finding.diagnosis, finding.resource.clone());
            if now.contains(&key) && self.open.insert(key) {
                let text = format!("{}: {}", finding.diagnosis, finding.summary);
                self.say(report.at, EventKind::Finding, finding.resource.to_string(), text);
            }
        }
        self.recent.push(now);
        if self.recent.len() > CLEAR_AFTER {
            self.recent.remove(0);
            let over: Vec<_> =
                self.open.iter().filter(|key| self.recent.iter().all(|past| !past.contains(*key))).cloned().collect();
            for key in over {
                self.open.remove(&key);
                self.say(report.at, EventKind::Cleared, key.1.to_string(), format!("{} is over.", key.0));
            }
        }
        if self.operator {
            self.actions(report);
        }
    }

    fn actions(&mut self, report: &Report) {
        for (step, result) in &report.performed {
            let resource = apply::resource(step);
            let fields: Vec<_> = report
                .plan
                .iter()
                .flat_map(|plan| &plan.changes)
                .filter(|change| same_call(&change.resource, &resource))
                .flat_map(|change| &change.fields)
                .map(|field| {
                    let before = field.before.as_deref().unwrap_or("none");
                    let after = field.after.as_deref().unwrap_or("none");
                    format!("{} {before} -> {after} ({})", field.path, field.reason)
                })
                .collect();
            match result {
                Ok(()) => self.say(report.at, EventKind::Action, resource.to_string(), fields.join("; ")),
                Err(failure) => self.say(report.at, EventKind::Refused, resource.to_string(), failure.to_string()),
            }
        }
        let held: BTreeSet<_> = report
            .sizing
            .holds
            .iter()
            .filter(|hold| {
                matches!(
                    hold.guard.as_str(),
                    "sink-first" | "sink-limit" | "quota" | "not-the-bottleneck" | "ineffective"
                )
            })
            .map(|hold| (hold.resource.clone(), hold.guard.clone()))
            .collect();
        for hold in &report.sizing.holds {
            let key = (hold.resource.clone(), hold.guard.clone());
            if held.contains(&key) && !self.held.contains(&key) {
                self.say(report.at, EventKind::Held, hold.resource.to_string(), format!("waits: {}", hold.reason));
            }
        }
        self.held = held;
    }
}

/// A table and its indexes change in one call.
fn same_call(one: &ResourceId, other: &ResourceId) -> bool {
    let table = |id: &ResourceId| match id {
        ResourceId::Table(name) | ResourceId::Index(name, _) => Some(name.clone()),
        _ => None,
    };
    one == other || (table(one).is_some() && table(one) == table(other))
}
