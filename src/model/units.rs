//! Units as types. A number that AWS counts never travels as a bare integer.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The bare number, for arithmetic and the wire.
            pub fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

unit! {
    /// Open shards of a stream.
    ShardCount(u32)
}
unit! {
    /// Concurrent batches per shard of an event source mapping, 1–10 (Lambda developer guide,
    /// "Kinesis parameters for event source mappings").
    ParallelizationFactor(u32)
}
unit! {
    /// Records per batch of an event source mapping, 1–10,000 (same source).
    BatchSize(u32)
}
unit! {
    /// DynamoDB read or write capacity units, at least 1 when provisioned.
    CapacityUnits(u64)
}
unit! {
    /// Whole hours of stream retention, 24–8,760 (Kinesis API, IncreaseStreamRetentionPeriod).
    Hours(u32)
}

/// US dollars per hour.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UsdPerHour(pub f64);

impl UsdPerHour {
    /// Dollars in a month of 730 hours, the month AWS prices by.
    pub fn per_month(self) -> f64 {
        self.0 * 730.0
    }
}

impl std::ops::Add for UsdPerHour {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for UsdPerHour {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::iter::Sum for UsdPerHour {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self(0.0), |a, b| a + b)
    }
}

/// What the spec allows a value to be, and where it starts. Invariant, kept by `spec`:
/// `min <= initial <= max`. A pinned value has all three equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds<T> {
    /// The least value the scaler may set.
    pub min: T,
    /// The greatest value the scaler may set.
    pub max: T,
    /// The value at creation; never used afterwards.
    pub initial: T,
}

impl<T: Copy + Ord> Bounds<T> {
    /// Bounds that allow one value only.
    pub fn pinned(value: T) -> Self {
        Self { min: value, max: value, initial: value }
    }

    /// Whether `value` may stand.
    pub fn contains(&self, value: T) -> bool {
        self.min <= value && value <= self.max
    }

    /// The nearest allowed value.
    pub fn clamp(&self, value: T) -> T {
        value.clamp(self.min, self.max)
    }
}
impl ShardCount {
    /// `1 shard`, `2 shards`.
    pub fn words(self) -> String {
        if self.get() == 1 { "1 shard".to_owned() } else { format!("{self} shards") }
    }
}
