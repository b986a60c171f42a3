//! A distribution of samples in logarithmic buckets, for percentiles.
//!
//! A bucket is a value's exponent and the first seven bits of its mantissa: at most 0.8 % wide, found without
//! floating-point functions, so the same on every machine. CloudWatch keeps such buckets too, and computes no
//! percentile where a sample is negative or only a sum of samples is known.

use serde::{Deserialize, Serialize};

/// Bits of a double below the bucket's own.
const SHIFT: u32 = 45;

/// Sample counts by bucket, in the buckets' order. Most samples of a minute share few buckets: a plain list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch(pub(super) Vec<(u32, u64)>);

impl Sketch {
    /// Adds `times` samples of one value; not below zero.
    pub(super) fn add(&mut self, value: f64, times: u64) {
        self.count((value.max(0.0).to_bits() >> SHIFT) as u32, times);
    }

    /// Adds samples to a bucket.
    pub(super) fn count(&mut self, bucket: u32, times: u64) {
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(index) => {
                if let Some((_, count)) = self.0.get_mut(index) {
                    *count = count.saturating_add(times);
                }
            }
            Err(index) => self.0.insert(index, (bucket, times)),
        }
    }

    /// Adds all samples of the other.
    pub fn absorb(&mut self, other: &Self) {
        other.0.iter().for_each(|(bucket, more)| self.count(*bucket, *more));
    }

    /// (value, samples), smallest value first: the least value of each bucket, so whole numbers below 256 are exact.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        self.0.iter().map(|(bucket, count)| (f64::from_bits(u64::from(*bucket) << SHIFT), *count))
    }
}
