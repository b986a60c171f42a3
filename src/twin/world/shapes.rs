//! Shapes of traffic that are rates over time in the end: a trace's rows, a wave.

use std::f64::consts::TAU;

use super::{Producer, RatePoint};

/// Greatest number of rows of a trace: at a minute a row, ten weeks.
pub(super) const MOST_ROWS: usize = 100_000;
/// Straight pieces of one period of a wave.
const PIECES: u32 = 48;

impl Producer {
    /// Seconds after the world's start at which its records end; `None` when they never do.
    pub fn ends_seconds(&self) -> Option<u64> {
        match self.as_rate() {
            Self::Racers { start_seconds, races, race_seconds, gap_seconds, .. } => {
                Some(u64::from(start_seconds) + u64::from(races) * (u64::from(race_seconds) + u64::from(gap_seconds)))
            }
            Self::Rate { points, .. } => {
                let last = points.last()?;
                (last.records_per_second <= 0.0).then_some(last.at_seconds.into())
            }
            // `as_rate` has made rates of them.
            Self::Trace { .. } | Self::Wave { .. } => None,
        }
    }

    /// Bytes of each record with its partition key.
    pub fn record_bytes(&self) -> u32 {
        match self {
            Self::Racers { record_bytes, .. }
            | Self::Rate { record_bytes, .. }
            | Self::Trace { record_bytes, .. }
            | Self::Wave { record_bytes, .. } => *record_bytes,
        }
    }

    /// The same traffic as a rate over time; racers stay what they are.
    pub(in crate::twin) fn as_rate(&self) -> Self {
        match self {
            Self::Racers { .. } | Self::Rate { .. } => self.clone(),
            Self::Trace {
                stream,
                record_bytes,
                rows,
                seconds_per_row,
                start_seconds,
                ramp,
                peak_records_per_second,
                ..
            } => {
                let greatest = rows.iter().copied().fold(0.0, f64::max);
                let scale = if greatest > 0.0 { peak_records_per_second / greatest } else { 0.0 };
                let point = |(row, value): (u32, &f64)| RatePoint {
                    at_seconds: start_seconds.saturating_add(row.saturating_mul(*seconds_per_row)),
                    records_per_second: value * scale,
                };
                let mut points: Vec<RatePoint> = (0..).zip(rows).map(point).collect();
                let end = start_seconds.saturating_add((rows.len() as u32).saturating_mul(*seconds_per_row));
                // After the last row nothing comes; until there its rate stays.
                let last = points.last().map_or(0.0, |point| point.records_per_second);
                points.push(RatePoint { at_seconds: end, records_per_second: last });
                points.push(RatePoint { at_seconds: end, records_per_second: 0.0 });
                rate(stream, *record_bytes, points, *ramp)
            }
            Self::Wave { stream, record_bytes, low, high, period_seconds, start_seconds, periods } => {
                let pieces = PIECES.saturating_mul(*periods);
                let point = |piece: u32| {
                    let at = u64::from(piece) * u64::from(*period_seconds) / u64::from(PIECES);
                    let height = (1.0 - (TAU * f64::from(piece % PIECES) / f64::from(PIECES)).cos()) / 2.0;
                    RatePoint {
                        at_seconds: start_seconds.saturating_add(at as u32),
                        records_per_second: low + (high - low) * height,
                    }
                };
                let mut points: Vec<RatePoint> = (0..=pieces).map(point).collect();
                let end = points.last().map_or(0, |point| point.at_seconds);
                points.push(RatePoint { at_seconds: end, records_per_second: 0.0 });
                rate(stream, *record_bytes, points, true)
            }
        }
    }
}

fn rate(stream: &str, record_bytes: u32, points: Vec<RatePoint>, ramp: bool) -> Producer {
    Producer::Rate { stream: stream.to_owned(), record_bytes, points, ramp, hot_key_share: 0.0, jitter: 0.0 }
}

/// A column of a CSV text with a header line, the last one when none is named; a blank cell is 0.
pub(super) fn column(text: &str, name: Option<&str>) -> Result<Vec<f64>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| error.to_string())?;
    let column = match name {
        None => headers.len().checked_sub(1).ok_or("the file has no header line")?,
        Some(name) => headers.iter().position(|header| header == name).ok_or(format!("no column `{name}`"))?,
    };
    let mut rows = Vec::new();
    for record in reader.records().take(MOST_ROWS + 1) {
        let record = record.map_err(|error| error.to_string())?;
        let cell = record.get(column).unwrap_or_default().trim();
        let row = if cell.is_empty() { Ok(0.0) } else { cell.parse() };
        rows.push(row.map_err(|_| format!("row {}: not a number", rows.len() + 1))?);
    }
    Ok(rows)
}
