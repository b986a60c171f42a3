//! The [`Store`] trait and its errors. What always holds for every store: what a method answered `Ok` to is there
//! after a crash, a record that cannot be read is an error and never an empty answer, and nothing is ever reset.

use std::path::PathBuf;

use jiff::Timestamp;

use super::{Decision, Intent, IntentState, Memory};
use crate::plan::Step;

/// Intents kept per pipeline; older ones are dropped.
pub const KEPT_INTENTS: u64 = 200;
/// Decisions kept per pipeline; older ones are dropped.
pub const KEPT_DECISIONS: u64 = 2_000;

/// Inputs kept per pipeline, those of the newest decisions; older ones are dropped. A pipeline decides some tens of
/// times on a busy day, so this is about a week, and at some tens of KB each some MB.
pub const KEPT_INPUTS: u64 = 200;

/// Keeps the memory, the intents and the decisions of pipelines, by pipeline name.
pub trait Store: Send + Sync {
    /// The memory last saved; `None` when this store never had one.
    fn load(&self, pipeline: &str) -> Result<Option<Memory>, StoreError>;
    /// Replaces the memory.
    fn save(&self, pipeline: &str, memory: &Memory) -> Result<(), StoreError>;
    /// Writes down a mutating call that is about to be made; answers its number.
    fn intend(&self, pipeline: &str, at: Timestamp, step: &Step) -> Result<u64, StoreError>;
    /// Writes down what became of it. A number that was dropped meanwhile is ignored.
    fn resolve(&self, pipeline: &str, id: u64, state: IntentState) -> Result<(), StoreError>;
    /// The last [`KEPT_INTENTS`] intents, oldest first.
    fn intents(&self, pipeline: &str) -> Result<Vec<Intent>, StoreError>;
    /// Intents whose outcome was never written: the process ended in between. Oldest first.
    fn pending(&self, pipeline: &str) -> Result<Vec<Intent>, StoreError> {
        Ok(self.intents(pipeline)?.into_iter().filter(|intent| intent.state == IntentState::Pending).collect())
    }
    /// Adds a decision; its `id` is replaced by the store's next number, which is answered.
    fn record(&self, pipeline: &str, decision: Decision) -> Result<u64, StoreError>;
    /// The newest `limit` decisions (of at most [`KEPT_DECISIONS`] kept), oldest first.
    fn decisions(&self, pipeline: &str, limit: usize) -> Result<Vec<Decision>, StoreError>;
    /// Replaces a decision by one with the same `id`. A number that was dropped meanwhile is ignored.
    fn amend(&self, pipeline: &str, decision: &Decision) -> Result<(), StoreError>;
    /// Keeps what a decision was made from ([`super::Inputs::pack`]), and of all the last [`KEPT_INPUTS`].
    fn keep_inputs(&self, pipeline: &str, id: u64, packet: &[u8]) -> Result<(), StoreError>;
    /// What a decision was made from; `None` when it is not kept, or not any more.
    fn inputs(&self, pipeline: &str, id: u64) -> Result<Option<Vec<u8>>, StoreError>;
}

/// Why a store cannot be used. Every message names the file and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process holds it.
    #[error(
        "the state in {} is in use by another alleycat-operator ({holder}): wait for it, stop it, or choose another --state-dir",
        path.display()
    )]
    InUse {
        /// The store's file.
        path: PathBuf,
        /// Who, as that process wrote it, e.g. `process 4711`.
        holder: String,
    },
    /// A newer version of this program wrote it.
    #[error(
        "{} was written by a newer alleycat-operator (layout {found}, this one reads up to {supported}): use that version, or another --state-dir",
        path.display()
    )]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// Layout version found.
        found: u64,
        /// Newest layout version this build reads.
        supported: u64,
    },
    /// It is not what we wrote.
    #[error(
        "{} is damaged ({detail}). It was left as it is. Restore it from a copy; or move it away to start without memory: the reshard ledger is then read from the stream's tag",
        path.display()
    )]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file system refused.
    #[error("cannot {what} {}: {detail}", path.display())]
    Io {
        /// The store's file or directory.
        path: PathBuf,
        /// What was tried: `create`, `open`, `read`, `write`.
        what: &'static str,
        /// The operating system's message.
        detail: String,
    },
}
