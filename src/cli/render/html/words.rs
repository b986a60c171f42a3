//! Numbers as a chart says them: values with their unit, round steps for an axis.

use jiff::SignedDuration;

use crate::cli::{progress::human, render::status::amount};

/// Steps of a time axis or of an axis in seconds, s.
const SECONDS: [f64; 18] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0,
    43_200.0,
];
/// Marks on an axis, at most.
const MARKS: f64 = 5.0;

/// A value with its unit; seconds as people say them.
pub fn say(value: f64, unit: &str) -> String {
    match unit {
        "s" if value >= 60.0 => human(SignedDuration::from_secs(value.round() as i64)),
        "s" => format!("{} s", amount(value)),
        unit => format!("{} {unit}", thousands(value)),
    }
}

/// `1,000`; small numbers with as many digits as matter.
pub fn thousands(value: f64) -> String {
    let text = amount(value);
    if value < 1000.0 || text.contains('.') {
        return text;
    }
    let digits = text.len();
    let mut out = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (digits - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Round marks from 0 to below `top`.
pub fn marks(top: f64, unit: &str) -> Vec<f64> {
    let step = if unit == "s" {
        SECONDS.into_iter().find(|step| top / step <= MARKS).unwrap_or(86_400.0)
    } else {
        let decade = 10_f64.powf((top / MARKS).log10().floor());
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|it| it * decade).find(|step| top / step <= MARKS).unwrap_or(top)
    };
    (0..=(top / step).floor().min(100.0) as u32).map(|count| f64::from(count) * step).collect()
}

/// Marks of a time axis: minutes since a start that is `offset` minutes into its day, on round times of day.
pub fn times(offset: f64, length: f64) -> Vec<f64> {
    let steps = [5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 180.0, 240.0];
    let days = [360.0, 720.0, 1440.0, 2880.0, 10_080.0];
    let step = steps.into_iter().chain(days).find(|step| length / step <= 7.0).unwrap_or(43_200.0);
    let first = (offset / step).ceil() * step - offset;
    (0..=(length / step) as u32).map(|count| first + f64::from(count) * step).filter(|at| *at <= length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        assert_eq!(marks(1120.0, "records/s"), [0.0, 500.0, 1000.0]);
        assert_eq!(marks(22.4, "units/s"), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(marks(2700.0, "s"), [0.0, 600.0, 1200.0, 1800.0, 2400.0]);
        assert_eq!(times(473.0, 40.0), [7.0, 17.0, 27.0, 37.0]);
    }

    #[test]
    fn values_read_as_people_say_them() {
        assert_eq!(say(1_234_567.0, "records/s"), "1,234,567 records/s");
        assert_eq!(say(0.35, "s"), "0.35 s");
        assert_eq!(say(7_500.0, "s"), "2 h 5 min");
    }
}
