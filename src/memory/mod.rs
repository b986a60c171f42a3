//! What must survive a restart: the reshard ledger, windows, estimator samples, pending intents,
//! decisions. The types are pure; the stores stand behind a trait.

mod types;

pub use types::{
    Decision, Intent, IntentState, LedgerEntry, LedgerEntryKind, Memory, Recommendation, ReshardLedger, SinkSample,
    StreamSeen,
};
