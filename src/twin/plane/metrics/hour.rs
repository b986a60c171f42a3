//! One hour of a series, packed: a few bytes a point, so that 15 days of minutes stay small. With age an hour
//! keeps fewer, longer points, as CloudWatch rolls data up.

#![allow(clippy::option_option, reason = "broken bytes, no sketch and a sketch are three things")]

use serde::{Deserialize, Serialize};

use super::{HOUR_MS, Point, Sketch, Stat, absorb_at};

/// The points of one hour, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hour {
    /// Start of the hour.
    pub start: i64,
    /// Length of each point, in milliseconds.
    pub resolution: i64,
    bytes: Bytes,
}

/// Bytes that serde writes as bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = ciborium::value::Value::deserialize(deserializer)?;
        value.into_bytes().map(Self).map_err(|_| serde::de::Error::custom("bytes expected"))
    }
}

impl Hour {
    /// An hour of these points, all inside it.
    pub fn pack<'a>(start: i64, resolution: i64, points: impl IntoIterator<Item = &'a Point>) -> Self {
        let mut bytes = Vec::new();
        let mut at = start;
        let mut before: Option<&Point> = None;
        for point in points {
            let same = before.is_some_and(|before| before.stat == point.stat && before.sketch == point.sketch);
            let gap = ((point.start - at) / resolution).max(0) as u64;
            write(&mut bytes, gap << 1 | u64::from(same));
            if !same {
                write_stat(&mut bytes, &point.stat);
                write_sketch(&mut bytes, point.sketch.as_ref());
            }
            at = point.start;
            before = Some(point);
        }
        bytes.shrink_to_fit();
        Self { start, resolution, bytes: Bytes(bytes) }
    }

    /// The points again. Bytes that make no sense end the list.
    pub fn unpack(&self) -> Vec<Point> {
        let mut rest = self.bytes.0.as_slice();
        let mut points: Vec<Point> = Vec::new();
        while let Some(point) = self.next(&mut rest, points.last()) {
            points.push(point);
        }
        points
    }

    fn next(&self, rest: &mut &[u8], before: Option<&Point>) -> Option<Point> {
        let head = read(rest)?;
        let gap = i64::try_from(head >> 1).ok()?.checked_mul(self.resolution)?;
        let start = before.map_or(self.start, |before| before.start).checked_add(gap)?;
        if head & 1 == 1 {
            return Some(Point { start, ..before?.clone() });
        }
        let stat = Stat { sum: read_f64(rest)?, count: read(rest)?, min: read_f64(rest)?, max: read_f64(rest)? };
        Some(Point { start, stat, sketch: read_sketch(rest)? })
    }

    /// The hour with longer points.
    pub fn rolled_up(&self, resolution: i64) -> Self {
        let mut points = std::collections::VecDeque::new();
        for point in self.unpack() {
            let start = point.start - point.start.rem_euclid(resolution);
            absorb_at(&mut points, Point { start, ..point });
        }
        Self::pack(self.start, resolution, &points)
    }

    /// The hour with one more point in it.
    pub fn with(&self, more: Point) -> Self {
        let mut points = self.unpack().into();
        let start = more.start - more.start.rem_euclid(self.resolution);
        absorb_at(&mut points, Point { start, ..more });
        Self::pack(self.start, self.resolution, &points)
    }

    pub fn end(&self) -> i64 {
        self.start.saturating_add(HOUR_MS)
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        self.bytes.0.len()
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Whole numbers below 2^52 as twice their amount (the sign in bit 1); others as 1 and their eight bytes.
fn write_f64(bytes: &mut Vec<u8>, value: f64) {
    if value.fract() == 0.0 && value.abs() < 4_503_599_627_370_496.0 {
        write(bytes, (value.abs() as u64) << 2 | u64::from(value < 0.0) << 1);
    } else {
        bytes.push(1);
        bytes.extend(value.to_le_bytes());
    }
}

fn read_f64(rest: &mut &[u8]) -> Option<f64> {
    let head = read(rest)?;
    if head & 1 == 1 {
        let (raw, tail) = rest.split_first_chunk()?;
        *rest = tail;
        return Some(f64::from_le_bytes(*raw));
    }
    let amount = (head >> 2) as f64;
    Some(if head & 2 == 2 { -amount } else { amount })
}

fn write_stat(bytes: &mut Vec<u8>, stat: &Stat) {
    write_f64(bytes, stat.sum);
    write(bytes, stat.count);
    write_f64(bytes, stat.min);
    write_f64(bytes, stat.max);
}

fn write_sketch(bytes: &mut Vec<u8>, sketch: Option<&Sketch>) {
    let Some(Sketch(buckets)) = sketch else { return write(bytes, 0) };
    write(bytes, buckets.len() as u64 + 1);
    for (bucket, count) in buckets {
        write(bytes, u64::from(*bucket));
        write(bytes, *count);
    }
}

/// `None` when the bytes make no sense; `Some(None)` for a point without a distribution.
fn read_sketch(rest: &mut &[u8]) -> Option<Option<Sketch>> {
    let Some(length) = read(rest)?.checked_sub(1) else { return Some(None) };
    let mut sketch = Sketch::default();
    for _ in 0..length {
        sketch.count(u32::try_from(read(rest)?).ok().filter(|bucket| *bucket < 1 << 19)?, read(rest)?);
    }
    Some(Some(sketch))
}
