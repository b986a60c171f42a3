//! The one clock of the shell. Everything else takes `now` as an argument.
//!
//! A simulated clock runs on tokio's timer: under a paused runtime a sleep jumps to the next timer, so hours
//! pass in milliseconds and the same program gives the same moments in every run.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use aws_smithy_async::{
    rt::sleep::{SharedAsyncSleep, TokioSleep},
    time::{SharedTimeSource, TimeSource},
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Tells the time and sleeps. Clones share one time line.
#[derive(Clone)]
pub struct Clock(Arc<Kind>);

enum Kind {
    System,
    Simulated {
        base: Timestamp,
        speed: f64,
        /// When the clock was first asked: a clock made before its (paused) runtime starts with it all the same.
        started: OnceLock<Instant>,
    },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Arc::new(Kind::System))
    }

    /// A clock that shows `base` when first asked and runs `speed` times as fast as tokio's. A speed that is
    /// not a positive number counts as 1.
    pub fn simulated(base: Timestamp, speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self(Arc::new(Kind::Simulated { base, speed, started: OnceLock::new() }))
    }

    /// Whether this is not the machine's own time.
    pub fn is_simulated(&self) -> bool {
        matches!(*self.0, Kind::Simulated { .. })
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Kind::System => Timestamp::now(),
            Kind::Simulated { base, speed, started } => {
                let now = Instant::now();
                let elapsed = now.saturating_duration_since(*started.get_or_init(|| now));
                let elapsed = SignedDuration::try_from(scaled(elapsed, *speed)).unwrap_or(SignedDuration::MAX);
                base.checked_add(elapsed).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Sleeps for `duration` of this clock's time; a negative one is none.
    pub async fn sleep(&self, duration: SignedDuration) {
        let duration = Duration::try_from(duration).unwrap_or(Duration::ZERO);
        let duration = match &*self.0 {
            Kind::System => duration,
            Kind::Simulated { speed, .. } => {
                // The first look at a simulated clock starts it.
                let _ = self.now();
                scaled(duration, speed.recip())
            }
        };
        tokio::time::sleep(duration).await;
    }

    /// For the SDK: signatures and expiries are in this clock's time.
    pub fn time_source(&self) -> SharedTimeSource {
        SharedTimeSource::new(self.clone())
    }

    /// For the SDK: its timeouts guard the work of this machine, so they count tokio's seconds at any speed.
    pub fn sleep_impl(&self) -> SharedAsyncSleep {
        SharedAsyncSleep::new(TokioSleep::new())
    }
}

/// `duration × factor`, exact when the factor is 1.
fn scaled(duration: Duration, factor: f64) -> Duration {
    if (factor - 1.0).abs() < f64::EPSILON {
        return duration;
    }
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        Clock::now(self).into()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::System => f.write_str("Clock::System"),
            Kind::Simulated { base, speed, .. } => write!(f, "Clock::Simulated({base}, {speed}x)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_jumps_to_the_end_of_a_sleep() {
        let clock = Clock::simulated(base(), 1.0);
        assert_eq!(clock.now(), base());
        clock.sleep(SignedDuration::from_hours(24)).await;
        assert_eq!(clock.now(), base() + SignedDuration::from_hours(24));
        clock.sleep(SignedDuration::from_secs(-5)).await;
        assert_eq!(clock.now(), base() + SignedDuration::from_hours(24));
    }

    #[tokio::test(start_paused = true)]
    async fn speed_divides_sleeps_and_multiplies_time() {
        let clock = Clock::simulated(base(), 60.0);
        let tokio_start = Instant::now();
        clock.sleep(SignedDuration::from_mins(10)).await;
        assert_eq!(tokio_start.elapsed(), Duration::from_secs(10));
        assert_eq!(clock.now(), base() + SignedDuration::from_mins(10));
    }

    #[test]
    fn a_clock_made_before_its_runtime_starts_with_it() {
        let clock = Clock::simulated(base(), 1.0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async { assert_eq!(clock.now(), base()) });
    }
}
