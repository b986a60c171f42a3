//! How an AWS call can fail, in the few classes that decide what happens next.

use serde::{Deserialize, Serialize};

/// What a failed call means for the caller. One table in `aws::errors` maps AWS codes and messages here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ErrorClass {
    /// Too many requests: wait and ask again.
    Throttled,
    /// A budget is used up (ten UpdateShardCount calls in 24 h, DynamoDB decreases): retrying does not help
    /// until it frees.
    QuotaExhausted,
    /// The resource is in transition: wait until it is settled.
    InUse,
    /// It does not exist.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The change asks for what is there already.
    NoChange,
    /// A setting or a limit refuses it: the request must change.
    Invalid,
    /// No credentials, expired ones, or not allowed: retrying is pointless.
    Denied,
    /// The endpoint could not be reached, timed out or broke off: the effect is unknown.
    Unreachable,
    /// AWS answered 5xx: the effect is unknown.
    ServerError,
    /// Our own allow-list refused the call before it left the process.
    Forbidden,
    /// A code this version does not know.
    Unknown,
}

impl ErrorClass {
    /// Whether the same request may succeed later without anyone changing anything.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Throttled | Self::InUse | Self::Unreachable | Self::ServerError)
    }

    /// Whether the call may have taken effect although it failed.
    pub fn effect_unknown(self) -> bool {
        matches!(self, Self::Unreachable | Self::ServerError | Self::Unknown)
    }
}

/// A failed AWS call, as told to a person or stored in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{operation} on {resource} failed: {code}: {message}{}", request_id.as_deref().map(|id| format!(" (request {id})")).unwrap_or_default())]
pub struct Failure {
    /// What it means.
    pub class: ErrorClass,
    /// `service:Operation`, e.g. `kinesis:UpdateShardCount`.
    pub operation: String,
    /// The resource as a [`super::ResourceId`] prints, or the account.
    pub resource: String,
    /// AWS error code, or a short word of ours.
    pub code: String,
    /// AWS's message.
    pub message: String,
    /// AWS request id, when there was an answer.
    pub request_id: Option<String>,
}
