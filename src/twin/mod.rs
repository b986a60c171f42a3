//! Room `twin`: the simulated AWS. `world` says what surrounds the pipeline, `plane` is its data plane.

pub mod plane;
pub mod world;

pub use world::World;
