//! Things by numbers that grow: a map in the numbers' order, whose usual look-up is one step.

use serde::{Deserialize, Serialize};

/// A map from numbers. As long as the numbers have no gap, a thing stands where its number says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Numbered<T>(Vec<(u32, T)>);

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Numbered<T> {
    fn index(&self, number: u32) -> Result<usize, usize> {
        let guess = self.0.first().map_or(0, |(first, _)| number.saturating_sub(*first)) as usize;
        match self.0.get(guess) {
            Some((at, _)) if *at == number => Ok(guess),
            _ => self.0.binary_search_by_key(&number, |(at, _)| *at),
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.0.get(self.index(number).ok()?).map(|(_, thing)| thing)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let index = self.index(number).ok()?;
        self.0.get_mut(index).map(|(_, thing)| thing)
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.index(number).is_ok()
    }

    /// Puts a thing in, in place of the one that is there.
    pub(super) fn insert(&mut self, number: u32, thing: T) {
        match self.index(number) {
            Ok(index) => {
                if let Some(there) = self.0.get_mut(index) {
                    there.1 = thing;
                }
            }
            Err(index) => self.0.insert(index, (number, thing)),
        }
    }

    pub(super) fn remove(&mut self, number: u32) {
        if let Ok(index) = self.index(number) {
            self.0.remove(index);
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(u32, &T) -> bool) {
        self.0.retain(|(number, thing)| keep(*number, thing));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (u32, &T)> {
        self.0.iter().map(|(number, thing)| (*number, thing))
    }

    pub(super) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (u32, &mut T)> {
        self.0.iter_mut().map(|(number, thing)| (*number, thing))
    }

    pub(super) fn values(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.iter().map(|(_, thing)| thing)
    }

    pub(super) fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, thing)| thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_with_and_without_gaps() {
        let mut things = Numbered::default();
        for number in [5, 3, 4, 9, 3] {
            things.insert(number, number * 10);
        }
        assert_eq!(things.iter().map(|(number, _)| number).collect::<Vec<_>>(), [3, 4, 5, 9]);
        assert!([3, 4, 5, 9].iter().all(|number| things.get(*number) == Some(&(number * 10))));
        assert!([0, 2, 6, 10, u32::MAX].iter().all(|number| things.get(*number).is_none()));
        things.remove(4);
        things.retain(|number, _| number != 3);
        assert_eq!((things.get(5), things.contains(4)), (Some(&50), false));
        assert_eq!(things.get_mut(9), Some(&mut 90));
    }
}
