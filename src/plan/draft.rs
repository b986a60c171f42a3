//! A plan while it is being made.

use jiff::SignedDuration;

use crate::{
    cost,
    model::{ResourceId, UsdPerHour},
};

use super::{
    Action, Blocked, Change, CostEstimate, FORMAT_VERSION, FieldChange, Input, Owner, Plan, QuotaUse, Risk, Step,
    common_warnings,
};

/// What has been decided so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub changes: Vec<Change>,
    pub blocked: Vec<Blocked>,
    pub unchanged: Vec<ResourceId>,
    pub owned_by_scaler: Vec<String>,
    pub warnings: Vec<String>,
    /// The consumer that is being moved to or from fan-out, or will be by this plan.
    pub moving: Option<String>,
}

/// What one change of a resource consists of.
#[derive(Debug)]
pub(super) struct Work {
    pub fields: Vec<FieldChange>,
    pub steps: Vec<Step>,
    pub quota: Vec<QuotaUse>,
    pub risk: Risk,
    pub expected: SignedDuration,
    pub cost_delta: UsdPerHour,
    pub wait: Option<String>,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            steps: Vec::new(),
            quota: Vec::new(),
            risk: Risk::None,
            expected: SignedDuration::ZERO,
            cost_delta: UsdPerHour(0.0),
            wait: None,
        }
    }
}

impl Work {
    /// One more call, which takes about `expected`.
    pub fn step(&mut self, step: Step, expected: SignedDuration) {
        self.steps.push(step);
        self.expected = self.expected.saturating_add(expected);
    }

    /// One more field.
    pub fn field(&mut self, field: FieldChange) {
        self.fields.push(field);
    }

    /// The more dangerous of what it was and `risk`.
    pub fn risk(&mut self, risk: Risk) {
        self.risk = self.risk.max(risk);
    }

    /// Everything of `other` after everything of this one.
    pub fn append(&mut self, other: Self) {
        self.fields.extend(other.fields);
        self.steps.extend(other.steps);
        self.quota.extend(other.quota);
        self.risk = self.risk.max(other.risk);
        self.expected = self.expected.saturating_add(other.expected);
        self.cost_delta = self.cost_delta + other.cost_delta;
        self.wait = self.wait.take().or(other.wait);
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The reasons of its fields in one sentence; several reasons are joined, equal ones said once.
    fn reason(&self) -> String {
        let mut reasons: Vec<&str> = Vec::new();
        for field in &self.fields {
            if !reasons.contains(&field.reason.as_str()) {
                reasons.push(&field.reason);
            }
        }
        reasons.join("; ")
    }
}

/// A field whose value the spec says.
pub(super) fn spec_field(path: &str, before: Option<String>, after: Option<String>, reason: &str) -> FieldChange {
    FieldChange { path: path.to_owned(), before, after, owner: Owner::Spec, reason: reason.to_owned() }
}

/// A field of something that is created.
pub(super) fn new_field(path: &str, value: impl std::fmt::Display) -> FieldChange {
    spec_field(path, None, Some(value.to_string()), "does not exist yet")
}

impl Draft {
    /// Adds a change unless there is nothing to call. Returns whether it did.
    pub fn change(&mut self, resource: &ResourceId, action: Action, reason: Option<String>, work: Work) -> bool {
        if work.is_empty() {
            return false;
        }
        let reason = reason.unwrap_or_else(|| work.reason());
        self.changes.push(Change {
            resource: resource.clone(),
            action,
            reason,
            fields: work.fields,
            steps: work.steps,
            risk: work.risk,
            quota: work.quota,
            expected: work.expected,
            wait: work.wait,
            cost_delta: work.cost_delta,
        });
        true
    }

    pub fn block(&mut self, resource: &ResourceId, code: &str, reason: String, hint: String) {
        self.blocked.push(Blocked { resource: resource.clone(), code: code.to_owned(), reason, hint });
    }

    /// Whether this plan refuses to touch `resource` at all.
    pub fn refuses(&self, resource: &ResourceId) -> bool {
        self.blocked.iter().any(|blocked| blocked.resource == *resource && blocked.is_conflict())
    }

    /// Notes `resource` as unchanged when nothing was decided about it.
    pub fn settle(&mut self, resource: ResourceId) {
        let decided = self.changes.iter().any(|change| change.resource == resource)
            || self.blocked.iter().any(|blocked| blocked.resource == resource);
        if !decided {
            self.unchanged.push(resource);
        }
    }

    pub fn cost_after(&self, before: UsdPerHour) -> UsdPerHour {
        before + self.changes.iter().map(|change| change.cost_delta).sum()
    }

    pub fn finish(self, input: &Input<'_>, confirmed_name: Option<&str>) -> Plan {
        let before = cost::of_facts(input.facts, input.prices);
        let after = self.cost_after(before);
        // What is said about every plan is no news about one that changes nothing.
        let mut warnings = if self.changes.is_empty() { Vec::new() } else { common_warnings(input) };
        warnings.extend(self.warnings);
        Plan {
            format_version: FORMAT_VERSION.to_owned(),
            pipeline: input.pipeline.name.clone(),
            account: input.facts.account.clone(),
            region: input.facts.region.clone(),
            observed_at: input.facts.observed_at,
            changes: self.changes,
            blocked: self.blocked,
            unchanged: self.unchanged,
            owned_by_scaler: self.owned_by_scaler,
            cost: CostEstimate { before, after },
            warnings,
            confirmed_name: confirmed_name.map(str::to_owned),
        }
    }
}
