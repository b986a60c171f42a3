//! What an operation answers when it does not succeed.

use serde_json::{Map, Value};

/// What an operation gives: its output members, or AWS's refusal.
pub(in crate::twin) type Answer = Result<Value, Refusal>;

/// An AWS error: status, code and message, and members of its shape beyond the message.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::twin) struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub extra: Map<String, Value>,
    pub cause: Cause,
}

/// What the audit wants to know of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::twin) enum Cause {
    /// A budget is used up.
    Quota,
    /// The resource is in transition.
    Transition,
    Other,
}

impl Refusal {
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), extra: Map::new(), cause: Cause::Other }
    }

    pub fn for_cause(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.extra.insert(member.to_owned(), value);
        self
    }

    /// A value outside the model's constraints, in the words of AWS's own front end.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    /// "1 validation error detected: …".
    pub fn constraint(value: &str, member: &str, constraint: &str) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must {constraint}"
        ))
    }

    pub fn unknown_operation() -> Self {
        Self::new(400, "UnknownOperationException", "")
    }
}
