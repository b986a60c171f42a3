//! YAML → [`Pipeline`]: raw types with source spans, validation, defaults. Pure.
//!
//! What always holds: a `Pipeline` that leaves this room is valid; a document that does not is answered
//! with every problem at once, each with its place.

mod pipeline;
mod policy;

pub use pipeline::{
    AdoptionPolicy, ConsumerSpec, DeletionPolicy, Delivery, Encryption, ExternalConsumer, GlobalIndexSpec,
    KeyAttribute, LocalIndexSpec, Management, Objectives, Pipeline, Projection, ScalingSpec, StartingPosition,
    StreamSpec, TableSpec,
};
pub use policy::ScalingPolicy;
