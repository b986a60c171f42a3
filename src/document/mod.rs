//! What every YAML document of ours shares: text → a tree with source places, problems with what would be
//! right, and problems as text for a person. Pure.

pub mod problem;
mod render;
pub(crate) mod yaml;

pub use problem::Problem;
pub use render::render_problems;
