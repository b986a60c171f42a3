//! Things by their names. A name keeps its number for good, whether or not there is a thing of that name now, so who
//! looks one up often remembers the number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A map from names, or from the names' numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named<T> {
    numbers: BTreeMap<String, u32>,
    things: Vec<Option<T>>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { numbers: BTreeMap::new(), things: Vec::new() }
    }
}

impl<T> Named<T> {
    /// The number of a name.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.things.len() as u32;
        self.things.push(None);
        self.numbers.insert(name.to_owned(), number);
        number
    }

    pub(super) fn at(&self, number: u32) -> Option<&T> {
        self.things.get(number as usize)?.as_ref()
    }

    pub(super) fn at_mut(&mut self, number: u32) -> Option<&mut T> {
        self.things.get_mut(number as usize)?.as_mut()
    }

    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.at(*self.numbers.get(name)?)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.at_mut(*self.numbers.get(name)?)
    }

    /// Puts a thing in, in place of the one of its name.
    pub(super) fn insert(&mut self, name: &str, thing: T) {
        let number = self.number(name);
        if let Some(place) = self.things.get_mut(number as usize) {
            *place = Some(thing);
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<T> {
        self.things.get_mut(*self.numbers.get(name)? as usize)?.take()
    }

    /// Names and numbers of what there is, in the names' order.
    pub(super) fn names(&self) -> impl Iterator<Item = (&String, u32)> {
        self.numbers.iter().map(|(name, number)| (name, *number)).filter(|(_, number)| self.at(*number).is_some())
    }

    /// What there is, in the order in which the names came up.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.things.iter().flatten()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.things.iter_mut().flatten()
    }
}
