//! The nouns all rooms share: units, the resources, what AWS says exists (`Facts`), one metric with
//! its freshness (`Signal`), and how an AWS call can fail (`Failure`).
//!
//! Pure data. Nothing in here knows a clock, the SDK or the file system.

mod facts;
mod failure;
mod resource;
mod signal;
mod units;

pub use facts::{
    BillingMode, CapacityFacts, Facts, FanOutFacts, FunctionFacts, IndexFacts, LifecycleStatus, MappingFacts,
    MappingState, ShardFacts, StreamFacts, StreamMode, TableFacts,
};
pub use failure::{ErrorClass, Failure};
pub use resource::ResourceId;
pub use signal::{
    ConsumerSignals, Freshness, IndexSignals, Point, ShardSignals, Signal, Signals, StreamSignals, TableSignals, WINDOW,
};
pub use units::{BatchSize, Bounds, CapacityUnits, Hours, ParallelizationFactor, ShardCount, UsdPerHour};

/// The tag that marks a resource as this pipeline's own; its value is the pipeline's name.
pub const TAG_PIPELINE: &str = "alleycat.dev/pipeline";
/// The tag that names the tool which manages the resource.
pub const TAG_MANAGED_BY: &str = "alleycat.dev/managed-by";
/// The value of [`TAG_MANAGED_BY`].
pub const MANAGED_BY: &str = "alleycat-operator";
/// The tag of a fan-out consumer of ours that says where its reader is being moved: `enhancedFanOut` or `shared`.
pub const TAG_MOVE: &str = "alleycat.dev/move";
/// The stream tag that holds the second copy of the reshard ledger (see `memory::ledger`).
pub const TAG_RESHARDS: &str = "alleycat.dev/reshards";
