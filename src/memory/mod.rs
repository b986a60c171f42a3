//! What must survive a restart: the reshard ledger, windows, estimator samples, pending intents,
//! decisions. The types are pure; the stores stand behind a trait.

mod decision;
mod disk;
mod inputs;
mod mem;
mod store;
mod types;

pub use decision::{Came, CostThen, Decision, Expectation, ExpectedValue, QuotaThen, Rules, Verdict};
pub use disk::RedbStore;
pub use inputs::{Inputs, LARGEST_PACKET, PackError, fingerprint};
pub use mem::MemStore;
pub use store::{KEPT_DECISIONS, KEPT_INPUTS, KEPT_INTENTS, Store, StoreError};
pub use types::{
    Attempt, BillingHour, BillingMemory, BillingSwitch, Effort, FanOutMemory, Intent, IntentState, LedgerEntry,
    LedgerEntryKind, Memory, OpenEffort, Recommendation, RefusedMove, ReshardLedger, Season, Settling, SinkSample,
    Spent, StreamModeMemory, StreamSeen,
};
