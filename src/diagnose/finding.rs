//! `Finding`: one diagnosis with the numbers behind it and what to do about it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::ResourceId;

/// How urgent a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Will become a problem.
    Warning,
    /// Is one.
    Critical,
}

/// The causes this version tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Diagnosis {
    /// A needed signal is stale or absent.
    Blind,
    /// A resource is in transition.
    Actuating,
    /// One shard or key rejects while the stream as a whole has room.
    HotShard,
    /// The stream takes in less than is offered, or soon will.
    IngestShort,
    /// Write capacity of a table or index is short.
    SinkShort,
    /// Read capacity of a table or index is short.
    SinkReadShort,
    /// Write capacity is short and at its upper bound.
    SinkLimit,
    /// One partition key is at its 1,000 WCU/s: more capacity does not help.
    HotItem,
    /// The function fails for reasons of its own.
    FunctionFault,
    /// Invocations run into the function's timeout.
    FunctionTimeout,
    /// Reserved or account concurrency limits the consumer.
    ConcurrencyLimit,
    /// Shared readers are at the stream's read limit.
    ReadShort,
    /// The consumer has too few slots.
    ConsumerShort,
    /// The consumer lags and none of the known causes is there.
    Unknown,
    /// Iterator age approaches retention: records will be lost.
    RetentionAtRisk,
}

/// One number behind a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is, with its unit, e.g. `iterator age s`.
    pub name: String,
    /// Value.
    pub value: f64,
    /// The limit or threshold it is held against, if any.
    pub limit: Option<f64>,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Confidence {
    /// The numbers allow another cause as well; the summary names it.
    Low,
    /// The cause fits, and part of the evidence is missing or young.
    Medium,
    /// The numbers allow no other cause that is known here.
    High,
}

/// What a finding leads to when nobody acts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// What happens, e.g. `records are lost`.
    pub what: String,
    /// When, at the present course.
    pub at: Timestamp,
}

/// One diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The cause.
    pub diagnosis: Diagnosis,
    /// How urgent.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Where.
    pub resource: ResourceId,
    /// Start of the first minute of which this has been true since, as far as was looked back.
    pub since: Option<Timestamp>,
    /// What it leads to, when that can be told.
    pub outlook: Option<Outlook>,
    /// One sentence: what is seen and what it means.
    pub summary: String,
    /// The numbers.
    pub evidence: Vec<Evidence>,
    /// What the operator does about it.
    pub remedy: String,
    /// What a person must do where it is not the operator's to change.
    pub person: Option<String>,
}

impl Finding {
    /// The summary, with the resource in front where it does not name it.
    pub fn sentence(&self) -> String {
        let resource = self.resource.to_string();
        if self.summary.contains(&resource) { self.summary.clone() } else { format!("{resource}: {}", self.summary) }
    }
}
