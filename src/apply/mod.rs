//! Plan → Outcome: a step machine without I/O, and the driver that feeds it.
//!
//! What always holds: every mutating call to AWS goes through [`perform`], which writes the intent before it and the
//! result after it; what to do next is decided by the machine from a fresh look at AWS, never from what we believe we
//! did, so a run that was killed anywhere is finished by the next one.

mod driver;
mod evidence;
#[cfg(test)]
pub(crate) mod fixtures;
mod machine;
#[cfg(test)]
mod machine_tests;
mod perform;
mod state;

pub use driver::{Context, Goal, Outcome, Progress, Verdict, run};
pub(crate) use driver::{describe, sleep_or_stop};
pub use evidence::evidence;
pub use machine::{Command, Machine, TRIES};
pub(crate) use perform::resource;
pub use perform::{perform, reconcile};
pub use state::{Presence, presence};
