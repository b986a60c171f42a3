//! Facts + Signals → [`Finding`]s: symptom → diagnosis → remedy, with the evidence. Pure.
//!
//! What always holds: a rule that needs a number and does not have it says so ([`Diagnosis::Blind`]);
//! no rule takes a missing number for zero.

mod consumers;
mod delivery;
mod economy;
mod estimates;
mod finding;
mod lag;
mod pages;
mod producers;
mod readers;
mod review;
mod rules;
mod series;
mod sinks;
mod stream;
mod symptoms;
pub mod thresholds;

pub use consumers::longer_retention;
pub use delivery::{Reading, Way, fan_out_name};
pub use economy::{FAN_OUT_MS, SHARED_MS, economy};
pub use estimates::{
    BURST_SECONDS, BatchTime, ConsumerEstimate, Estimates, SHARD_READ_BYTES_PER_SECOND, SinkEstimate, StreamEstimate,
    estimates, known_readers,
};
pub use finding::{Confidence, Diagnosis, Evidence, Finding, Outlook, Severity};
pub use pages::{PAGES, Page, markdown, page};
pub use review::{Episode, Review, review};
pub use rules::diagnose;
pub use series::median;
pub use symptoms::{
    ConsumerLoad, KIB, SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND, SinkLoad, StreamLoad, backlog, consumer_load,
    shards_filled, sink_load, stream_load,
};
pub use thresholds::Threshold;

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod scene;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trend_tests;
