//! The project's own traces: three days by formula, a row a minute, as the text of a trace's file. They were written
//! down before any policy had been played on them; `HELD_OUT_TRACES` says on which nothing has been mended since.

use std::fmt::Write as _;

/// Minutes of a day.
const DAY: u32 = 1_440;

/// Name and rows, as a file of a trace has them.
pub fn shapes() -> [(&'static str, String); 3] {
    [("own_match_day", text(match_day)), ("own_batch_jobs", text(batch_jobs)), ("own_noisy_wave", text(noisy_wave))]
}

fn text(of: fn(u32) -> f64) -> String {
    let mut out = "t_s,rate_per_s\n".to_owned();
    for minute in 0..DAY {
        let _ = writeln!(out, "{},{:.5}", minute * 60, of(minute));
    }
    out
}

/// A crowd that comes within five minutes and goes by half every twenty.
fn crowd(minute: u32, at: u32, height: f64) -> f64 {
    let since = f64::from(minute) - f64::from(at);
    if since < 0.0 { 0.0 } else { height * (since / 5.0).min(1.0) * 0.5_f64.powf((since - 5.0).max(0.0) / 20.0) }
}

/// A quiet night, a day that fills slowly, and two crowds: at the kick-off and at the end.
fn match_day(minute: u32) -> f64 {
    let day = (f64::from(minute.saturating_sub(480)) / 420.0).min(1.0);
    0.06 + 0.2 * day + crowd(minute, 900, 0.74) + crowd(minute, 1_010, 0.6)
}

/// Ten minutes of every hour at four times the rest, and a job of two hours that takes everything.
fn batch_jobs(minute: u32) -> f64 {
    match (minute, minute % 60) {
        (1_200..1_320, _) => 1.0,
        (_, 0..10) => 0.6,
        _ => 0.15,
    }
}

/// One wave a day under noise that lasts ten minutes and is up to a half of it.
fn noisy_wave(minute: u32) -> f64 {
    let wave = 0.5 - 0.4 * (f64::from(minute) / f64::from(DAY) * std::f64::consts::TAU).cos();
    // Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014): the finalizer of SplitMix64.
    let mut bits = u64::from(minute / 10 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    wave * (1.0 + 0.5 * ((bits ^ (bits >> 31)) as f64 / u64::MAX as f64 * 2.0 - 1.0))
}
