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

/// The causes that are told apart, in the order of an answer whose findings are equally urgent: the way of the data,
/// what a cause leads to after it, then what is only worth knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Diagnosis {
    /// Calls that put records fail, and throttling does not explain it.
    ProducersFailing,
    /// Far fewer records come in than a short time ago.
    ProducersSilent,
    /// One shard or key rejects while the stream as a whole has room.
    HotShard,
    /// The stream takes in less than is offered, or soon will.
    IngestShort,
    /// A quota of the account refuses what the table itself would take.
    AccountLimit,
    /// The maximum somebody set on an on-demand table refuses writes.
    OnDemandMaximum,
    /// Write capacity is short and at its upper bound.
    SinkLimit,
    /// Write capacity of a table or index is short.
    SinkShort,
    /// One partition key is at its 1,000 WCU/s: more capacity does not help.
    HotItem,
    /// Read capacity of a table or index is short.
    SinkReadShort,
    /// The execution role lacks a right that the mapping needs.
    PermissionDenied,
    /// The mapping is switched off: nothing is read.
    MappingDisabled,
    /// Lambda reports a problem with the mapping, or it is stuck.
    MappingFailing,
    /// So many readers share the stream that each waits for the others.
    TooManyReaders,
    /// Shared readers are at the stream's read limit.
    ReadShort,
    /// GetRecords calls fail, and throttling does not explain it.
    ReadsFailing,
    /// Reserved or account concurrency limits the consumer.
    ConcurrencyLimit,
    /// One batch is retried again and again and blocks its shard.
    PoisonRecord,
    /// The function fails for reasons of its own.
    FunctionFault,
    /// Invocations run into the function's timeout.
    FunctionTimeout,
    /// The function waits for its share of a vCPU: more memory brings more.
    ComputeBound,
    /// The consumer has too few slots.
    ConsumerShort,
    /// Records were given up after their retries, or their delivery elsewhere failed.
    RecordsDropped,
    /// Iterator age approaches retention: records will be lost.
    RetentionAtRisk,
    /// A needed signal is stale or absent.
    Blind,
    /// The consumer lags and none of the known causes is there.
    Unknown,
    /// A resource is in transition.
    Actuating,
    /// Far more is provisioned than was used.
    OverProvisioned,
    /// On-demand billing would cost less at the measured load.
    OnDemandCheaper,
    /// Provisioned billing would cost less at the measured load.
    ProvisionedCheaper,
    /// What enhanced fan-out would cost here, and whether it is worth it.
    FanOutWorth,
}

impl Diagnosis {
    /// Every code, in the order of an answer.
    pub const ALL: [Self; 31] = [
        Self::ProducersFailing,
        Self::ProducersSilent,
        Self::HotShard,
        Self::IngestShort,
        Self::AccountLimit,
        Self::OnDemandMaximum,
        Self::SinkLimit,
        Self::SinkShort,
        Self::HotItem,
        Self::SinkReadShort,
        Self::PermissionDenied,
        Self::MappingDisabled,
        Self::MappingFailing,
        Self::TooManyReaders,
        Self::ReadShort,
        Self::ReadsFailing,
        Self::ConcurrencyLimit,
        Self::PoisonRecord,
        Self::FunctionFault,
        Self::FunctionTimeout,
        Self::ComputeBound,
        Self::ConsumerShort,
        Self::RecordsDropped,
        Self::RetentionAtRisk,
        Self::Blind,
        Self::Unknown,
        Self::Actuating,
        Self::OverProvisioned,
        Self::OnDemandCheaper,
        Self::ProvisionedCheaper,
        Self::FanOutWorth,
    ];

    /// The name in JSON, docs and `explain`.
    pub fn code(self) -> &'static str {
        match self {
            Self::ProducersFailing => "PRODUCERS_FAILING",
            Self::ProducersSilent => "PRODUCERS_SILENT",
            Self::HotShard => "HOT_SHARD",
            Self::IngestShort => "INGEST_SHORT",
            Self::AccountLimit => "ACCOUNT_LIMIT",
            Self::OnDemandMaximum => "ON_DEMAND_MAXIMUM",
            Self::SinkLimit => "SINK_LIMIT",
            Self::SinkShort => "SINK_SHORT",
            Self::HotItem => "HOT_ITEM",
            Self::SinkReadShort => "SINK_READ_SHORT",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::MappingDisabled => "MAPPING_DISABLED",
            Self::MappingFailing => "MAPPING_FAILING",
            Self::TooManyReaders => "TOO_MANY_READERS",
            Self::ReadShort => "READ_SHORT",
            Self::ReadsFailing => "READS_FAILING",
            Self::ConcurrencyLimit => "CONCURRENCY_LIMIT",
            Self::PoisonRecord => "POISON_RECORD",
            Self::FunctionFault => "FUNCTION_FAULT",
            Self::FunctionTimeout => "FUNCTION_TIMEOUT",
            Self::ComputeBound => "COMPUTE_BOUND",
            Self::ConsumerShort => "CONSUMER_SHORT",
            Self::RecordsDropped => "RECORDS_DROPPED",
            Self::RetentionAtRisk => "RETENTION_AT_RISK",
            Self::Blind => "BLIND",
            Self::Unknown => "UNKNOWN",
            Self::Actuating => "ACTUATING",
            Self::OverProvisioned => "OVER_PROVISIONED",
            Self::OnDemandCheaper => "ON_DEMAND_CHEAPER",
            Self::ProvisionedCheaper => "PROVISIONED_CHEAPER",
            Self::FanOutWorth => "FAN_OUT_WORTH",
        }
    }
}

impl std::fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.code())
    }
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

impl Outlook {
    /// What a lag that loses no records leads to.
    pub const DRAINED: &str = "the backlog is drained";
}

/// What lies further ahead than this is not foretold: 30 days.
const FAR_SECONDS: f64 = 30.0 * 86_400.0;

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
    /// A finding of high confidence with a cause, a place and a sentence; the rest is added.
    pub(crate) fn new(
        diagnosis: Diagnosis,
        severity: Severity,
        resource: ResourceId,
        summary: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            diagnosis,
            severity,
            confidence: Confidence::High,
            resource,
            since: None,
            outlook: None,
            summary: summary.into(),
            evidence: Vec::new(),
            remedy: remedy.into(),
            person: None,
        }
    }

    /// How sure it is.
    #[must_use]
    pub(super) fn sure(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    /// The numbers behind it.
    #[must_use]
    pub(super) fn with(mut self, evidence: Vec<Evidence>) -> Self {
        self.evidence = evidence;
        self
    }

    /// What a person must do.
    #[must_use]
    pub(super) fn person(mut self, person: impl Into<String>) -> Self {
        self.person = Some(person.into());
        self
    }

    /// What it leads to, so many seconds after `from`; nothing when the moment cannot be named.
    #[must_use]
    pub(super) fn leads_to(mut self, what: &str, from: Timestamp, seconds: Option<f64>) -> Self {
        let at = seconds
            .filter(|seconds| (0.0..FAR_SECONDS).contains(seconds))
            .and_then(|seconds| from.checked_add(jiff::SignedDuration::from_secs(seconds as i64)).ok());
        self.outlook = at.map(|at| Outlook { what: what.to_owned(), at });
        self
    }

    /// The summary, with the resource in front where it does not name it.
    pub fn sentence(&self) -> String {
        let resource = self.resource.to_string();
        if self.summary.contains(&resource) { self.summary.clone() } else { format!("{resource}: {}", self.summary) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_what_json_says_and_stands_at_its_place() {
        for code in Diagnosis::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.code());
        }
        assert!(Diagnosis::ALL.is_sorted());
    }
}
