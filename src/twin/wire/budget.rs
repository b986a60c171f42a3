//! How much memory one request may take once it is decoded. A body is bounded by its length, but a short body
//! can hold very many values: `[0,0,0,…]` grows 32-fold, `[{"a":0},…]` eighty-fold.

/// Bytes of memory for the values of one request: four times the greatest body.
const DECODED: usize = 4 * super::MAX_BODY;
/// A JSON value, and as much again for a list that has just grown.
const VALUE: usize = 64;
/// A map takes a node for eleven members with its first one.
const MAP: usize = 640;
/// A map's member without its key's text.
const MEMBER: usize = 64;

/// What is left for one request.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

impl Budget {
    pub fn new() -> Self {
        Self { left: DECODED }
    }

    pub fn value(&mut self) -> Option<()> {
        self.spend(VALUE)
    }

    pub fn text(&mut self, length: usize) -> Option<()> {
        self.spend(VALUE.saturating_add(length))
    }

    pub fn map(&mut self) -> Option<()> {
        self.spend(MAP)
    }

    pub fn member(&mut self, key: usize) -> Option<()> {
        self.spend(MEMBER.saturating_add(key))
    }

    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }
}
