//! The one retry layer for reads. Calls that change something are never retried here: whoever makes them looks
//! first at what became of them.

use std::future::Future;

use jiff::SignedDuration;

use crate::{
    aws::Clock,
    model::{ErrorClass, Failure},
};

/// Tries in all, the first included.
const TRIES: u32 = 4;
/// Longest pause after the first failure; it doubles with each.
const BASE_MILLIS: i64 = 500;

/// Calls until it answers, at most [`TRIES`] times, when it is throttled, not reached, or fails on AWS's side.
/// Pauses are jittered between half and the whole of 0.5, 1 and 2 s. A failure in the end says how often it was
/// tried.
pub(super) async fn retry<T, F, R>(clock: &Clock, call: F) -> Result<T, Failure>
where
    F: Fn() -> R,
    R: Future<Output = Result<T, Failure>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        let mut failure = match call().await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        if !worth_retrying(failure.class) {
            return Err(failure);
        }
        if tries == TRIES {
            failure.message = format!("{} (tried {TRIES} times)", failure.message);
            return Err(failure);
        }
        let ceiling = (BASE_MILLIS << (tries - 1)) as f64;
        let pause = ceiling * (0.5 + 0.5 * fastrand::f64());
        tracing::debug!(operation = failure.operation, code = failure.code, tries, pause_ms = pause, "reading again");
        clock.sleep(SignedDuration::from_millis(pause as i64)).await;
    }
}

fn worth_retrying(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::Throttled | ErrorClass::ServerError | ErrorClass::Unreachable)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn failing(class: ErrorClass) -> Failure {
        Failure {
            class,
            operation: "kinesis:DescribeStreamSummary".to_owned(),
            resource: "stream/a".to_owned(),
            code: "Code".to_owned(),
            message: "no".to_owned(),
            request_id: None,
        }
    }

    async fn tries_for(class: ErrorClass, failures: u32) -> (u32, Result<u32, Failure>) {
        let clock = Clock::simulated("2026-01-01T00:00:00Z".parse().unwrap(), 1.0);
        let tries = Cell::new(0);
        let answer = retry(&clock, || {
            tries.set(tries.get() + 1);
            let tries = tries.get();
            async move { if tries <= failures { Err(failing(class)) } else { Ok(tries) } }
        })
        .await;
        (tries.get(), answer)
    }

    #[tokio::test(start_paused = true)]
    async fn passing_trouble_is_waited_out() {
        let (tries, answer) = tries_for(ErrorClass::Throttled, 3).await;
        assert_eq!((tries, answer), (4, Ok(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_after_four_tries_and_says_so() {
        let started = tokio::time::Instant::now();
        let (tries, answer) = tries_for(ErrorClass::ServerError, 9).await;
        assert_eq!(tries, 4);
        assert_eq!(answer.unwrap_err().message, "no (tried 4 times)");
        let seconds = started.elapsed().as_secs_f64();
        assert!((1.75..=3.51).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_patience_does_not_help_is_tried_once() {
        for class in [ErrorClass::Denied, ErrorClass::Invalid, ErrorClass::QuotaExhausted, ErrorClass::Unknown] {
            assert_eq!(tries_for(class, 9).await.0, 1, "{class:?}");
        }
    }
}
