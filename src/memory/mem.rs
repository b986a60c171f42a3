//! [`MemStore`]: memory without a disk, for simulations, tests and `--state memory`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::{Decision, Intent, IntentState, KEPT_DECISIONS, KEPT_INPUTS, KEPT_INTENTS, Memory, Store, StoreError};
use crate::plan::Step;

/// A store that lives as long as its last clone: a clone shares the content, as a reopened file would.
#[derive(Debug, Clone, Default)]
pub struct MemStore {
    pipelines: Arc<Mutex<BTreeMap<String, Shelf>>>,
}

#[derive(Debug, Default)]
struct Shelf {
    memory: Option<Memory>,
    intents: Vec<Intent>,
    decisions: Vec<Decision>,
    inputs: BTreeMap<u64, Vec<u8>>,
}

impl MemStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Shelf>> {
        // No method leaves a shelf half-changed, so a panic elsewhere does not spoil it.
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemStore {
    fn load(&self, pipeline: &str) -> Result<Option<Memory>, StoreError> {
        Ok(self.lock().get(pipeline).and_then(|shelf| shelf.memory.clone()))
    }

    fn save(&self, pipeline: &str, memory: &Memory) -> Result<(), StoreError> {
        self.lock().entry(pipeline.to_owned()).or_default().memory = Some(memory.clone());
        Ok(())
    }

    fn intend(&self, pipeline: &str, at: Timestamp, step: &Step) -> Result<u64, StoreError> {
        let mut pipelines = self.lock();
        let intents = &mut pipelines.entry(pipeline.to_owned()).or_default().intents;
        let id = intents.last().map_or(1, |intent| intent.id + 1);
        intents.push(Intent { id, at, step: step.clone(), state: IntentState::Pending });
        keep_last(intents, KEPT_INTENTS);
        Ok(id)
    }

    fn resolve(&self, pipeline: &str, id: u64, state: IntentState) -> Result<(), StoreError> {
        let mut pipelines = self.lock();
        let intents = &mut pipelines.entry(pipeline.to_owned()).or_default().intents;
        if let Some(intent) = intents.iter_mut().find(|intent| intent.id == id) {
            intent.state = state;
        }
        Ok(())
    }

    fn intents(&self, pipeline: &str) -> Result<Vec<Intent>, StoreError> {
        Ok(self.lock().get(pipeline).map(|shelf| shelf.intents.clone()).unwrap_or_default())
    }

    fn record(&self, pipeline: &str, mut decision: Decision) -> Result<u64, StoreError> {
        let mut pipelines = self.lock();
        let decisions = &mut pipelines.entry(pipeline.to_owned()).or_default().decisions;
        let id = decisions.last().map_or(1, |decision| decision.id + 1);
        decision.id = id;
        decisions.push(decision);
        keep_last(decisions, KEPT_DECISIONS);
        Ok(id)
    }

    fn decisions(&self, pipeline: &str, limit: usize) -> Result<Vec<Decision>, StoreError> {
        let pipelines = self.lock();
        let decisions = pipelines.get(pipeline).map_or(&[][..], |shelf| &shelf.decisions);
        Ok(decisions.iter().skip(decisions.len().saturating_sub(limit)).cloned().collect())
    }

    fn amend(&self, pipeline: &str, decision: &Decision) -> Result<(), StoreError> {
        let mut pipelines = self.lock();
        let old = pipelines.get_mut(pipeline).into_iter().flat_map(|shelf| &mut shelf.decisions);
        old.filter(|old| old.id == decision.id).for_each(|old| old.clone_from(decision));
        Ok(())
    }

    fn keep_inputs(&self, pipeline: &str, id: u64, packet: &[u8]) -> Result<(), StoreError> {
        let mut pipelines = self.lock();
        let inputs = &mut pipelines.entry(pipeline.to_owned()).or_default().inputs;
        inputs.insert(id, packet.to_vec());
        inputs.retain(|kept, _| *kept > id.saturating_sub(KEPT_INPUTS));
        Ok(())
    }

    fn inputs(&self, pipeline: &str, id: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().get(pipeline).and_then(|shelf| shelf.inputs.get(&id).cloned()))
    }
}

fn keep_last<T>(items: &mut Vec<T>, keep: u64) {
    let excess = items.len().saturating_sub(keep as usize);
    items.drain(..excess);
}
