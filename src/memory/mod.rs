//! What must survive a restart: the reshard ledger, windows, estimator samples, pending intents,
//! decisions. The types are pure; the stores stand behind a trait.

mod disk;
mod mem;
mod store;
mod types;

pub use disk::RedbStore;
pub use mem::MemStore;
pub use store::{KEPT_DECISIONS, KEPT_INTENTS, Store, StoreError};
pub use types::{
    Attempt, Decision, Intent, IntentState, LedgerEntry, LedgerEntryKind, Memory, Recommendation, ReshardLedger,
    Season, SinkSample, StreamSeen,
};
