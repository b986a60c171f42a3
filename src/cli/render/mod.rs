//! Text for people. Pure functions from data to `String`; the JSON form is the data itself.

pub mod diagnosis;
mod out;
pub mod plan;
pub mod report;
