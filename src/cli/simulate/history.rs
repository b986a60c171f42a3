//! `simulate --from-cloudwatch`: the pipeline's own past, read off CloudWatch, as the load.

use std::fmt::Write as _;

use jiff::SignedDuration;

use crate::{
    cli::{
        console::Console,
        errors::CliError,
        exit::Exit,
        globals::{Globals, duration},
        plan::LOOK,
        source::Loaded,
        target::Session,
    },
    observe::{self, LONGEST_PAST_DAYS},
    simulate::{Replayed, trace_world},
    twin::World,
};

/// `7d`, or a duration as elsewhere.
pub(super) fn look_back(text: &str) -> Result<SignedDuration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok());
    let back = match days {
        Some(days @ 1..=LONGEST_PAST_DAYS) => Ok(SignedDuration::from_hours(days * 24)),
        Some(_) => Err(format!("1d to {LONGEST_PAST_DAYS}d: CloudWatch keeps nothing for longer")),
        None => duration(text).map_err(|_| "not a duration; write it like 7d or 12h".to_owned()),
    }?;
    if back < SignedDuration::from_mins(10) || back > SignedDuration::from_hours(LONGEST_PAST_DAYS * 24) {
        return Err(format!("10m to {LONGEST_PAST_DAYS}d"));
    }
    Ok(back)
}

/// The world of the last `back`, what it was made from, and how long its traffic lasts, seconds.
pub(super) fn world(
    globals: &Globals,
    console: &Console,
    loaded: &Loaded,
    back: SignedDuration,
) -> Result<(World, Option<String>, u64), CliError> {
    let pipeline = &loaded.pipeline;
    let delay = loaded.policy.metric_delay_seconds;
    let (past, region) = Session::run(globals, console, pipeline, LOOK, async |session| {
        let past = observe::past(&session.aws, pipeline, back, delay).await?;
        Ok((past, session.aws.region().to_owned()))
    })?;
    let name = &pipeline.stream.name;
    let Some(past) = past else {
        return Err(CliError::new(Exit::Failed, format!("stream/{name} does not exist in {region}"))
            .hint("choose another --region or account; `simulate --trace` needs no stream"));
    };
    let Some(replayed) = Replayed::of(&past, pipeline, loaded.policy.offered_clamp) else {
        let what = format!("CloudWatch has no record that came into stream/{name} in {region} since {}", past.start);
        return Err(CliError::new(Exit::Failed, what)
            .hint("look further back, e.g. --from-cloudwatch 15d, or simulate with --trace or --world"));
    };
    let (measured, assumed) = replayed.words(pipeline);
    let trace = &replayed.trace;
    let mut said = format!(
        "from CloudWatch: {} rows of {} s from {}, peak {:.0} records/s",
        trace.rows.len(),
        trace.seconds_per_row,
        trace.start,
        trace.peak
    );
    for (what, list) in [("measured", &measured), ("assumed", &assumed)] {
        if !list.is_empty() {
            _ = write!(said, "; {what}: {}", list.join(", "));
        }
    }
    if replayed.rejected > 0.0 {
        _ = write!(said, "; {:.0} rejected records are load as well", replayed.rejected);
    }
    if replayed.silent > 0 {
        _ = write!(said, "; {} rows were not published and are played without load", replayed.silent);
    }
    console.note(&said);
    let (world, _) = trace_world(trace, pipeline, &replayed.costs)
        .map_err(|what| CliError::new(Exit::Failed, format!("the past of stream/{name} cannot be played: {what}")))?;
    Ok((world, Some(said), trace.seconds()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_days_and_no_longer_than_cloudwatch_keeps() {
        assert_eq!(look_back("7d"), Ok(SignedDuration::from_hours(168)));
        assert_eq!(look_back("12h"), Ok(SignedDuration::from_hours(12)));
        for wrong in ["0d", "456d", "5m", "99999h", "d", "-3d", "week"] {
            assert!(look_back(wrong).is_err(), "{wrong}");
        }
    }
}
