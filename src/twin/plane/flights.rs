//! Invocations in flight, by number: numbers grow, and few are older than most.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::function::Invocation;

/// A window over the numbers, from the oldest invocation in flight to the newest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flights {
    /// Number of the window's first place.
    first: u64,
    places: VecDeque<Option<Box<Invocation>>>,
}

impl Flights {
    /// Adds an invocation; returns its number.
    pub(super) fn add(&mut self, invocation: Invocation) -> u64 {
        self.places.push_back(Some(Box::new(invocation)));
        self.next() - 1
    }

    /// The number of the next one.
    pub(super) fn next(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    fn place(&self, number: u64) -> Option<usize> {
        Some(number.checked_sub(self.first)? as usize)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Invocation> {
        self.places.get(self.place(number)?)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Invocation> {
        let place = self.place(number)?;
        self.places.get_mut(place)?.as_deref_mut()
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Invocation> {
        let place = self.place(number)?;
        let invocation = self.places.get_mut(place)?.take()?;
        while self.places.front().is_some_and(Option::is_none) {
            self.places.pop_front();
            self.first += 1;
        }
        Some(*invocation)
    }
}
