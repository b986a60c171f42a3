//! `daemon`: watches the pipeline and keeps it the right size until it is told to stop.
//!
//! One log line whenever the story changes; with `--output json` every pass is a line on stdout.
//! A stop by SIGTERM or Ctrl-C is the normal end and exits with 0.

use clap::Args;
use jiff::SignedDuration;

use super::{
    console::Console,
    errors::CliError,
    exit::Exit,
    globals::{Globals, duration},
    render::report,
    signals::{End, stoppable},
    source::{self, Loaded, SpecArgs},
    target::{Need, Pace, Session},
};
use crate::{
    aws::Allow,
    cost::PriceSheet,
    daemon::{self, Mode, Report, Stop},
    memory::Memory,
    model::Failure,
    spec::Management,
};

/// Watch the pipeline and scale it.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    #[command(flatten)]
    spec: SpecArgs,
    /// One pass, then end.
    #[arg(long, conflicts_with_all = ["for_", "interval"])]
    once: bool,
    /// Time between two passes.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    interval: SignedDuration,
    /// Look and report, change nothing.
    #[arg(long, visible_alias = "dry-run")]
    observe: bool,
    /// Stop after this much time. With --local and without --speed: as fast as possible.
    #[arg(long = "for", id = "for_", value_name = "DURATION", value_parser = duration)]
    for_: Option<SignedDuration>,
    /// With --local: virtual seconds a second.
    #[arg(long, value_name = "N", value_parser = speed)]
    speed: Option<f64>,
}

/// Passes and calls so far, and what the last pass told.
#[derive(Debug, Default)]
struct Seen {
    passes: u64,
    steps: u64,
    story: Option<String>,
    stdout: Option<CliError>,
}

/// Runs the verb.
pub fn run(globals: &Globals, console: &Console, args: &DaemonArgs) -> Result<Exit, CliError> {
    if args.speed.is_some() && globals.local.is_none() {
        return Err(CliError::new(Exit::Usage, "--speed goes with --local: time on AWS cannot be hurried"));
    }
    let loaded = source::load(&args.spec, console)?;
    let observe = args.observe || loaded.pipeline.management == Management::Observe;
    let need = Need {
        allow: if observe { Allow::Reads } else { Allow::Autoscale },
        pace: pace(args),
        long_running: !args.once,
        read_only: false,
        remark: observe.then_some("observing only"),
    };
    let mode = if observe { Mode::Observe } else { Mode::Act };
    Session::run(globals, console, &loaded.pipeline, need, async |session| {
        if args.once {
            once(console, session, &loaded, mode).await
        } else {
            watch(console, session, &loaded, args, mode).await
        }
    })
}

/// Real time by default; a limit or a single pass on the twin needs no waiting.
fn pace(args: &DaemonArgs) -> Pace {
    match args.speed {
        Some(speed) => Pace::Speed(speed),
        None if args.once || args.for_.is_some() => Pace::Jump,
        None => Pace::Speed(1.0),
    }
}

async fn once(console: &Console, session: &Session, loaded: &Loaded, mode: Mode) -> Result<Exit, CliError> {
    let mut memory = load(session, loaded)?;
    let prices = PriceSheet::us_east_1();
    let Loaded { pipeline, policy } = loaded;
    let report =
        daemon::cycle(&session.aws, session.store.as_ref(), &mut memory, pipeline, policy, &prices, mode).await;
    if console.json() {
        console.line(&report)?;
    } else if report.failure.is_none() {
        console.print(&report::text(&report, mode))?;
    }
    first_failure(&report).map_or(Ok(Exit::Ok), |failure| {
        let mut error = CliError::from(failure.clone());
        if report.performed.iter().any(|(_, result)| result.is_ok()) {
            error.exit = Exit::Partial;
        }
        Err(error)
    })
}

fn first_failure(report: &Report) -> Option<&Failure> {
    report.failure.as_ref().or_else(|| report.performed.iter().find_map(|(_, result)| result.as_ref().err()))
}

async fn watch(
    console: &Console,
    session: &Session,
    loaded: &Loaded,
    args: &DaemonArgs,
    mode: Mode,
) -> Result<Exit, CliError> {
    let mut memory = load(session, loaded)?;
    let prices = PriceSheet::us_east_1();
    let started = session.aws.clock().now();
    let deadline = args.for_.map(|limit| started.saturating_add(limit)).transpose();
    let at = deadline.map_err(|error| CliError::new(Exit::Usage, format!("--for: {error}")))?;
    let mut seen = Seen::default();
    let end = stoppable(console, |flag| {
        let memory = &mut memory;
        let seen = &mut seen;
        let prices = &prices;
        async move {
            let mut on_report = |report: &Report| seen.take(console, report, mode);
            daemon::run(
                &session.aws,
                session.store.as_ref(),
                memory,
                &loaded.pipeline,
                &loaded.policy,
                prices,
                mode,
                args.interval,
                Stop { flag, at },
                &mut on_report,
            )
            .await;
        }
    })
    .await;
    let ran = session.aws.clock().now().duration_since(started);
    console.note(&report::summary(seen.passes, seen.steps, ran));
    match (end, seen.stdout) {
        (End::Aborted(signal), _) => Err(CliError::new(signal.exit(), "aborted; a call may have been under way")),
        (End::Finished(..), Some(error)) => Err(error),
        (End::Finished(..), None) => Ok(Exit::Ok),
    }
}

fn load(session: &Session, loaded: &Loaded) -> Result<Memory, CliError> {
    Ok(session.store.load(&loaded.pipeline.name)?.unwrap_or_else(Memory::empty))
}

impl Seen {
    fn take(&mut self, console: &Console, report: &Report, mode: Mode) {
        self.passes += 1;
        self.steps += report.performed.iter().filter(|(_, result)| result.is_ok()).count() as u64;
        if console.json() && self.stdout.is_none() {
            self.stdout = console.line(report).err();
        }
        let story = report::key(report, mode);
        if self.story.as_ref() != Some(&story) || !report.performed.is_empty() {
            tracing::info!(at = %report::seconds(report.at), "{}", report::log_line(report, mode));
            self.story = Some(story);
        }
    }
}

pub(super) fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.01..=100_000.0).contains(&speed) => Ok(speed),
        _ => Err("a number from 0.01 to 100000".to_owned()),
    }
}
