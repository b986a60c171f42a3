//! [`Decision`]: one cycle's decision as it is kept, and what it was expected to lead to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    diagnose::{Diagnosis, Finding},
    model::ResourceId,
    scale::{Hold, Targets, Term},
};

/// One cycle's decision: what was seen, concluded and done. Only cycles that change something, or hold back something
/// else than before, are stored. What a record of an older version lacks is empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Ascending number inside the store.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// The findings.
    pub findings: Vec<Finding>,
    /// The formula terms.
    pub terms: Vec<Term>,
    /// What was held back.
    pub holds: Vec<Hold>,
    /// What was done, in words, by resource.
    pub actions: Vec<(ResourceId, String)>,
    /// What each resource was to become, with the reason.
    #[serde(default)]
    pub targets: Targets,
    /// What was wanted and waited for something else, in words.
    #[serde(default)]
    pub waits: Vec<String>,
    /// What was left of AWS's budgets, before it acted.
    #[serde(default)]
    pub quota: Option<QuotaThen>,
    /// What it changed in cost.
    #[serde(default)]
    pub cost: Option<CostThen>,
    /// Which spec and policy it followed: fingerprints.
    #[serde(default)]
    pub rules: Option<Rules>,
    /// What it should lead to, and whether it did; `None` when nothing was done.
    #[serde(default)]
    pub expectation: Option<Expectation>,
}

/// AWS's budgets at a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaThen {
    /// UpdateShardCount calls used in the 24 h before.
    pub reshards_used: u32,
    /// How many there are.
    pub reshards_limit: u32,
    /// AWS had refused a call: none before this.
    pub exhausted_until: Option<Timestamp>,
    /// Capacity decreases of each provisioned table and index in that UTC day.
    pub decreases: Vec<(ResourceId, u32)>,
}

/// Cost at rest, dollars an hour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CostThen {
    /// As it was.
    pub before: f64,
    /// Once what was accepted has taken effect.
    pub after: f64,
}

/// Which rules a decision followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    /// Fingerprint of the spec.
    pub spec: String,
    /// Fingerprint of the scaling policy.
    pub policy: String,
    /// The operator's version.
    pub version: String,
}

/// What a decision should lead to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// Values that AWS should show.
    pub values: Vec<ExpectedValue>,
    /// Findings of that moment that should be gone.
    pub clears: Vec<(Diagnosis, ResourceId)>,
    /// Findings that should not come: of what was lowered.
    pub keeps_away: Vec<(Diagnosis, ResourceId)>,
    /// When all of it should be so.
    pub by: Timestamp,
    /// Records/s offered at that moment; `None` when it was not known.
    pub offered: Option<f64>,
    /// Whether it came true; `None` while that is open.
    pub verdict: Option<Verdict>,
}

/// A value that AWS should show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedValue {
    /// Whose.
    pub resource: ResourceId,
    /// The field, as in the spec.
    pub field: String,
    /// What it should be.
    pub value: u64,
    /// When it was seen to be so.
    pub seen: Option<Timestamp>,
}

/// Whether an expectation came true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// When it was judged.
    pub at: Timestamp,
    /// Whether.
    pub came: Came,
    /// Why, in words with numbers.
    pub why: String,
}

/// Whether something came as expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Came {
    /// It did.
    True,
    /// It did not.
    Not,
    /// It cannot be said: the load changed, or nothing was measured.
    Inconclusive,
}
