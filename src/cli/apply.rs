//! `apply`: makes AWS what the spec says. Shows the plan, asks, changes, waits until it has settled.
//!
//! What always holds: a refused or unconfirmed plan makes no mutating call; whatever stops it half-way,
//! the same command continues from what exists.

use clap::Args;
use jiff::SignedDuration;
use serde_json::json;

use super::{
    console::Console,
    errors::CliError,
    exit::Exit,
    globals::Globals,
    plan::{self, Aim, Prepared},
    progress::{News, View, human},
    render,
    signals::{End, stoppable},
    source::{self, Loaded, SpecArgs},
    target::{Need, Pace, Session},
};
use crate::{
    apply::{self, Goal, Outcome, Progress, Verdict},
    aws::Allow,
    cost::PriceSheet,
    spec::Management,
};

/// Create and change what the spec asks for.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    spec: SpecArgs,
    /// Do not ask.
    #[arg(short, long, visible_alias = "auto-approve")]
    yes: bool,
    /// Print what `plan` prints and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Runs the verb.
pub fn run(globals: &Globals, console: &Console, args: &ApplyArgs) -> Result<Exit, CliError> {
    let loaded = source::load(&args.spec, console)?;
    if args.dry_run {
        return plan::dry_run(globals, console, &loaded, Aim::Provision);
    }
    writable(&loaded)?;
    let need = Need { allow: Allow::Apply, pace: Pace::Jump, long_running: false, read_only: false, remark: None };
    Session::run(globals, console, &loaded.pipeline, need, async |session| {
        let prepared = plan::prepare(session, &loaded, Aim::Provision).await?;
        announce(console, &prepared)?;
        plan::startable(&prepared.plan)?;
        if prepared.plan.is_empty() {
            return Ok(Exit::Ok);
        }
        confirm(console, args.yes, &format!("Apply {}?", changes(prepared.plan.changes.len())))?;
        perform(globals, console, session, &loaded, &prepared, Goal::Provision).await
    })
}

/// Refuses to write for a spec that says `management: observe`.
pub fn writable(loaded: &Loaded) -> Result<(), CliError> {
    if loaded.pipeline.management == Management::Full {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Blocked,
        format!("pipeline {} is `management: observe`: nothing is written", loaded.pipeline.name),
    )
    .hint("`plan` shows what would change; set `management: full` in the spec to allow it"))
}

/// Shows the plan before it is carried out.
pub fn announce(console: &Console, prepared: &Prepared) -> Result<(), CliError> {
    if console.json() {
        return console.line(&json!({ "event": "plan", "plan": render::plan::document(&prepared.plan) }));
    }
    console.print(&render::plan::announcement(&prepared.plan, console.color))
}

/// Asks for a yes, or refuses where nobody can be asked.
pub fn confirm(console: &Console, yes: bool, question: &str) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !console.can_ask() {
        return Err(CliError::new(Exit::Blocked, "not confirmed: there is no terminal to ask on; nothing was changed")
            .hint("add --yes to go ahead without a question, or --dry-run to only look"));
    }
    match console.ask(&format!("{question} Only `yes` goes ahead:")).as_deref() {
        Some("yes" | "y") => Ok(()),
        _ => Err(CliError::new(Exit::Blocked, "not confirmed: nothing was changed")),
    }
}

/// Carries out and reports how it ended.
pub async fn perform(
    globals: &Globals,
    console: &Console,
    session: &Session,
    loaded: &Loaded,
    prepared: &Prepared,
    goal: Goal,
) -> Result<Exit, CliError> {
    let started = session.aws.clock().now();
    let prices = PriceSheet::us_east_1();
    let mut memory = prepared.memory.clone();
    let mut view = View::new(console);
    let mut broken_pipe = Ok(());
    let end = stoppable(console, |stop| async {
        let mut context = apply::Context {
            aws: &session.aws,
            store: session.store.as_ref(),
            memory: &mut memory,
            pipeline: &loaded.pipeline,
            policy: &loaded.policy,
            prices: &prices,
            approved: Some(&prepared.plan),
            timeout: globals.timeout,
            stop,
        };
        let mut progress = |event: Progress| {
            let said = tell(console, &mut view, &event);
            if broken_pipe.is_ok() {
                broken_pipe = said;
            }
        };
        apply::run(&mut context, goal, &mut progress).await
    })
    .await;
    view.finish();
    let elapsed = session.aws.clock().now().duration_since(started);
    match end {
        End::Aborted(signal) => Err(CliError::new(signal.exit(), "aborted; a call may have been under way")
            .hint("run the same command again: it continues from what exists")),
        End::Finished(outcome, signal) => {
            conclude(console, &outcome, elapsed, signal.map(super::signals::Signal::exit))?;
            broken_pipe.map(|()| Exit::Ok)
        }
    }
}

/// Passes news on to the screen, or to stdout as a JSON line.
fn tell(console: &Console, view: &mut View, event: &Progress) -> Result<(), CliError> {
    if console.json() {
        return console.line(&json!({ "event": "progress", "progress": event }));
    }
    let resource = event.resource.to_string();
    view.show(
        console,
        &News { resource: &resource, what: &event.what, elapsed: event.elapsed, expected: event.expected },
    );
    Ok(())
}

/// Says how it ended; an error unless it is done.
fn conclude(
    console: &Console,
    outcome: &Outcome,
    elapsed: SignedDuration,
    stopped: Option<Exit>,
) -> Result<(), CliError> {
    if console.json() {
        console.line(&json!({ "event": "outcome", "outcome": outcome, "elapsedSeconds": elapsed.as_secs() }))?;
    }
    let done = outcome.performed.len();
    let stands = format!("{} made, {} left", calls(done), changes(outcome.remaining.len()));
    let written = |otherwise: Exit| if done > 0 { Exit::Partial } else { otherwise };
    let error = match &outcome.verdict {
        Verdict::Done if console.json() => return Ok(()),
        Verdict::Done => {
            console.print(&format!("Done: {} in {}.\n", calls(done), human(elapsed)))?;
            if !outcome.remaining.is_empty() {
                let appeared = changes(outcome.remaining.len());
                console.note(&format!("{appeared} appeared meanwhile and were not approved: `plan` shows them"));
            }
            return Ok(());
        }
        Verdict::Failed(failure) => {
            let mut error = CliError::from(failure.clone());
            error.exit = written(error.exit);
            error.what = format!("{} ({stands})", error.what);
            error
        }
        Verdict::Refused(why) => CliError::new(written(Exit::Blocked), format!("refused: {why} ({stands})")),
        Verdict::GaveUp(why) => {
            // AWS's last word tells a script more than that we gave up.
            let exit = outcome.failures.last().map_or(Exit::Failed, Exit::of_failure);
            let mut error = CliError::new(written(exit), format!("gave up ({stands})")).detail(why.clone());
            error.failure = outcome.failures.last().cloned().map(Box::new);
            error
        }
        Verdict::TimedOut(what) => {
            CliError::new(Exit::Timeout, format!("not settled after {} ({stands})", human(elapsed)))
                .detail(what.clone())
                .hint("--timeout gives it longer")
        }
        Verdict::Stopped => CliError::new(stopped.unwrap_or(Exit::Interrupted), format!("stopped ({stands})")),
    };
    Err(error.hint("the same command continues from what exists"))
}

/// `1 change`, `3 changes`.
pub fn changes(count: usize) -> String {
    format!("{count} change{}", if count == 1 { "" } else { "s" })
}

fn calls(count: usize) -> String {
    format!("{count} call{}", if count == 1 { "" } else { "s" })
}
