//! Text and pages for people. Pure functions from data to `String`; the JSON form is the data itself.

pub mod diagnosis;
pub mod history;
pub mod html;
mod out;
pub mod plan;
pub mod report;
pub mod status;
