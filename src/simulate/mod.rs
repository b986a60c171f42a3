//! The scaling policies side by side: whole days of one pipeline on the twin, in virtual time.
//!
//! What always holds: every policy acts through the same SDK clients on the same world with the same seed, the twin
//! enforces the quotas, and what is measured is the twin's own state.

pub mod clairvoyant;
pub mod demand;
pub mod elasticity;
mod minute;

pub use minute::{Minute, SinkMinute};
