//! Estimators, joint sizing, quota ledger, guards → [`Targets`], with every formula term kept. Pure.
//!
//! One cycle is: [`remember`] (what changed since we last looked), [`learn`] (what the signals teach),
//! [`size`] (what each resource should be now), who reads through enhanced fan-out (`fan_out`), how `auto` tables are
//! billed (`billing`), what has not helped before (`efforts`), what the month's budget pays for. What always holds: a
//! target is inside the spec's bounds; a shard target is at most double and at least half
//! of the live count; nothing is lowered on missing signals, with a backlog, or against a budget; nothing that writes to
//! a table is raised before the table.

mod billing;
mod break_glass;
mod budget;
mod buffer;
mod consumers;
mod cycle;
mod decide;
mod efforts;
mod fan_out;
mod forecast;
mod guards;
mod learn;
mod ledger;
mod model;
mod raises;
mod retention;
mod settle;
mod sinks;
mod size;
mod stream;
mod targets;

pub use billing::{MAX_ON_DEMAND_SWITCHES_PER_DAY, note_billing, note_billing_refused};
pub use break_glass::{MAX_MODE_SWITCHES_PER_DAY, note_stream_mode, note_stream_mode_refused};
pub use decide::{decide, replay};
pub use learn::learn;
pub use ledger::{
    COLD_LEDGER_TAG, MAX_RESHARDS_PER_DAY, SHOWN_AFTER, ledger_tag, note_pending, note_refused, note_reshard, remember,
    resharded, reshards_used,
};
pub use size::size;
pub use targets::{CapacityTarget, ConsumerTargets, Hold, Sizing, Split, TableTargets, Target, Targets, Term};

#[cfg(test)]
mod billing_tests;
#[cfg(test)]
mod budget_tests;
#[cfg(test)]
mod buffer_tests;
#[cfg(test)]
mod effort_tests;
#[cfg(test)]
mod fan_out_tests;
#[cfg(test)]
mod forecast_tests;
#[cfg(test)]
mod guard_tests;
#[cfg(test)]
mod learn_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod settle_tests;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod tests;
