//! Facts + Signals → [`Finding`]s: symptom → diagnosis → remedy, with the evidence. Pure.
//!
//! What always holds: a rule that needs a number and does not have it says so ([`Diagnosis::Blind`]);
//! no rule takes a missing number for zero.

mod finding;
mod review;
mod rules;
mod symptoms;

pub use finding::{Confidence, Diagnosis, Evidence, Finding, Outlook, Severity};
pub use review::{Episode, Review, review};
pub use rules::diagnose;
pub use symptoms::{
    ConsumerLoad, KIB, SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND, SinkLoad, StreamLoad, consumer_load,
    sink_load, stream_load,
};
