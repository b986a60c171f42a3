//! The AWS side: SDK clients, one file a service; the gate that every request passes; the table of
//! operations with their IAM rights; the one table of error classes.
//!
//! What always holds: every request of every client passes the gate, so a mutating operation that the caller
//! did not allow is never sent; the SDK retries nothing by itself; time comes from [`Clock`] only.

mod clock;
mod cloudwatch;
mod connect;
mod dynamodb;
mod errors;
mod execute;
mod gate;
mod iam;
mod kinesis;
mod lambda;
mod operations;
mod sts;
#[cfg(test)]
pub(crate) mod testing;

pub use clock::Clock;
pub use cloudwatch::{MetricQuery, Statistic};
pub use connect::{Aws, Connect};
pub(crate) use errors::is_unsupported;
pub use iam::{PolicyKind, iam_policy};
pub use operations::{Access, Allow, OPERATIONS, Operation, Permission, Scope};

/// A moment as the SDK reads it; `None` when it lies outside jiff's range (years −9999 to 9999).
fn timestamp(moment: &aws_smithy_types::DateTime) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(moment.secs(), moment.subsec_nanos().try_into().ok()?).ok()
}

/// A moment as the SDK writes it.
fn date_time(moment: jiff::Timestamp) -> aws_smithy_types::DateTime {
    aws_smithy_types::DateTime::from_millis(moment.as_millisecond())
}
