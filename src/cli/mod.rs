//! Room `cli`.

pub mod render;
