//! AWS → [`Facts`](crate::model::Facts) and [`Signals`](crate::model::Signals): reads only, batched.
//!
//! What always holds: nothing here changes anything; the one retry layer for reads is here; maps are ordered;
//! a metric that could not be read is a failure or `Absent`, never zero (see `fill` for the exceptions that are
//! provably zero).

mod facts;
mod fill;
mod past;
mod retry;
mod signals;
#[cfg(test)]
mod tests;

pub use facts::{Sought, facts, facts_to_diagnose, shards_closed_since};
pub use past::{LONGEST_PAST_DAYS, Past, PastConsumer, past};
pub use signals::{Scope, signals};
