//! The scaling policies side by side: whole days of one pipeline on the twin, in virtual time.
//!
//! What always holds: every policy acts through the same SDK clients on the same world with the same seed, the twin
//! enforces the quotas, and what is measured is the twin's own state.

mod ablation;
pub mod baselines;
mod cell;
pub mod clairvoyant;
pub mod demand;
pub mod elasticity;
pub mod marks;
mod measure;
mod minute;
mod policy;
mod replay;
mod sample;
pub mod scenarios;
mod sizes;
mod stage;
mod timeline;
mod trace;
mod verdict;
mod yardstick;

pub use ablation::Ablation;
pub use cell::{Cell, Diagnosed, DrainForecast, Run, play_all};
pub use measure::{Cost, Measures, Records, ViolationMinutes, mean};
pub use minute::{Minute, SinkMinute};
pub use policy::Policy;
pub use replay::Replayed;
pub use sizes::{Sizes, first_hour};
pub use stage::{Stage, broken, meters, on_virtual_time};
pub use timeline::{Event, EventKind, Teller};
pub use trace::{Costs, Trace, Writes, trace_world};
pub use verdict::{Attribution, Figures};
pub use yardstick::demand_of;
