//! What is due when, in order: each entry is packed into one number, so that comparing two is one step.

use std::{cmp::Reverse, collections::BinaryHeap};

use serde::{Deserialize, Serialize};

/// Bits of an event's own number, and of the kind above it.
const OWN: u32 = 64;
const KIND: u32 = 3;
/// Half of the moments that the bits above take; far beyond any time stamp.
const MOMENTS: i64 = 1 << (128 - OWN - KIND - 1);

/// Something due at a moment. At one moment they happen in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A minute ends.
    Minute,
    /// A producer emits: its index.
    Emit(u32),
    /// A reader calls GetRecords: mapping, shard.
    Poll(u32, u32),
    /// A slot may act again: mapping, shard.
    Wake(u32, u32),
    /// An invocation moves on.
    Invoke(u64),
    /// A reader that is not ours begins or ends: its index.
    Outside(u32),
}

/// All that is due. The same event at the same moment happens once.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(into = "Vec<u128>", from = "Vec<u128>")]
pub(super) struct Agenda(BinaryHeap<Reverse<u128>>);

impl From<Vec<u128>> for Agenda {
    fn from(entries: Vec<u128>) -> Self {
        Self(entries.into_iter().map(Reverse).collect())
    }
}

/// In order and without repetition: how the heap has grown makes no difference.
impl From<Agenda> for Vec<u128> {
    fn from(agenda: Agenda) -> Self {
        let mut entries: Self = agenda.0.into_iter().map(|Reverse(entry)| entry).collect();
        entries.sort_unstable();
        entries.dedup();
        entries
    }
}

impl PartialEq for Agenda {
    fn eq(&self, other: &Self) -> bool {
        Vec::from(self.clone()) == Vec::from(other.clone())
    }
}

impl Agenda {
    /// Adds an event at a moment in epoch milliseconds.
    pub(super) fn add(&mut self, at: i64, event: Event) {
        let pair = |mapping: u32, shard: u32| u64::from(mapping) << 32 | u64::from(shard);
        let (kind, own) = match event {
            Event::Minute => (0, 0),
            Event::Emit(producer) => (1, u64::from(producer)),
            Event::Poll(mapping, shard) => (2, pair(mapping, shard)),
            Event::Wake(mapping, shard) => (3, pair(mapping, shard)),
            Event::Invoke(invocation) => (4, invocation),
            Event::Outside(reader) => (5, u64::from(reader)),
        };
        let moment = (at.clamp(-MOMENTS, MOMENTS - 1) + MOMENTS) as u128;
        self.0.push(Reverse((moment << KIND | kind) << OWN | u128::from(own)));
    }

    /// Takes the first event before `to`, with its moment.
    pub(super) fn next_before(&mut self, to: i64) -> Option<(i64, Event)> {
        let Reverse(first) = *self.0.peek()?;
        let at = (first >> (OWN + KIND)) as i64 - MOMENTS;
        if at >= to {
            return None;
        }
        while self.0.peek() == Some(&Reverse(first)) {
            self.0.pop();
        }
        let own = first as u64;
        let (high, low) = ((own >> 32) as u32, own as u32);
        let event = match (first >> OWN) as u8 & ((1 << KIND) - 1) {
            0 => Event::Minute,
            1 => Event::Emit(low),
            2 => Event::Poll(high, low),
            3 => Event::Wake(high, low),
            4 => Event::Invoke(own),
            _ => Event::Outside(low),
        };
        Some((at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_as_they_went_in_by_moment_and_kind() {
        let events = [
            (-5, Event::Invoke(u64::MAX)),
            (7, Event::Minute),
            (7, Event::Emit(u32::MAX)),
            (7, Event::Poll(1, u32::MAX)),
            (7, Event::Poll(2, 0)),
            (7, Event::Wake(0, 3)),
            (7, Event::Invoke(0)),
            (7, Event::Outside(4)),
            (8, Event::Minute),
        ];
        let mut agenda = Agenda::default();
        for (at, event) in events.iter().rev().chain(&events) {
            agenda.add(*at, *event);
        }
        let taken: Vec<_> = std::iter::from_fn(|| agenda.next_before(8)).collect();
        assert_eq!(taken, events[..8]);
        assert_eq!(agenda.next_before(9), Some((8, Event::Minute)));
    }
}
