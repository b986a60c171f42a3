//! The demand that a run's policies are held against.

use super::{
    cell::{Cell, Run},
    demand::{Demand, units},
    minute::Minute,
    policy::Policy,
};
use crate::model::Failure;

/// The demand of the counted minutes of a cell's world; `run` is any policy's run of it, as producers offer the same to
/// all of them. Where a sink's demand depends on how records fall into batches, one more run with room for everything
/// is played.
///
/// # Errors
/// As [`Cell::play`].
pub fn demand_of(cell: &Cell, run: &Run) -> Result<Demand, Failure> {
    let counted = |run: &Run| -> Vec<Minute> { run.counted().cloned().collect() };
    let minutes = counted(run);
    let by_record = units(&cell.world, &cell.pipeline).values().all(Option::is_some);
    let unthrottled =
        if by_record { Vec::new() } else { counted(&Cell { policy: Policy::StaticPeak, ..cell.clone() }.play()?) };
    Ok(Demand::of(&cell.world, &cell.pipeline, &minutes, &unthrottled))
}
